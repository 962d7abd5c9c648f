package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/paygraph/paygraph/store/embedded/child"
)

const (
	logLimit   = 16 << 20         // bytes after which the log is put aside at a start; one old log is kept
	firstPort  = 20_000           // Linux gives out ports from 32,768 by itself, others from 49,152
	ports      = 12_000           // as many from firstPort are picked from
	portTries  = 10               // how often another free port is tried when somebody was quicker
	readyLimit = 10 * time.Minute // what a start may take; only recovery from a crash takes long
	longWait   = 3 * time.Second  // after this the person at the terminal is told
	quickly    = 10 * time.Second // what a server that was told to end at once may take before it is killed
	poll       = 10 * time.Millisecond
)

// server is a running postmaster, our child.
type server struct {
	*child.Child
	port int
}

var errPortTaken = errors.New("every port that was tried is taken")

// startServer starts the postmaster on a free port. Between finding a port and using it somebody else may take it: then another.
func startServer(ctx context.Context, f *folder, p programs, c Config) (*server, error) {
	log, err := openLog(f)
	if err != nil {
		return nil, unusable(f.dir, err)
	}
	defer func() { _ = log.Close() }()
	// The programs' lock is ours, so no server runs here: this file is a killed one's. Left there, it would stop the new server
	// whenever its number has been given to another process of the same user.
	if err := os.Remove(f.path(clusterName, "data", "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, unusable(f.dir, err)
	}
	for range portTries {
		var s *server
		if s, err = startOnce(ctx, f, p, c, log); !errors.Is(err, errPortTaken) {
			return s, err
		}
	}
	return nil, err
}

func startOnce(ctx context.Context, f *folder, p programs, c Config, log *os.File) (*server, error) {
	pick := FreePort
	if c.port != nil {
		pick = c.port
	}
	port, err := pick(ctx)
	if err != nil {
		return nil, fmt.Errorf("no free port on 127.0.0.1: %w", err)
	}
	begin, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	// Its life is not the context's, which is that of the start.
	cmd := f.command(context.WithoutCancel(ctx), p.program("postgres"), "-D", f.path(clusterName, "data"),
		"-c", "config_file="+f.path(clusterName, configFile), "-p", strconv.Itoa(port))
	cmd.Env = append(cmd.Env, keepMemory...)
	cmd.Stdout, cmd.Stderr = log, log
	if c.DieWithParent {
		child.DieWithParent(cmd.SysProcAttr, syscall.SIGINT) // shut down fast: no recovery at the next start
	}
	s := &server{port: port}
	if s.Child, err = child.Start(cmd); err != nil {
		return nil, err
	}
	if err := s.await(ctx, f, c); err != nil {
		interrupted, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.stop(interrupted)
		said := make([]byte, 64<<10)
		n, _ := log.ReadAt(said, begin)
		if strings.Contains(string(said[:n]), "could not create any TCP/IP sockets") {
			return nil, errPortTaken
		}
		if reason := reasonIn(string(said[:n])); ctx.Err() == nil && reason != "" {
			err = errors.New(reason)
		}
		return nil, fmt.Errorf("PostgreSQL did not start: %w; its log is %s", err, log.Name())
	}
	return s, nil
}

// await returns when the server accepts connections, which it says in the file postmaster.pid, as pg_ctl's wait does.
func (s *server) await(ctx context.Context, f *folder, c Config) error {
	served := []string{"ready"}
	if f.has(filepath.Join(clusterName, "data", Standby)) {
		served = append(served, "standby")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readyLimit, errors.New("it was not ready after "+readyLimit.String()))
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	long := time.After(longWait)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.Ended:
			return errors.New("it ended at once")
		case <-long:
			c.Progress("waiting for PostgreSQL, which recovers first if it was killed")
		case <-tick.C:
			text, _ := os.ReadFile(f.path(clusterName, "data", "postmaster.pid"))
			line := strings.Split(string(text), "\n") // pid, folder, start, port, socket folder, address, shared memory, status
			if len(line) > 7 && line[0] == strconv.Itoa(s.Process.Pid) && slices.Contains(served, strings.TrimSpace(line[7])) {
				return nil
			}
		}
	}
}

// stop tells the server to shut down fast, and after ctx has ended, at once.
func (s *server) stop(ctx context.Context) error {
	if err := s.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	select {
	case <-s.Ended:
		return nil
	case <-ctx.Done():
	}
	_ = s.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.Ended:
	case <-time.After(quickly):
		s.Kill()
	}
	return fmt.Errorf("PostgreSQL did not shut down in time and was ended; it will recover at the next start: %w", ctx.Err())
}

// openLog opens the server's log, and puts a long one aside.
func openLog(f *folder) (*os.File, error) {
	if info, err := os.Stat(f.path("log")); err == nil && info.Size() > logLimit {
		if err := os.Rename(f.path("log"), f.path("log.1")); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(f.path("log"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
}

// FreePort is a port of 127.0.0.1 at which nobody listens. It lies below those that systems give out by themselves to whoever asks for
// any, so that it is most likely still free a while later.
func FreePort(ctx context.Context) (port int, err error) {
	for range portTries {
		port = firstPort + rand.IntN(ports)
		var listener net.Listener
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, listener.Close()
		}
	}
	return 0, err
}
