package connector

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/lib/pq"
)

// spread moves the hosts and ports of a URL that names several into its parameters, where lib/pq looks for them: it takes
// "one:5432,two:5432" for the name of a host, and net/url refuses a list of IPv6 addresses. libpq reads a port after each host, and so do we.
func spread(dsn string) string {
	scheme, rest, _ := strings.Cut(dsn, "://")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndex(rest[:end], "@") + 1
	list := strings.Split(rest[at:end], ",")
	if scheme != "postgres" && scheme != "postgresql" || len(list) == 1 {
		return dsn
	}
	hosts, ports := make([]string, len(list)), make([]string, len(list))
	for i, one := range list {
		host, port := one, ""
		if colon := strings.LastIndex(one, ":"); colon > strings.LastIndex(one, "]") {
			host, port = one[:colon], one[colon+1:]
		}
		hosts[i], ports[i] = strings.Trim(host, "[]"), cmp.Or(port, "5432")
	}
	before, after, _ := strings.Cut(rest[end:], "?")
	parameters := "host=" + url.QueryEscape(strings.Join(hosts, ","))
	if !strings.Contains("&"+after, "&port=") { // lib/pq's own way to give each a port
		parameters += "&port=" + url.QueryEscape(strings.Join(ports, ","))
	}
	if after != "" {
		parameters += "&" + after
	}
	return scheme + "://" + rest[:at] + before + "?" + parameters
}

// readOnly is the setting that makes a session's transactions read-only by default.
const readOnly = "default_transaction_read_only"

// wantPrimary has the sessions of a DSN that does not say otherwise look for the server that takes writes: among several hosts, and where one
// name may come to mean a standby. It takes out of the settings that a session is to be read-only, and gives the statement that makes it so
// afterwards: its server would be taken for one that takes no writes.
func wantPrimary(cfg *pq.Config) (afterwards string) {
	if cfg.TargetSessionAttrs == "" {
		cfg.TargetSessionAttrs = pq.TargetSessionAttrsReadWrite
	}
	value, given := cfg.Runtime[readOnly]
	if !given || cfg.TargetSessionAttrs != pq.TargetSessionAttrsReadWrite {
		return ""
	}
	delete(cfg.Runtime, readOnly)
	return "SET " + readOnly + " = " + pq.QuoteLiteral(value)
}
