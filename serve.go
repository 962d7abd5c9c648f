package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/certificate"
	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/demo"
	"github.com/paygraph/paygraph/graph"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/quota"
	"github.com/paygraph/paygraph/resolvers"
	"github.com/paygraph/paygraph/session"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/embedded"
	"github.com/paygraph/paygraph/timer"
	"github.com/paygraph/paygraph/transport"
	"github.com/paygraph/paygraph/web"
)

type serveCommand struct{}

// Run serves until it is asked to stop, and drains.
func (serveCommand) Run(ctx context.Context, a *app) error {
	tuneCollector()
	ctx, cancel := untilOrphaned(ctx)
	defer cancel(nil)
	begin := time.Now()
	f, err := a.listen(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	metrics, hide, err := a.measure(ctx)
	if err != nil {
		return err
	}
	defer hide()
	traces, send, err := a.trace(ctx)
	if err != nil {
		return err
	}
	defer send()
	g, err := a.build(ctx, f, observers{metrics, traces})
	if ctx.Err() != nil {
		a.log.Info("stopped before it was ready", "cause", context.Cause(ctx))
		err = nil
	}
	if g == nil || err != nil {
		return err
	}
	defer g.close()
	f.admit(g.handler, g.store.Synchronous, g.stop)
	g.watch(f)
	a.log.Info("ready", "address", f.url(), "after", time.Since(begin).Round(time.Millisecond))
	_, _ = fmt.Fprint(a.stdout, a.banner(f, g))
	return f.serve(ctx)
}

// tuneCollector lets the heap grow to five times what is alive before it is collected, unless GOGC says otherwise: the gateway keeps
// little and makes much, and with Go's own setting a fifth of its time would go into looking for garbage.
func tuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// gateway is everything behind the front.
type gateway struct {
	observers    observers
	store        *store.Store
	timers       *timer.Sweeper
	issuer       *auth.Issuer
	api          *transport.Handler
	stopTimers   func()
	stopDatabase func()
	stopACME     func()
	demo         *web.Demo // the credential that everybody knows, or nil
	handler      http.Handler
	stop         func(context.Context) // ends what stays open
}

// build starts or reaches the database and puts the gateway on it. What was started is stopped again if it fails.
func (a *app) build(ctx context.Context, f *front, o observers) (_ *gateway, err error) {
	g := &gateway{observers: o, stopTimers: func() {}, stopDatabase: func() {}, stopACME: func() {}}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	f.starting("the database is being started")
	dsn, stop, err := a.database(ctx, true)
	if err != nil {
		return nil, err
	}
	g.stopDatabase = stop
	if err := a.migrate(ctx, dsn); err != nil {
		return nil, err
	}
	watcher, tracer := o.ofStore()
	if g.store, err = store.Open(ctx, store.Config{DSN: dsn, Refusals: payment.Refusals, Watcher: watcher, Tracer: tracer, Log: a.log}); err != nil {
		return nil, err
	}
	if f.acme != nil {
		if err := f.startACME(ctx, g); err != nil {
			return nil, err
		}
	}
	services := demo.Services{
		Merchants: &merchant.Service{Committer: store.Committer[merchant.Batch](g.store), Reader: g.store},
		Ledger:    &ledger.Service{Committer: store.Committer[ledger.Batch](g.store), Reader: g.store},
		Payments:  &payment.Service{Committer: store.Committer[payment.Batch](g.store), Reader: g.store},
		Records:   g.store,
	}
	if a.DatabaseURL == "" {
		f.starting("the demo's data are being made")
		if err := a.seed(ctx, f, g, dsn, services); err != nil {
			return nil, err
		}
	}
	g.timers = &timer.Sweeper{
		Source: g.store, Serve: map[command.TimerKind]timer.Serve{command.PaymentExpires: services.Payments.Expire}, Clock: clock.Real, Log: a.log,
	}
	g.stopTimers = g.timers.Start()
	g.handler, err = a.handler(ctx, f.url(), g, services)
	return g, err
}

// startACME has the certificate asked for, or taken from the database that the nodes share.
func (f *front) startACME(ctx context.Context, g *gateway) error {
	secret, err := g.store.Secret(ctx, "certificate")
	if err != nil {
		return err
	}
	g.stopACME = f.acme.Stop
	return f.acme.Start(g.store, secret)
}

// seed makes the demo's data, and its credential if nobody but this machine can use it.
func (a *app) seed(ctx context.Context, f *front, g *gateway, dsn string, services demo.Services) error {
	admin, err := store.OpenAdmin(dsn)
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	m, err := demo.Merchant(ctx, admin)
	if err != nil {
		return err
	}
	if a.forThisMachine(f) {
		good, err := demo.Credential(ctx, admin, g.store, m)
		if err != nil {
			return err
		}
		if good {
			g.demo = &web.Demo{ClientID: demo.ClientID, ClientSecret: demo.ClientSecret}
		}
	}
	return demo.Seed(ctx, services, m.ID, func(line string) { a.log.Info(line) })
}

// forThisMachine says whether nobody on another machine is meant to reach the gateway, be it through a proxy.
func (a *app) forThisMachine(f *front) bool {
	public, err := url.Parse(cmp.Or(a.PublicURL, f.url()))
	if err != nil || !f.listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return false
	}
	return public.Hostname() == "localhost" || net.ParseIP(public.Hostname()).IsLoopback()
}

// close lets the writers finish what they were given, and stops the database if it is the gateway's own.
func (g *gateway) close() {
	g.stopACME()
	g.stopTimers()
	if g.store != nil {
		_ = g.store.Close()
	}
	g.stopDatabase()
}

// handler wires everything that clients reach.
func (a *app) handler(ctx context.Context, address string, g *gateway, services demo.Services) (http.Handler, error) {
	public := cmp.Or(a.PublicURL, address)
	strangers := quota.NewStrangers(time.Now)
	issuer, err := auth.New(ctx, auth.Config{
		Issuer: public, Audience: public + "/graphql", TTL: a.TokenTTL, Keys: g.store, Outside: a.OutsideIssuers.all, Log: a.log,
		Credentials: credentials{g.store, g.demo != nil}, Strangers: strangers, Address: a.TrustedProxies.Client,
	})
	if err != nil {
		return nil, err
	}
	secret, err := g.store.Secret(ctx, "cursor")
	if err != nil {
		return nil, err
	}
	cursors, err := auth.NewSealer(secret)
	if err != nil {
		return nil, err
	}
	g.issuer = issuer
	sessions := &session.Service{Tokens: issuer, Customers: g.store, Payments: g.store}
	operations := resolvers.Operations{Now: g.store, Snapshot: func() resolvers.Snapshot { return g.store.Snapshot() }}
	mux := http.NewServeMux()
	watcher, tracer := g.observers.ofTransport()
	api := transport.New(transport.Config{
		Schema: graph.NewExecutableSchema(graph.Config{Resolvers: &resolvers.Resolver{
			Merchants: services.Merchants, Ledger: services.Ledger, Payments: services.Payments, Sessions: sessions,
			Cursors: cursors,
			Hub:     g.store.Hub, Now: resolvers.Gathered(g.store),
		}}),
		Authenticate: func(ctx context.Context, token string) (auth.Principal, error) {
			return issuer.Authenticate(ctx, "Bearer "+token)
		},
		InForce:        issuer.InForce,
		Strangers:      strangers,
		Remembers:      issuer.Remembers,
		Address:        a.TrustedProxies.Client,
		CheckSignature: issuer.CheckSignature,
		Documents:      g.store.Document,
		Introspection:  func(p auth.Principal) bool { return g.demo != nil || p.Kind != auth.Anonymous },
		PresentError:   resolvers.PresentError,
		Begin:          operations.Begin,
		Origins:        append([]string{public}, a.Origins...),
		Sockets:        transport.Sockets{InitTimeout: a.WSInitTimeout, PingInterval: a.WSPingInterval, PongTimeout: a.WSPongTimeout},
		Watcher:        watcher,
		Tracer:         tracer,
		Log:            a.log,
	})
	g.api = api
	g.stop = func(ctx context.Context) {
		var hub sync.WaitGroup
		hub.Go(g.store.Hub.Close) // ends queries that wait for events, which sockets would wait for
		api.Stop(ctx)
		hub.Wait()
	}
	mux.Handle("/graphql", api)
	for _, path := range []string{auth.TokenPath, auth.MetadataPath, auth.KeySetPath} {
		mux.Handle(path, bodyInTime(issuer.Handler()))
	}
	if a.showsGraphiQL() {
		mux.Handle("/", web.GraphiQL(web.Config{Demo: g.demo}))
	}
	return mux, nil
}

// credentials are the store's. The one that everybody knows is none outside of the demo, even if the database has it.
type credentials struct {
	auth.CredentialStore
	demo bool
}

// Credential finds a credential. Error: auth.ErrUnknownCredential.
func (c credentials) Credential(ctx context.Context, clientID string) (auth.Credential, error) {
	if clientID == demo.ClientID && !c.demo {
		return auth.Credential{}, auth.ErrUnknownCredential
	}
	return c.CredentialStore.Credential(ctx, clientID)
}

// banner says where to look.
func (a *app) banner(f *front, g *gateway) string {
	public := cmp.Or(a.PublicURL, f.url())
	tokens := public + auth.TokenPath
	lines := []string{"", "Paygraph is ready.", ""}
	if a.showsGraphiQL() {
		lines = append(lines, "  GraphiQL  "+public+"/")
	}
	lines = append(lines, "  GraphQL   "+public+"/graphql")
	switch {
	case g.demo != nil:
		curl := "curl"
		if a.TLSSelfSigned {
			curl += " --insecure"
		}
		lines = append(lines, "  A token   "+curl+" -u "+g.demo.ClientID+":"+g.demo.ClientSecret+" -d grant_type=client_credentials "+tokens)
	case a.DatabaseURL == "" && !a.forThisMachine(f):
		lines = append(lines, "  A token   "+tokens+", with a credential of paygraph credential create;",
			"            there is no demo credential, since other machines can reach it")
	default:
		lines = append(lines, "  A token   "+tokens+", with a credential of paygraph credential create")
	}
	if a.DatabaseURL == "" {
		dir, _ := embedded.DefaultDir() // the cluster has been started with it
		lines = append(lines, "  The data  "+cmp.Or(a.DataDir, dir)+", kept for the next start; --fresh forgets it")
	}
	return strings.Join(append(lines, "", ""), "\n")
}

// parentPoll is how often the gateway looks whether go run is still there.
const parentPoll = 500 * time.Millisecond

// untilOrphaned ends also when go run ends, which passes on neither SIGTERM nor SIGKILL. Other parents may go: a daemon's does.
func untilOrphaned(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	self, err := os.Executable()
	if err != nil || !isOfGoRun(self) {
		return ctx, cancel
	}
	parent := os.Getppid()
	go func() {
		tick := time.NewTicker(parentPoll)
		defer tick.Stop()
		for os.Getppid() == parent {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		cancel(fmt.Errorf("go run (pid %d), which started it, is gone", parent))
	}()
	return ctx, cancel
}

// cached is the folder in Go's build cache that holds a program: since Go 1.24 go run starts it from there the second time.
var cached = regexp.MustCompile(`^[0-9a-f]{64}-d$`)

// isOfGoRun says whether a program lies where go run builds and keeps what it runs.
func isOfGoRun(program string) bool {
	dir := filepath.Dir(program)
	return cached.MatchString(filepath.Base(dir)) || strings.Contains(dir, string(filepath.Separator)+"go-build")
}

// listen takes the address, before anything that takes time is done.
func (a *app) listen(ctx context.Context) (*front, error) {
	secure, err := a.secure()
	if err != nil {
		return nil, err
	}
	acme := a.authority()
	if acme != nil {
		secure = acme.Config()
	}
	listener, err := listenOn(ctx, a.Host, a.Port, "--port")
	if err != nil {
		return nil, err
	}
	f := newFront(listener, secure, a.Origins, strictTransport(a.PublicURL), a.log)
	f.acme = acme
	if a.RedirectPort != 0 {
		plain, err := listenOn(ctx, a.Host, a.RedirectPort, "--redirect-port")
		if err != nil {
			f.close()
			return nil, err
		}
		f.redirect(plain, a.PublicURL)
	}
	return f, nil
}

func listenOn(ctx context.Context, host string, port int, option string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, notListening(err, host, port, option)
	}
	return listener, nil
}

// authority gets a certificate for the public URL's host; nil where that is not asked for.
func (a *app) authority() *certificate.ACME {
	public, err := url.Parse(a.PublicURL)
	if !a.ACME || err != nil {
		return nil
	}
	return certificate.NewACME(certificate.ACMEConfig{
		Host: strings.ToLower(public.Hostname()), Directory: a.ACMEDirectory, Email: a.ACMEEmail, Log: a.log,
	})
}

// secure is how the gateway speaks TLS with a certificate of its own, nil where it has none.
func (a *app) secure() (*tls.Config, error) {
	var source certificate.Source
	switch {
	case a.TLSCert != "":
		files, err := certificate.FromFiles(a.TLSCert, a.TLSKey, a.log)
		if err != nil {
			return nil, fmt.Errorf("the certificate for TLS: %w", err)
		}
		source = files.Get
	case a.TLSSelfSigned:
		public, err := url.Parse(cmp.Or(a.PublicURL, "//localhost"))
		if err != nil {
			return nil, err
		}
		made, err := certificate.SelfSigned("localhost", "127.0.0.1", "::1", a.Host, public.Hostname())
		if err != nil {
			return nil, err
		}
		source = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return made, nil }
	default:
		return nil, nil
	}
	if a.TLSClientCA == "" {
		return certificate.Config(source, nil), nil
	}
	clients, err := certificate.Authorities(a.TLSClientCA)
	if err != nil {
		return nil, fmt.Errorf("the authorities of clients: %w", err)
	}
	return certificate.Config(source, clients), nil
}
