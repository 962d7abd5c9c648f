// Package embeddedtest is for tests in which another user than ours runs programs: PostgreSQL, which refuses root, or the gateway
// itself.
package embeddedtest

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// NewFolder makes a folder that every user may enter, which those of t.TempDir are not.
func NewFolder() (string, error) {
	dir, err := os.MkdirTemp("", "paygraph-test-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// orphanTime is how long a PostgreSQL whose gateway was killed may still write into its folder.
const orphanTime = 10 * time.Second

// Folder is a NewFolder for the time of a test.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := NewFolder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for end := time.Now().Add(orphanTime); ; time.Sleep(50 * time.Millisecond) {
			err := os.RemoveAll(dir)
			if err == nil {
				return
			}
			if time.Now().After(end) {
				t.Error(err)
				return
			}
		}
	})
	return dir
}

// Copy is a copy of a folder for the time of a test, with owners and modes.
func Copy(t testing.TB, from string) string {
	t.Helper()
	dir := Folder(t)
	if output, err := exec.CommandContext(t.Context(), "cp", "-a", from+"/.", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return dir
}

// Ordinary makes commands run as an ordinary user, in a home that is closed to others. The test is skipped where we are not root, and so
// an ordinary user ourselves.
func Ordinary(t testing.TB) (home string, as func(*exec.Cmd)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the other tests are run by an ordinary user")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	uid, errUID := strconv.Atoi(nobody.Uid)
	gid, errGID := strconv.Atoi(nobody.Gid)
	home = filepath.Join(Folder(t), "home")
	if err := errors.Join(errUID, errGID, os.Mkdir(home, 0o700), os.Chown(home, uid, gid)); err != nil {
		t.Fatal(err)
	}
	return home, func(cmd *exec.Cmd) {
		cmd.Dir = home
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
}
