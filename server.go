// Command paygraph is a GraphQL payment gateway on PostgreSQL.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/certificate"
	"github.com/paygraph/paygraph/quota"
)

func main() {
	if err := realMain(untilAskedToStop(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(os.Stderr, "paygraph:", strings.TrimSpace(line))
		}
		os.Exit(1)
	}
}

// untilAskedToStop ends with the first signal. The second ends the process at once.
func untilAskedToStop() context.Context {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // it is under nohup
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, signals...)
	go func() {
		first := <-asked
		signal.Stop(asked) // before anybody is told, so that no second one is lost
		cancel(fmt.Errorf("%s signal received", first))
	}()
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a log that nobody reads any more is no reason to end without draining
	return ctx
}

// Config is all that can be set, by flags or by the environment; PostgreSQL's programs, the Go runtime and OpenTelemetry have variables of their own.
type Config struct {
	Host           string        `help:"Address to listen on." env:"HOST" default:"127.0.0.1"`
	Port           int           `help:"Port to listen on; 0 takes a free one." env:"PORT" default:"8080"`
	Production     bool          `help:"Refuse to serve what is not safe where strangers come." env:"PRODUCTION"`
	GraphiQL       bool          `help:"GraphiQL at the root in production, too; otherwise it is there anyway." env:"GRAPHIQL" name:"graphiql"`
	DatabaseURL    string        `help:"PostgreSQL, as its owner. Without it the gateway runs a database of its own, with demo data." env:"DATABASE_URL" placeholder:"URL"`
	DataDir        string        `help:"Folder of the gateway's own database." placeholder:"DIR"`
	Fresh          bool          `help:"Forget the gateway's own database and begin with a new one."`
	PublicURL      string        `help:"Scheme and host by which clients reach the gateway; without it where it listens." env:"PUBLIC_URL" placeholder:"URL"`
	Origins        []string      `help:"Pages that may use the API from a browser besides the gateway's own, by scheme, host and port; commas between them." env:"ORIGINS" placeholder:"https://shop.example"`
	TLSCert        string        `help:"Certificate for TLS, in PEM, with those that lead to an authority. It is read again when it changes." env:"TLS_CERT" name:"tls-cert" placeholder:"FILE"`
	TLSKey         string        `help:"The key of the certificate, in PEM." env:"TLS_KEY" name:"tls-key" placeholder:"FILE"`
	TLSSelfSigned  bool          `help:"TLS with a certificate that is made at the start, for trying things out." env:"TLS_SELF_SIGNED" name:"tls-self-signed"`
	ACME           bool          `help:"TLS with a certificate for the host of the public URL, by an authority (RFC 8555). By this you agree to the terms of that authority." env:"ACME" name:"acme"`
	ACMEDirectory  string        `help:"URL of the authority's directory." env:"ACME_DIRECTORY" name:"acme-directory" default:"${acme}" placeholder:"URL"`
	ACMEEmail      string        `help:"Where the authority can write to." env:"ACME_EMAIL" name:"acme-email" placeholder:"ADDRESS"`
	TLSClientCA    string        `help:"Authorities, in PEM: only clients with a certificate by one of them get in." env:"TLS_CLIENT_CA" name:"tls-client-ca" placeholder:"FILE"`
	RedirectPort   int           `help:"Port on which requests over plain HTTP are sent to the public URL; without it none." env:"REDIRECT_PORT" placeholder:"PORT"`
	MetricsHost    string        `help:"Address for metrics and profiles, which are not for strangers." env:"METRICS_HOST" default:"127.0.0.1"`
	MetricsPort    int           `help:"Port for /metrics, in the form of Prometheus, /healthz, and Go's profiles; without it none." env:"METRICS_PORT" placeholder:"PORT"`
	TrustedProxies quota.Proxies `help:"Networks of the proxies in front, parted by commas: their X-Forwarded-For says where requests come from. Nobody else's counts." env:"TRUSTED_PROXIES" placeholder:"NETWORKS"`
	TokenTTL       time.Duration `help:"How long access tokens are good, in whole seconds." env:"TOKEN_TTL" default:"${ttl}"`
	OutsideIssuers issuersFile   `help:"JSON of the OpenID Connect issuers whose tokens are taken as those of merchants' staff." env:"OUTSIDE_ISSUERS" placeholder:"FILE"`
	WSInitTimeout  time.Duration `help:"How long a WebSocket may be open before connection_init." env:"WS_INIT_TIMEOUT" default:"10s"`
	WSPingInterval time.Duration `help:"How often a WebSocket's client is pinged." env:"WS_PING_INTERVAL" default:"15s"`
	WSPongTimeout  time.Duration `help:"How long the client's pong may take." env:"WS_PONG_TIMEOUT" default:"10s"`
	LogLevel       string        `help:"What is logged: ${enum}." enum:"debug,info,warn,error" env:"LOG_LEVEL" default:"info"`
	LogFormat      string        `help:"How it is logged, on standard error: ${enum}." enum:"text,json" env:"LOG_FORMAT" default:"text"`
}

// check says in one sentence each what cannot be right.
func (c *Config) check(serving bool) error {
	var mistakes []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			mistakes = append(mistakes, fmt.Errorf(format, args...))
		}
	}
	wrong(c.Host == "", "HOST is empty: say an address such as 127.0.0.1, or 0.0.0.0 for all of this machine's")
	wrong(c.Port < 0 || c.Port > 65535, "port %d does not exist: choose one from 1 to 65535, or 0 for a free one", c.Port)
	wrong(c.TokenTTL < auth.MinTTL || c.TokenTTL > auth.MaxTTL || c.TokenTTL%time.Second != 0,
		"tokens cannot be good for %s: choose whole seconds from %s to %s", c.TokenTTL, auth.MinTTL, auth.MaxTTL)
	wrong((c.TLSCert == "") != (c.TLSKey == ""), "TLS_CERT and TLS_KEY go together: a certificate is good for nothing without its key")
	wrong(c.TLSCert != "" && c.TLSSelfSigned, "TLS_CERT and TLS_SELF_SIGNED are two certificates: choose one")
	wrong(c.ACME && (c.TLSCert != "" || c.TLSSelfSigned), "ACME gets a certificate, and there is another one: choose one of ACME, TLS_CERT and TLS_SELF_SIGNED")
	wrong(c.ACME && !hasName(c.PublicURL), "ACME gets a certificate for the host of PUBLIC_URL: say one such as https://pay.example, with a name in DNS")
	wrong(c.ACME && !isHTTPS(c.ACMEDirectory), "ACME_DIRECTORY %q must begin with https://", c.ACMEDirectory)
	wrong(c.ACME && c.TLSClientCA != "", "TLS_CLIENT_CA keeps the authority of ACME out, too: say TLS_CERT and TLS_KEY")
	wrong(c.TLSClientCA != "" && !c.encrypts(), "TLS_CLIENT_CA asks for certificates of clients, and needs TLS: say TLS_CERT and TLS_KEY")
	wrong(c.encrypts() && strings.HasPrefix(c.PublicURL, "http:"), "the public URL %q says http, and this gateway speaks TLS", c.PublicURL)
	wrong(c.RedirectPort < 0 || c.RedirectPort > 65535, "port %d does not exist: choose one from 1 to 65535 for REDIRECT_PORT", c.RedirectPort)
	wrong(c.RedirectPort != 0 && c.RedirectPort == c.Port, "REDIRECT_PORT and PORT are the same: choose two")
	wrong(c.RedirectPort != 0 && !strings.HasPrefix(c.PublicURL, "https:"), "REDIRECT_PORT sends to PUBLIC_URL, which must begin with https:// then")
	wrong(c.MetricsHost == "", "METRICS_HOST is empty: say an address such as 127.0.0.1, or one that only your own machines reach")
	wrong(c.MetricsPort < 0 || c.MetricsPort > 65535, "port %d does not exist: choose one from 1 to 65535 for METRICS_PORT", c.MetricsPort)
	wrong(c.MetricsPort != 0 && (c.MetricsPort == c.Port || c.MetricsPort == c.RedirectPort), "METRICS_PORT is another listener's: choose one of its own")
	for name, d := range map[string]time.Duration{
		"WS_INIT_TIMEOUT": c.WSInitTimeout, "WS_PING_INTERVAL": c.WSPingInterval, "WS_PONG_TIMEOUT": c.WSPongTimeout,
	} {
		wrong(d <= 0, "%s is %s: choose more than 0s", name, d)
	}
	wrong(c.PublicURL != "" && !isOrigin(c.PublicURL), "the public URL %q must be scheme and host only, such as https://pay.example",
		c.PublicURL)
	for _, origin := range c.Origins {
		wrong(!isBrowsersOrigin(origin), "ORIGINS has %q: say scheme, host and port as browsers do, such as https://shop.example or http://localhost:3000", origin)
	}
	scheme, _, isURL := strings.Cut(c.DatabaseURL, "://")
	wrong(isURL && !strings.Contains(scheme, "=") && scheme != "postgres" && scheme != "postgresql",
		"DATABASE_URL must begin with postgres://, or be key=value pairs")
	wrong(c.DatabaseURL != "" && c.DataDir != "", "DATABASE_URL and --data-dir name two databases: choose one")
	wrong(c.DatabaseURL != "" && c.Fresh, "--fresh forgets the gateway's own database only: empty that of DATABASE_URL yourself")
	if c.Production && serving {
		c.checkProduction(wrong)
	}
	wrong(c.Fresh && !serving, "--fresh forgets everything and goes with serve only")
	return errors.Join(mistakes...)
}

// issuersFile is a file of outside issuers, read when the arguments are.
type issuersFile struct {
	path string
	all  []auth.Outside
}

// UnmarshalText takes the file's path.
func (f *issuersFile) UnmarshalText(path []byte) error {
	text, err := os.ReadFile(string(path))
	if err != nil {
		return err
	}
	f.path = string(path)
	f.all, err = auth.ParseOutside(text)
	return err
}

// encrypts says whether the gateway speaks TLS itself.
func (c *Config) encrypts() bool { return c.TLSCert != "" || c.TLSSelfSigned || c.ACME }

// isHTTPS says whether a URL is one of a host that encrypts.
func isHTTPS(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Host != ""
}

// dnsName is a name of two labels or more (RFC 1123, section 2.1), and no address.
var dnsName = regexp.MustCompile(`(?i)^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)

// hasName says whether an https URL has a host that an authority can know.
func hasName(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && dnsName.MatchString(u.Hostname())
}

// isOrigin says whether a URL is a scheme and a host, and nothing else.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && text == u.Scheme+"://"+u.Host
}

// isBrowsersOrigin says whether a text is an origin as browsers write it (Fetch, section 3.2): in small letters, without the port that goes without saying, and
// with no part left open.
func isBrowsersOrigin(text string) bool {
	scheme, host, _ := strings.Cut(text, "://")
	usual := map[string]string{"https": ":443", "http": ":80"}
	return isOrigin(text) && text == strings.ToLower(text) && !strings.ContainsAny(text, "*@") && !strings.HasSuffix(host, usual[scheme])
}

// LogValue shows all but secrets: of DATABASE_URL neither the password nor the parameters, which may hold another.
func (c *Config) LogValue() slog.Value {
	database := c.DatabaseURL
	if u, err := url.Parse(database); err == nil && u.Host != "" && u.Fragment == "" {
		u.RawQuery = ""
		database = u.Redacted()
	} else if database != "" {
		database = "(not shown)"
	}
	return slog.GroupValue(
		slog.Bool("production", c.Production), slog.Bool("graphiql", c.GraphiQL), slog.String("host", c.Host), slog.Int("port", c.Port),
		slog.String("databaseUrl", database), slog.String("dataDir", c.DataDir),
		slog.Bool("fresh", c.Fresh), slog.String("publicUrl", c.PublicURL), slog.Any("origins", c.Origins),
		slog.String("tlsCert", c.TLSCert), slog.String("tlsKey", c.TLSKey),
		slog.Bool("tlsSelfSigned", c.TLSSelfSigned), slog.Bool("acme", c.ACME),
		slog.String("acmeDirectory", c.ACMEDirectory), slog.String("acmeEmail", c.ACMEEmail), slog.String("tlsClientCa", c.TLSClientCA), slog.Int("redirectPort", c.RedirectPort),
		slog.String("metricsHost", c.MetricsHost), slog.Int("metricsPort", c.MetricsPort),
		slog.String("trustedProxies", c.TrustedProxies.String()), slog.Duration("tokenTtl", c.TokenTTL), slog.String("outsideIssuers", c.OutsideIssuers.path),
		slog.Duration("wsInitTimeout", c.WSInitTimeout), slog.Duration("wsPingInterval", c.WSPingInterval),
		slog.Duration("wsPongTimeout", c.WSPongTimeout),
		slog.String("logLevel", c.LogLevel), slog.String("logFormat", c.LogFormat),
	)
}

func (c *Config) logger(to io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // kong has checked it
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}

// commands are what a person can type.
type commands struct {
	Config `embed:""`

	Serve      serveCommand      `cmd:"" default:"withargs" help:"Run the gateway. This is the default."`
	Migrate    migrateCommand    `cmd:"" help:"Bring the database to the shape that this version needs."`
	Merchant   merchantCommand   `cmd:"" help:"Merchants: create, list."`
	Credential credentialCommand `cmd:"" help:"Merchants' credentials: create, keys, limits, sign, documents, revoke."`
	Documents  documentsCommand  `cmd:"" help:"Documents that merchants trust their clients to run: upload, list, retire."`
	SigningKey signingKeyCommand `cmd:"" help:"The keys that sign access tokens: rotate."`
	Verify     verifyCommand     `cmd:"" help:"Hold the whole database against the log."`
	Show       configCommand     `cmd:"" name:"config" help:"Print the configuration without secrets, and where each value comes from."`
	Soak       soakCommand       `cmd:"" help:"Have a gateway on a database of its own survive kills, freezes, cuts and full disks under load."`
}

// app is what a command works with.
type app struct {
	*Config
	stdout   io.Writer // what the command is for
	progress io.Writer // what it is at
	log      *slog.Logger
}

// realMain does what the arguments say. Its error is for the person at the terminal: a sentence a line.
func realMain(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	// kong would put U+FFFD in the place of what is no UTF-8.
	if i := slices.IndexFunc(args, func(a string) bool { return !utf8.ValidString(a) }); i >= 0 {
		return fmt.Errorf("the argument %q is not UTF-8", args[i])
	}
	var c commands
	parser, err := kong.New(&c, kong.Name("paygraph"), kong.Description("A GraphQL payment gateway on PostgreSQL."),
		kong.Writers(stdout, stderr), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"ttl": auth.DefaultTTL.String(), "acme": certificate.DefaultDirectory})
	if err != nil {
		return err
	}
	chosen, err := parser.Parse(args)
	if err != nil {
		return err
	}
	if err := c.check(chosen.Command() == "serve" || chosen.Command() == "config"); err != nil {
		return err
	}
	a := &app{&c.Config, stdout, stderr, c.logger(stderr)}
	slog.SetDefault(a.log)
	a.log.Debug("configuration", "config", a.Config)
	chosen.Bind(chosen)
	chosen.BindTo(ctx, (*context.Context)(nil))
	return chosen.Run(a)
}
