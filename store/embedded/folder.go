package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	gatewayLock  = "paygraph.lock"
	programsLock = "programs.lock"
	clusterName  = "cluster"
	scratch      = "scratch"

	// forked is how long a child may keep its parent's locks, the parent being killed, between being forked and being a program.
	forked = time.Second
	// fastStop is what an orphaned server may take to shut down fast, before it is ended at once.
	fastStop = 20 * time.Second
	// lastOne is what the last orphaned program may then take to end.
	lastOne = 10 * time.Second
)

// folder is the package's folder while this process holds it. Whoever has a folder may write there, and nobody else will.
type folder struct {
	dir      string
	as       account  // who runs PostgreSQL's programs
	gateway  *os.File // locked: one gateway at a time
	programs *os.File // locked: held by every program that we start, also when we are gone
}

// openFolder makes the folder where it is missing and takes it into possession.
func openFolder(dir string) (*folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	as, err := whoRuns(filepath.Join(dir, clusterName, "data"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, as.folderMode()); err != nil {
		return nil, unusable(dir, err)
	}
	if err := checkOurs(dir); err != nil {
		return nil, unusable(dir, err)
	}
	f := &folder{dir: dir, as: as}
	if f.gateway, err = os.OpenFile(f.path(gatewayLock), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, unusable(dir, err)
	}
	if err := f.possess(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// possess takes the gateway's lock, writes down who has it, and opens the programs' lock.
func (f *folder) possess() error {
	err := flock(f.gateway)
	for deadline := time.Now().Add(forked); errors.Is(err, syscall.EWOULDBLOCK) && time.Now().Before(deadline); time.Sleep(poll) {
		err = flock(f.gateway)
	}
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		text, _ := os.ReadFile(f.gateway.Name())
		who := "another paygraph"
		if pid := strings.TrimSpace(string(text)); pid != "" {
			who += " (pid " + pid + ")"
		}
		return fmt.Errorf("%s %w %s; stop it or use another folder", who, ErrInUse, f.dir)
	case err != nil:
		return unusable(f.dir, err)
	}
	if err := f.gateway.Truncate(0); err != nil {
		return unusable(f.dir, err)
	}
	if _, err := f.gateway.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return unusable(f.dir, err)
	}
	if err := os.Chmod(f.dir, f.as.folderMode()); err != nil { // whatever the umask was
		return unusable(f.dir, err)
	}
	if f.programs, err = os.OpenFile(f.path(programsLock), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return unusable(f.dir, err)
	}
	return nil
}

// checkOurs refuses a folder that belongs to somebody else, or that has things in it but not the mark of this package.
func checkOurs(dir string) error {
	uid, err := ownerOf(dir)
	if err != nil {
		return err
	}
	if uid != os.Geteuid() {
		return fmt.Errorf("it belongs to the user %s", userName(uid))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, gatewayLock)); len(entries) > 0 && err != nil {
		return errors.New("it holds files that paygraph did not make")
	}
	return nil
}

func unusable(dir string, err error) error {
	return fmt.Errorf("the folder %s cannot be used for the database: %w", dir, err)
}

// endOrphans returns when no program that an earlier gateway left behind is running, and this process has the programs' lock.
func (f *folder) endOrphans(ctx context.Context, c Config) error {
	if f.free() {
		return nil
	}
	c.Progress("stopping the PostgreSQL that a killed paygraph left behind in " + f.dir)
	if p, err := findPrograms(ctx, f, c); err == nil {
		for _, how := range []struct{ mode, seconds string }{
			{"fast", strconv.Itoa(int(fastStop.Seconds()))},
			{"immediate", strconv.Itoa(int(quickly.Seconds()))},
		} {
			data := f.path(clusterName, "data")
			if _, err := f.run(ctx, "", p.program("pg_ctl"), "stop", "-D", data, "-m", how.mode, "-t", how.seconds); err == nil {
				break
			}
		}
	}
	// A half-made cluster's initdb, or the sessions of a server that was killed, end by themselves.
	for deadline := time.Now().Add(lastOne); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(poll) {
		if f.free() {
			return nil
		}
	}
	return fmt.Errorf("PostgreSQL, left behind by a killed paygraph, still runs in %s and does not end; end it by hand", f.dir)
}

// free tries to take the programs' lock, which orphans hold. Once taken it is kept.
func (f *folder) free() bool { return flock(f.programs) == nil }

// clear removes what this package made under the name. It is moved away first, so that being killed meanwhile leaves no half of it.
func (f *folder) clear(name string) error {
	if name != scratch {
		if err := os.Rename(f.path(name), f.path(scratch)); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return unusable(f.dir, err)
		}
	}
	if err := os.RemoveAll(f.path(scratch)); err != nil {
		return unusable(f.dir, err)
	}
	return nil
}

// keep gives what was made in the scratch folder its name for good, also across a power failure.
func (f *folder) keep(from, name string) error {
	if err := os.Rename(from, f.path(name)); err != nil {
		return err
	}
	return toDisk(f.dir)
}

func (f *folder) path(names ...string) string {
	return filepath.Join(append([]string{f.dir}, names...)...)
}

func (f *folder) has(name string) bool {
	_, err := os.Stat(f.path(name))
	return err == nil
}

// close gives the folder up. Programs that still run keep their lock.
func (f *folder) close() {
	if f.programs != nil {
		_ = f.programs.Close()
	}
	unlock(f.gateway) // or a child that is being forked would keep it a little longer
	_ = f.gateway.Close()
}

func unlock(file *os.File) { _ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN) }

func flock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
