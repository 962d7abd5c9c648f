package embedded

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// fetcher is the name under which this program starts itself to fetch PostgreSQL's programs.
const fetcher = "paygraph-fetch"

// The library unpacks what the network gave it wherever the archive says, so that it must not run as root: a child of our own
// program drops root first. Being an init function it is there in every program that imports this package, tests too, and
// nobody can forget to call it.
func init() {
	if len(os.Args) == 0 || os.Args[0] != fetcher {
		return
	}
	if err := fetchHere(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// fetchPrograms brings PostgreSQL's programs into the folder, since there are none that will do.
func fetchPrograms(ctx context.Context, f *folder, c Config, missing noPrograms) (programs, error) {
	c.Progress("fetching PostgreSQL, since " + missing.reason)
	target := f.path(scratch)
	err := f.fetch(ctx, target, c.Archive)
	if err == nil {
		_, err = f.examine(ctx, filepath.Join(target, "postgresql", "bin"))
	}
	if err != nil {
		_ = f.clear(scratch)
		return programs{}, fmt.Errorf("%s, and fetching it failed (%w): install it with `apt-get install postgresql`, "+
			"`dnf install postgresql-server` or `brew install postgresql`", missing.reason, err)
	}
	if err := os.RemoveAll(f.path("programs")); err != nil {
		return programs{}, unusable(f.dir, err)
	}
	if err := f.keep(filepath.Join(target, "postgresql"), "programs"); err != nil {
		return programs{}, unusable(f.dir, err)
	}
	if err := f.clear(scratch); err != nil {
		return programs{}, err
	}
	return f.examine(ctx, f.path("programs", "bin"))
}

// fetch has a child of our own program fetch into the target folder.
func (f *folder) fetch(ctx context.Context, target, archive string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := mkdir(target, 0o755); err != nil {
		return err
	}
	if err := f.as.own(target); err != nil {
		return err
	}
	alive, hold, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _, _ = alive.Close(), hold.Close() }()
	cmd := f.command(ctx, self)
	cmd.Args = []string{fetcher, target, archive, strconv.Itoa(f.as.uid), strconv.Itoa(f.as.gid)}
	cmd.Env = append(os.Environ(), "TMPDIR="+target) // it may name a proxy; and the library leaves files behind
	cmd.SysProcAttr.Credential = nil                 // the child drops root itself: our program's folder may be closed
	_, err = f.finish(cmd, alive)
	return err
}

// fetchHere is the child. The library cannot be asked to fetch only: its Start fetches, unpacks, makes its runtime folder and goes
// on. That folder is said to be below the program postgres: nothing is there before and nothing can be after, so Start ends there.
func fetchHere(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("%s wants a folder, an address, a uid and a gid", fetcher)
	}
	target := filepath.Join(args[0], "postgresql")
	if err := drop(args[2], args[3]); err != nil {
		return fmt.Errorf("giving up root: %w", err)
	}
	go func() { // ends with the parent, which holds the other end of the pipe
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	config := embeddedpostgres.DefaultConfig().
		Port(0).
		CachePath(args[0]).
		BinariesPath(target).
		RuntimePath(filepath.Join(target, "bin", "postgres", "nowhere"))
	if args[1] != "" {
		config = config.BinaryRepositoryURL(args[1])
	}
	err := embeddedpostgres.NewDatabase(config).Start()
	if err != nil && strings.HasPrefix(err.Error(), "unable to create runtime directory") {
		return nil
	}
	return err
}

// drop gives up root for good, in all threads.
func drop(uid, gid string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := strconv.Atoi(uid)
	if err != nil {
		return err
	}
	g, err := strconv.Atoi(gid)
	if err != nil {
		return err
	}
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(g); err != nil {
		return err
	}
	return syscall.Setuid(u)
}
