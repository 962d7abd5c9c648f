// Command paygraph is a GraphQL payment gateway on PostgreSQL.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/graph"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/resolvers"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/transport"
	"github.com/paygraph/paygraph/web"
)

// Config is all that can be set, by flags or by the environment.
type Config struct {
	Host        string        `help:"Address to listen on." env:"HOST" default:"127.0.0.1"`
	Port        int           `help:"Port to listen on; 0 takes a free one." env:"PORT" default:"8080"`
	DatabaseURL string        `help:"PostgreSQL database; without it the gateway runs one of its own, with demo data." env:"DATABASE_URL"`
	PublicURL   string        `help:"Scheme and host under which clients reach the gateway; default http://HOST:PORT." env:"PUBLIC_URL"`
	TokenTTL    time.Duration `help:"How long access tokens are good." env:"TOKEN_TTL" default:"15m"`
}

type cli struct {
	Config  `embed:""`
	Serve   serveCmd   `cmd:"" default:"withargs" help:"Run the gateway."`
	Migrate migrateCmd `cmd:"" help:"Bring the database to the shape that this version needs."`
}

func main() {
	var c cli
	parsed := kong.Parse(&c, kong.Name("paygraph"), kong.Description("A GraphQL payment gateway on PostgreSQL."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(&c.Config); err != nil {
		fmt.Fprintln(os.Stderr, "paygraph:", err)
		os.Exit(1)
	}
}

type migrateCmd struct{}

func (migrateCmd) Run(ctx context.Context, c *Config) error { return store.Migrate(ctx, c.DatabaseURL) }

type serveCmd struct{}

func (serveCmd) Run(ctx context.Context, c *Config) error {
	if err := store.Migrate(ctx, c.DatabaseURL); err != nil {
		return err
	}
	s, err := store.Open(ctx, store.Config{DSN: c.DatabaseURL, Refusals: payment.Refusals})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	listener, err := net.Listen("tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.Port)))
	if err != nil {
		return err
	}
	handler, err := c.handler(ctx, s, listener.Addr().String())
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		_ = server.Shutdown(drain)
	}()
	slog.Info("serving", "address", "http://"+listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// handler wires everything that listens.
func (c *Config) handler(ctx context.Context, s *store.Store, address string) (http.Handler, error) {
	url := c.PublicURL
	if url == "" {
		url = "http://" + address
	}
	issuer, err := auth.New(ctx, auth.Config{Issuer: url, Audience: url + "/graphql", TTL: c.TokenTTL, Keys: s, Credentials: s})
	if err != nil {
		return nil, err
	}
	secret, err := s.Secret(ctx, "cursor")
	if err != nil {
		return nil, err
	}
	cursors, err := auth.NewSealer(secret)
	if err != nil {
		return nil, err
	}
	operations := resolvers.Operations{Now: s, Snapshot: func() resolvers.Snapshot { return s.Snapshot() }}
	mux := http.NewServeMux()
	mux.Handle("/graphql", transport.NewHTTP(transport.Config{
		Schema: graph.NewExecutableSchema(graph.Config{Resolvers: &resolvers.Resolver{
			Merchants: &merchant.Service{Committer: store.Committer[merchant.Batch](s), Reader: s},
			Ledger:    &ledger.Service{Committer: store.Committer[ledger.Batch](s), Reader: s},
			Payments:  &payment.Service{Committer: store.Committer[payment.Batch](s), Reader: s},
			Cursors:   cursors,
		}}),
		Authenticate: func(ctx context.Context, token string) (auth.Principal, error) {
			return issuer.Authenticate(ctx, "Bearer "+token)
		},
		Introspection: func(auth.Principal) bool { return true },
		PresentError:  resolvers.PresentError,
		Begin:         operations.Begin,
	}))
	for _, path := range []string{auth.TokenPath, auth.MetadataPath, auth.KeySetPath} {
		mux.Handle(path, issuer.Handler())
	}
	mux.Handle("/", web.GraphiQL(web.Config{}))
	return mux, nil
}
