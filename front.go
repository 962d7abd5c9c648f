package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/paygraph/paygraph/transport"
)

// Limits of the HTTP server. The transport has its own for an operation.
const (
	headerTime    = 10 * time.Second       // until the last byte of the header has come
	bodyTime      = 10 * time.Second       // until the last byte of a body has come, where the transport does not see to it
	writeTime     = time.Minute            // from the header to the last byte of the answer: longer than an operation may run
	idleTime      = 2 * time.Minute        // between two requests
	maxHeader     = 256 << 10              // bytes; a query in a URL is in it
	readyTime     = 2 * time.Second        // for the database to answer /readyz
	readyAge      = 500 * time.Millisecond // of an answer of the database that is given again
	drainTime     = 15 * time.Second       // for running requests, once the gateway was asked to stop
	silentTime    = 500 * time.Millisecond // for connections on which nothing has come yet, then
	startingRetry = "1"                    // seconds after which a client tries again
	startingMs    = 1000                   // the same in milliseconds
)

// front is the HTTP server. It listens before there is anything behind it, and says so.
type front struct {
	listener net.Listener
	server   *http.Server
	ended    chan error
	state    atomic.Pointer[state]
	silent   silent
}

// state is what the front says of the gateway.
type state struct {
	reason  string // why it is not ready; empty: it is, if check says so
	handler http.Handler
	check   check
	stop    func(context.Context) // ends what stays open: WebSockets, streams of events
}

// check says whether the database answers and takes writes, and whether it commits on a standby too before it answers.
type check func(context.Context) (synchronous bool, err error)

func newFront(listener net.Listener, log *slog.Logger) *front {
	f := &front{listener: listener, ended: make(chan error, 1), silent: silent{connections: map[net.Conn]bool{}}}
	f.starting("the gateway is starting")
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { answerHealth(w, "", nil) })
	mux.HandleFunc("/readyz", f.ready)
	mux.HandleFunc("/", f.pass)
	f.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: headerTime, WriteTimeout: writeTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ConnState: f.silent.note,
	}
	go func() { f.ended <- f.server.Serve(listener) }()
	return f
}

// starting says what is being done.
func (f *front) starting(reason string) { f.state.Store(&state{reason: reason}) }

// admit lets requests in.
func (f *front) admit(handler http.Handler, c check, stop func(context.Context)) {
	f.state.Store(&state{handler: handler, check: remembered(c), stop: stop})
}

// serve returns when the context has ended and running requests are finished.
func (f *front) serve(ctx context.Context, log *slog.Logger) error {
	select {
	case err := <-f.ended:
		return fmt.Errorf("serving ended: %w", err)
	case <-ctx.Done():
	}
	log.Info("stopping: running requests are finished, new ones are not taken", "cause", context.Cause(ctx))
	was := f.state.Load()
	f.state.Store(&state{reason: "the gateway is stopping", handler: was.handler, check: was.check, stop: was.stop})
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	time.AfterFunc(silentTime, f.silent.close)
	var opened sync.WaitGroup
	opened.Go(func() { was.stop(drain) })
	defer opened.Wait()
	if err := f.server.Shutdown(drain); err != nil {
		log.Warn("requests were still running when the time for stopping was up", "after", drainTime)
	}
	return nil
}

// close ends the server at once.
func (f *front) close() { _ = f.server.Close() }

// pass hands a request on, or says that it is too early.
func (f *front) pass(w http.ResponseWriter, r *http.Request) {
	s := f.state.Load()
	if s.handler != nil {
		s.handler.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Retry-After", startingRetry)
	if r.URL.Path == "/" { // a browser that is early
		w.Header().Set("Refresh", startingRetry)
	}
	id := transport.SetRequestID(w.Header(), r.Header)
	answerJSON(w, http.StatusServiceUnavailable, map[string]any{"errors": []any{map[string]any{
		"message":    "not ready: " + s.reason,
		"extensions": map[string]any{"code": "NOT_READY", "requestId": id, "retryable": true, "retryAfterMs": startingMs},
	}}})
}

// ready is /readyz: whether a request that comes now would be served, and whether what was answered outlives the database's machine.
func (f *front) ready(w http.ResponseWriter, r *http.Request) {
	s := f.state.Load()
	if s.reason != "" {
		answerHealth(w, s.reason, nil)
		return
	}
	synchronous, err := s.check(r.Context())
	if err != nil {
		answerHealth(w, "the database does not answer, or takes no writes", nil)
		return
	}
	answerHealth(w, "", &synchronous)
}

// health is the answer of /healthz and /readyz.
type health struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
	// SynchronousReplication false: a failover of the database can lose the last payments that were answered.
	SynchronousReplication *bool `json:"synchronousReplication,omitempty"`
}

func answerHealth(w http.ResponseWriter, reason string, synchronous *bool) {
	if reason != "" {
		w.Header().Set("Retry-After", startingRetry)
		answerJSON(w, http.StatusServiceUnavailable, health{Status: "unavailable", Reason: reason})
		return
	}
	answerJSON(w, http.StatusOK, health{Status: "ok", SynchronousReplication: synchronous})
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// remembered asks the database anew only after readyAge, however many ask: /readyz is open to everybody.
func remembered(c check) check {
	var mu sync.Mutex
	var at time.Time
	var last bool
	var lastErr error
	return func(ctx context.Context) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(at) > readyAge {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTime)
			defer cancel()
			last, lastErr = c(ctx)
			at = time.Now()
		}
		return last, lastErr
	}
}

// silent are the connections on which nothing has come yet: browsers keep some in reserve. Shutdown would wait 5 s for each.
type silent struct {
	mu          sync.Mutex
	connections map[net.Conn]bool
}

func (s *silent) note(c net.Conn, now http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now == http.StateNew {
		s.connections[c] = true
	} else {
		delete(s.connections, c)
	}
}

func (s *silent) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.connections {
		_ = c.Close()
	}
}

// bodyInTime bounds the time that a body may take.
func bodyInTime(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
		h.ServeHTTP(w, r)
	})
}

// url is the front's address for clients on this machine.
func (f *front) url() string {
	address := f.listener.Addr().(*net.TCPAddr)
	if address.IP.IsUnspecified() {
		return fmt.Sprintf("http://localhost:%d", address.Port)
	}
	return "http://" + address.String()
}

// notListening says why the address cannot be had, and what to do.
func (a *app) notListening(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %d of %s is taken, perhaps by another paygraph: stop that, or choose another port with --port", a.Port,
			a.Host)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %d of %s is not for this user: choose one above 1023 with --port", a.Port, a.Host)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine: choose another with --host", a.Host)
	}
	return fmt.Errorf("it cannot listen on %s, port %d: %w", a.Host, a.Port, err)
}
