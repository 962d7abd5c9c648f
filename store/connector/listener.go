package connector

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lib/pq"
)

// Pauses of a listener that has lost its session.
const (
	reconnectFirst = 100 * time.Millisecond
	reconnectMost  = 5 * time.Second
)

// NewListener opens a session of its own for LISTEN, and opens it again where it is lost; a nil notification then says that some may have
// been missed. It is lib/pq's, for nothing but LISTEN goes through it: there is no statement that could run twice. The DSN is read, the
// socket is dialled and the session is set as Open does. It does not connect before Listen. It has to be closed, which waits for a server
// that is asked something and says nothing.
func NewListener(dsn string, o Options) (*pq.Listener, error) {
	cfg, err := config(dsn, o)
	if err != nil {
		return nil, fmt.Errorf("connector: %w", err)
	}
	settings := maps.Clone(o.Settings)
	if settings == nil {
		settings = map[string]string{}
	}
	_ = wantPrimary(&cfg)
	settings["sslmode"], settings["target_session_attrs"] = string(cfg.SSLMode), string(cfg.TargetSessionAttrs)
	d := listenerDialer{dialer(cfg.ConnectTimeout, o.TCPUserTimeout)}
	return pq.NewDialListener(d, withSettings(spread(dsn), settings), reconnectFirst, reconnectMost, nil), nil
}

// withSettings is the DSN with parameters that win over its own.
func withSettings(dsn string, settings map[string]string) string {
	u, err := url.Parse(dsn)
	if err == nil && u.Scheme != "" && strings.Contains(dsn, "://") {
		q := u.Query()
		for name, value := range settings {
			q.Set(name, value)
		}
		u.RawQuery = q.Encode()
		return u.String()
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		dsn += " " + name + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(settings[name]) + "'"
	}
	return dsn
}

// listenerDialer is the connector's way to dial, in the form that a listener asks for.
type listenerDialer struct{ dial dialFunc }

// Dial implements [pq.Dialer].
func (d listenerDialer) Dial(network, address string) (net.Conn, error) {
	return d.dial(context.Background(), network, address)
}

// DialTimeout implements [pq.Dialer].
func (d listenerDialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.dial(ctx, network, address)
}
