// Package embedded runs a PostgreSQL cluster of the gateway's own, for `go run .`, the tests and the bench.
//
// The programs are those that are installed, or else are fetched by the embedded-postgres library. Everything lives in one
// folder that belongs to this package alone:
//
//	paygraph.lock   locked by the gateway that uses the folder; marks the folder as ours
//	programs.lock   locked by every program that a gateway has started there, until the last of them has ended
//	cluster/        the owner's password, the configuration, and data/, which belongs to the user who runs PostgreSQL
//	scratch/        a cluster or programs in the making; renamed when complete, so that half-made ones are never met
//	programs/       PostgreSQL's programs, if they had to be fetched
//	log, log.1      what the server says
//
// A killed gateway leaves its server running. The next Start finds programs.lock held, stops that server, which also ends its
// forgotten sessions, and starts a new one. No process number is trusted for this: the kernel knows who holds a lock.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	owner    = "paygraph" // the cluster's superuser
	database = "paygraph"
)

// ErrInUse says that another gateway runs the cluster in the folder. Running has its address.
var ErrInUse = errors.New("is using")

// Config says where the cluster lives and how it runs. Its zero value is the product's default.
type Config struct {
	Dir           string            // the folder; "" means DefaultDir(); made where it is missing
	Fresh         bool              // forget the cluster that is there
	Origin        *Origin           // what a cluster is made of where there is none; nil: it begins empty
	Settings      map[string]string // lines of postgresql.conf that go beyond the defaults, or against them
	DieWithParent bool              // the server shuts down when this process ends, however it does; on Linux only
	Progress      func(string)      // told in one line what takes time now; may be nil
	Archive       string            // address of the Maven repository to fetch programs from; "" means the library's

	places []string                           // patterns of folders to look for programs in; nil means PATH and the usual places
	port   func(context.Context) (int, error) // picks a port that was free a moment ago; nil means FreePort
}

// Origin is a base backup of another cluster, whose password its copy has.
type Origin struct {
	Of     *Cluster
	Backup string // the folder that pg_basebackup has made
	As     string // Recovering, Standby, or empty: as pg_basebackup left it
}

// What a copy can be told to do, by a file of this name.
const (
	Recovering = "recovery.signal" // it fetches the log that came after the backup, up to a point that Settings name, and then serves
	Standby    = "standby.signal"  // it follows another server that Settings name, until it is promoted
)

// Cluster is a running PostgreSQL server and the lock on its folder.
type Cluster struct {
	folder   *folder
	programs programs
	server   *server
	password string
}

// DefaultDir is $XDG_STATE_HOME/paygraph; without that variable ~/.local/state/paygraph, or for root /var/lib/paygraph, since
// root's home is closed to the user who must run PostgreSQL for him.
func DefaultDir() (string, error) {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "paygraph"), nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/paygraph", nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the database: %w", err)
	}
	return filepath.Join(home, ".local", "state", "paygraph"), nil
}

// Start makes the cluster where there is none, starts its server, and returns when it accepts connections. It holds the folder
// until Stop, or until the process ends. Errors are sentences for the person at the terminal.
func Start(ctx context.Context, c Config) (*Cluster, error) {
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.Dir == "" {
		dir, err := DefaultDir()
		if err != nil {
			return nil, err
		}
		c.Dir = dir
	}
	f, err := openFolder(c.Dir)
	if err != nil {
		return nil, err
	}
	cluster, err := startIn(ctx, f, c)
	if err != nil {
		f.close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("the start of PostgreSQL was interrupted: %w", context.Cause(ctx))
		}
		return nil, err
	}
	return cluster, nil
}

func startIn(ctx context.Context, f *folder, c Config) (*Cluster, error) {
	if err := f.endOrphans(ctx, c); err != nil {
		return nil, err
	}
	if err := f.clear(scratch); err != nil {
		return nil, err
	}
	if c.Fresh {
		if err := f.clear(clusterName); err != nil {
			return nil, err
		}
	}
	p, err := obtainPrograms(ctx, f, c)
	if err != nil {
		return nil, err
	}
	if !f.has(clusterName) {
		c.Progress("making the database cluster in " + f.dir)
		begin := func() error { return makeCluster(ctx, f, p, c.Settings) }
		if c.Origin != nil {
			begin = func() error { return copyCluster(f, c.Origin) }
		}
		if err := begin(); err != nil {
			_ = f.clear(scratch) // it may be what fills the disk
			return nil, fmt.Errorf("making the database cluster in %s failed: %w", f.dir, err)
		}
	}
	password, err := os.ReadFile(f.path(clusterName, passwordFile))
	if err != nil {
		return nil, fmt.Errorf("the database's password cannot be read: %w", err)
	}
	if err := configure(ctx, f, p, f.path(clusterName), c.Settings); err != nil {
		return nil, err
	}
	s, err := startServer(ctx, f, p, c)
	if err != nil {
		return nil, err
	}
	return &Cluster{folder: f, programs: p, server: s, password: string(password)}, nil
}

// DSN is the address of the database for its owner, who is the cluster's superuser. It contains the password.
func (c *Cluster) DSN() string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(owner, c.password),
		Host:     fmt.Sprintf("127.0.0.1:%d", c.server.port),
		Path:     database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Running is the address of the database that another gateway runs in a folder; "" means DefaultDir(). It is for commands that want to
// look at what a running gateway has.
func Running(dir string) (dsn string, err error) {
	if dir == "" {
		if dir, err = DefaultDir(); err != nil {
			return "", err
		}
	}
	f := &folder{dir: dir}
	password, err := os.ReadFile(f.path(clusterName, passwordFile))
	if err != nil {
		return "", fmt.Errorf("the database in %s is not ready yet: %w", dir, err)
	}
	text, err := os.ReadFile(f.path(clusterName, "data", "postmaster.pid"))
	line := strings.Split(string(text), "\n")
	if err != nil || len(line) < 8 || strings.TrimSpace(line[7]) != "ready" {
		return "", fmt.Errorf("the database in %s is not ready yet", dir)
	}
	port, err := strconv.Atoi(line[3])
	return (&Cluster{server: &server{port: port}, password: string(password)}).DSN(), err
}

// Programs is the folder of the PostgreSQL programs that run the cluster. Fetched programs come without psql and pgbench.
func (c *Cluster) Programs() string { return c.programs.dir }

// Stop ends all sessions and the server, and frees the folder. When ctx ends first, the server is ended at once: nothing that was
// committed is lost, but the next start takes longer, and the error says so. A second Stop does nothing.
func (c *Cluster) Stop(ctx context.Context) error {
	defer c.folder.close()
	err := c.server.stop(ctx)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err == nil {
		unlock(c.folder.programs) // none is running
	}
	return err
}
