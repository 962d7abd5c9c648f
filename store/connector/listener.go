package connector

import (
	"fmt"
	"net/url"
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
// been missed. It is lib/pq's, for nothing but LISTEN goes through it: there is no statement that could run twice. The DSN is read as
// Open does. It does not connect before Listen. It has to be closed.
func NewListener(dsn string) (*pq.Listener, error) {
	cfg, err := config(dsn, Options{})
	if err != nil {
		return nil, fmt.Errorf("connector: %w", err)
	}
	return pq.NewListener(withSSLMode(dsn, cfg.SSLMode), reconnectFirst, reconnectMost, nil), nil
}

// withSSLMode is the DSN with the mode that Open would take.
func withSSLMode(dsn string, mode pq.SSLMode) string {
	if !strings.Contains(dsn, "://") {
		return strings.TrimSpace(dsn + " sslmode=" + string(mode))
	}
	u, err := url.Parse(dsn)
	if err != nil { // config has read it
		return dsn
	}
	q := u.Query()
	q.Set("sslmode", string(mode))
	u.RawQuery = q.Encode()
	return u.String()
}
