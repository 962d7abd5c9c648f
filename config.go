package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"
)

// shortestPassword is how many characters a password of the database has at least, in production.
const shortestPassword = 12

// checkProduction says what is not safe where strangers come.
func (c *Config) checkProduction(wrong func(is bool, format string, args ...any)) {
	wrong(c.DatabaseURL == "", "in production DATABASE_URL is needed: the gateway's own database has demo data, and a credential that everybody knows")
	wrong(!strings.HasPrefix(c.PublicURL, "https:"), "in production PUBLIC_URL is needed, and begins with https://: tokens are made for it, and sent to it")
	wrong(c.TLSSelfSigned, "in production nobody vouches for TLS_SELF_SIGNED: say TLS_CERT and TLS_KEY, or ACME")
	wrong(!c.encrypts() && !c.encryptedInFront(),
		"in production %s is reached without encryption: say TLS_CERT and TLS_KEY, or ACME, or TRUSTED_PROXIES, which encrypt in front of it", c.Host)
	for _, origin := range c.Origins {
		wrong(strings.HasPrefix(origin, "http:"), "in production ORIGINS has %s, a page that anybody on the way can change", origin)
	}
	u, err := url.Parse(c.DatabaseURL)
	if err != nil || u.User == nil {
		return
	}
	password, there := u.User.Password()
	wrong(there && (len(password) < shortestPassword || password == u.User.Username()),
		"in production the password in DATABASE_URL has %d characters or more, and is not its user's name", shortestPassword)
	wrong(u.Query().Get("sslmode") == "disable" && !isThisMachine(u.Hostname()), "in production DATABASE_URL must not say sslmode=disable: the database is another machine")
}

// encryptedInFront says whether something in front of the gateway encrypts: clients come to an https URL, and proxies speak for them.
func (c *Config) encryptedInFront() bool {
	return strings.HasPrefix(c.PublicURL, "https:") && len(c.TrustedProxies) > 0
}

func isThisMachine(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// showsGraphiQL says whether GraphiQL is at the root: in production only where that was said.
func (c *Config) showsGraphiQL() bool { return c.GraphiQL || !c.Production }

type configCommand struct{}

// Run prints all that can be set, as it is, without secrets, and where it comes from.
func (configCommand) Run(_ context.Context, a *app, parsed *kong.Context) error {
	given := map[string]string{}
	for _, flag := range parsed.Flags() {
		given[settingName(flag.Name)] = origin(flag)
	}
	for _, step := range parsed.Path {
		if step.Flag != nil {
			given[settingName(step.Flag.Name)] = "--" + step.Flag.Name
		}
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, setting := range a.LogValue().Group() {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", setting.Key, shownSetting(setting.Value), given[setting.Key])
	}
	return table.Flush()
}

// origin says where a value comes from, unless it was a flag.
func origin(flag *kong.Flag) string {
	for _, name := range flag.Envs {
		if _, there := os.LookupEnv(name); there {
			return name
		}
	}
	return "default"
}

// shownSetting is a value on one line, whatever is in it.
func shownSetting(v slog.Value) string {
	text := v.String()
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Sprintf("%q", text)
	}
	return text
}

// settingName is how the log calls what a flag sets: databaseUrl for database-url.
func settingName(flag string) string {
	words := strings.Split(flag, "-")
	for n, word := range words[1:] {
		words[n+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}
