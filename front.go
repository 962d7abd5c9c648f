package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/cors"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/certificate"
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
	log      *slog.Logger
	scheme   string
	server   *http.Server
	acme     *certificate.ACME // nil: the certificate is none of an authority's that it asks itself
	plain    *http.Server      // sends those who come over plain HTTP to where it is encrypted; nil: nobody does
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

// newFront serves at once, over TLS where secure is not nil. Pages of origins may use the API. strict is the header by which browsers learn to come by TLS alone; "": they do not.
func newFront(listener net.Listener, secure *tls.Config, origins []string, strict string, log *slog.Logger) *front {
	f := &front{listener: listener, log: log, scheme: "http", ended: make(chan error, 2), silent: silent{connections: map[net.Conn]bool{}}}
	f.starting("the gateway is starting")
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { answerHealth(w, "", nil) })
	mux.HandleFunc("/readyz", f.ready)
	for _, path := range []string{"/graphql", auth.TokenPath} {
		mux.Handle(path, forPagesOf(origins, http.HandlerFunc(f.pass)))
	}
	mux.HandleFunc("/", f.pass)
	f.server = f.newServer(mux, strict)
	f.server.TLSConfig = secure
	serve := func() error { return f.server.Serve(listener) }
	if secure != nil {
		f.scheme = "https"
		serve = func() error { return f.server.ServeTLS(listener, "", "") }
	}
	go func() { f.ended <- serve() }()
	return f
}

// preflightAge is for how many seconds a browser remembers what a page may do: two hours, the longest that Chromium does.
const preflightAge = 7200

// forPagesOf has browsers let the scripts of pages elsewhere use a handler (Fetch, section 3.3). They may send any header, and no cookie: there is none.
func forPagesOf(origins []string, h http.Handler) http.Handler {
	if len(origins) == 0 {
		return h
	}
	return cors.New(cors.Options{
		AllowOriginFunc: func(origin string) bool { return slices.Contains(origins, origin) },
		AllowedMethods:  []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders:  []string{"*"},
		ExposedHeaders:  []string{"X-Request-Id", "RateLimit", "RateLimit-Policy", "Retry-After"},
		MaxAge:          preflightAge,
	}).Handler(h)
}

// newServer answers with h, and with the headers for browsers that are the same for all.
func (f *front) newServer(h http.Handler, strict string) *http.Server {
	headers := http.Header{"X-Content-Type-Options": {"nosniff"}, "Referrer-Policy": {"no-referrer"}} // the values are shared, and never changed
	if strict != "" {
		headers["Strict-Transport-Security"] = []string{strict}
	}
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			maps.Copy(w.Header(), headers)
			h.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: headerTime, WriteTimeout: writeTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader, ConnState: f.silent.note,
		ErrorLog: slog.NewLogLogger(quietHandshakes{f.log.Handler()}, slog.LevelWarn),
	}
}

// quietHandshakes is a log in which TLS handshakes that fail are no warnings: strangers make as many as they like.
type quietHandshakes struct{ slog.Handler }

func (q quietHandshakes) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "http: TLS handshake error") {
		if r.Level = slog.LevelDebug; !q.Enabled(ctx, r.Level) {
			return nil
		}
	}
	return q.Handler.Handle(ctx, r)
}

// strictTransport is the Strict-Transport-Security header (RFC 6797) for a public URL: none for this machine, of which browsers would believe it for
// whatever else runs there.
func strictTransport(public string) string {
	u, err := url.Parse(public)
	if err != nil || u.Scheme != "https" || u.Hostname() == "localhost" || net.ParseIP(u.Hostname()) != nil {
		return ""
	}
	return "max-age=63072000"
}

// redirect sends whoever comes over plain HTTP to the public URL. What has a body, and perhaps a token, has been read by others on the way already, and is
// refused: its sender is to find out.
func (f *front) redirect(from net.Listener, public string) {
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.RequestURI()
		if r.Method != http.MethodGet && r.Method != http.MethodHead || !strings.HasPrefix(path, "/") { // without its slash it would name another host
			http.Error(w, "this is not encrypted: use "+public, http.StatusForbidden)
			return
		}
		http.Redirect(w, r, public+path, http.StatusPermanentRedirect)
	})
	if f.acme != nil {
		handler = f.acme.Handler(handler)
	}
	f.plain = f.newServer(handler, "") // browsers believe Strict-Transport-Security only where it was encrypted (RFC 6797, section 7.2)
	go func() { f.ended <- f.plain.Serve(from) }()
}

// starting says what is being done.
func (f *front) starting(reason string) { f.state.Store(&state{reason: reason}) }

// admit lets requests in.
func (f *front) admit(handler http.Handler, c check, stop func(context.Context)) {
	f.state.Store(&state{handler: handler, check: remembered(c), stop: stop})
}

// serve returns when the context has ended and running requests are finished.
func (f *front) serve(ctx context.Context) error {
	select {
	case err := <-f.ended:
		return fmt.Errorf("serving ended: %w", err)
	case <-ctx.Done():
	}
	f.log.Info("stopping: running requests are finished, new ones are not taken", "cause", context.Cause(ctx))
	was := f.state.Load()
	f.state.Store(&state{reason: "the gateway is stopping", handler: was.handler, check: was.check, stop: was.stop})
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	time.AfterFunc(silentTime, f.silent.close)
	var opened sync.WaitGroup
	opened.Go(func() { was.stop(drain) })
	if f.plain != nil {
		opened.Go(func() { _ = f.plain.Shutdown(drain) })
	}
	defer opened.Wait()
	if err := f.server.Shutdown(drain); err != nil {
		f.log.Warn("requests were still running when the time for stopping was up", "after", drainTime)
	}
	return nil
}

// close ends the server at once.
func (f *front) close() {
	_ = f.server.Close()
	if f.plain != nil {
		_ = f.plain.Close()
	}
}

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
	reason, synchronous := f.readiness(r.Context())
	if reason != "" {
		answerHealth(w, reason, nil)
		return
	}
	answerHealth(w, "", &synchronous)
}

// readiness is why a request that comes now would not be served; empty: it would.
func (f *front) readiness(ctx context.Context) (reason string, synchronous bool) {
	s := f.state.Load()
	if s.reason != "" {
		return s.reason, false
	}
	synchronous, err := s.check(ctx)
	if err != nil {
		return "the database does not answer, or takes no writes", false
	}
	return "", synchronous
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
		return fmt.Sprintf("%s://localhost:%d", f.scheme, address.Port)
	}
	return f.scheme + "://" + address.String()
}

// notListening says why the address cannot be had, and what to do. option is the one for the port.
func notListening(err error, host string, port int, option string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %d of %s is taken, perhaps by another paygraph: stop that, or choose another port with %s", port, host, option)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %d of %s is not for this user: choose one above 1023 with %s", port, host, option)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		if option != metricsOption {
			option = "--port"
		}
		return fmt.Errorf("%s is not an address of this machine: choose another with %s", host, strings.Replace(option, "port", "host", 1))
	}
	return fmt.Errorf("it cannot listen on %s, port %d: %w", host, port, err)
}
