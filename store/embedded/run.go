package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/paygraph/paygraph/store/embedded/child"
)

// account is the user who runs PostgreSQL's programs: the one who runs us, but postgres or nobody instead of root, whom
// PostgreSQL refuses.
type account struct {
	name     string
	uid, gid int
	other    bool // not the one who runs us
}

// whoRuns chooses the account: for a data folder that exists its owner.
func whoRuns(data string) (account, error) {
	if uid := os.Geteuid(); uid != 0 {
		return account{uid: uid, gid: os.Getegid()}, nil
	}
	names := []string{"postgres", "nobody"}
	if uid, err := ownerOf(data); err == nil {
		names = []string{userName(uid)}
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(u.Uid)
		gid, errGID := strconv.Atoi(u.Gid)
		if errUID == nil && errGID == nil && uid > 0 {
			return account{name, uid, gid, true}, nil
		}
	}
	return account{}, errors.New("PostgreSQL refuses to be run by root, and there is no user postgres or nobody to run it; " +
		"start paygraph as an ordinary user")
}

// ownerOf tells to whom a file belongs.
func ownerOf(path string) (uid int, err error) {
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		return 0, err
	}
	return int(stat.Uid), nil
}

// userName is the user's name, or number if nobody knows a name.
func userName(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return strconv.Itoa(uid)
	}
	return u.Username
}

// folderMode lets the account through our folders, and nobody else see them.
func (a account) folderMode() os.FileMode {
	if a.other {
		return 0o711
	}
	return 0o700
}

// own gives a path that we have just made to the account.
func (a account) own(path string) error {
	if !a.other {
		return nil
	}
	return os.Lchown(path, a.uid, a.gid)
}

// command prepares a program that runs under the account, holds the programs' lock as long as it or a child of it lives, and is
// out of reach of the terminal's ^C, which is the gateway's to handle. It sees nothing of our environment but PATH: there may be
// secrets in it, and PostgreSQL reads variables of its own.
func (f *folder) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = f.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + f.dir}
	cmd.ExtraFiles = []*os.File{f.programs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if f.as.other {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(f.as.uid), Gid: uint32(f.as.gid)}
	}
	return cmd
}

// run runs a program to its end and returns what it printed. Its error is the reason that the program gave.
func (f *folder) run(ctx context.Context, stdin, program string, args ...string) (string, error) {
	return f.finish(f.command(ctx, program, args...), strings.NewReader(stdin))
}

// finish runs a prepared program, which is killed with its children when the context ends, and dies with us.
func (f *folder) finish(cmd *exec.Cmd, stdin io.Reader) (string, error) {
	var output bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &output, &output
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	child.DieWithParent(cmd.SysProcAttr, syscall.SIGKILL)
	runtime.LockOSThread() // the kernel takes the thread that forked for the parent
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	if err == nil {
		return output.String(), nil
	}
	if errors.Is(err, syscall.EACCES) && f.as.other {
		return "", fmt.Errorf("the user %s, who runs PostgreSQL for root, may not enter %s or run %s; use a folder that is open to "+
			"that user: %w", f.as.name, f.dir, cmd.Path, err)
	}
	if reason := reasonIn(output.String()); reason != "" {
		return output.String(), errors.New(reason)
	}
	return output.String(), fmt.Errorf("%s: %w", cmd.Path, err)
}

// reasonIn finds the line in which a program of PostgreSQL says why it failed: its first complaint, else its last word.
func reasonIn(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	for _, line := range lines {
		for _, mark := range []string{"error: ", "FATAL:  ", "ERROR:  ", "PANIC:  "} {
			if _, reason, found := strings.Cut(line, mark); found {
				return reason
			}
		}
	}
	return lines[len(lines)-1]
}
