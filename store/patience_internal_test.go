package store

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

// TestAMigrationsPatience is for tables that others use: a minute, whatever time the migration itself took.
func TestAMigrationsPatience(t *testing.T) {
	t.Parallel()
	busy := []error{&pq.Error{Code: pqerror.LockNotAvailable}, &pq.Error{Code: pqerror.TRDeadlockDetected}}
	for name, c := range map[string]struct {
		answers []error // the last one is given again and again
		works   int     // how often it is at work for an hour before it answers, as when it makes an index
		took    time.Duration
		want    string // in the error
	}{
		"nothing in the way":      {[]error{nil}, 1, 0, ""},
		"wrong":                   {[]error{&pq.Error{Code: pqerror.SyntaxError, Message: "odd"}}, 1, 0, "odd"},
		"busy for a while":        {append(busy, busy[0], nil), 1, 3 * migrationAgain, ""},
		"then wrong":              {append(busy, errors.New("odd")), 1, 2 * migrationAgain, "odd"},
		"busy for ever":           {busy, 1, migrationPatience, "used a table for a minute"},
		"in the way of long work": {append(busy, busy[0], nil), 4, 3 * migrationAgain, ""},
		"and then busy for ever":  {busy, 3, 2*migrationAgain + migrationPatience, "used a table for a minute"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, begin := 0, time.Now()
				err := patiently(t.Context(), slog.New(slog.DiscardHandler), func() error {
					if n++; n <= c.works {
						time.Sleep(time.Hour)
					}
					return c.answers[min(n, len(c.answers))-1]
				})
				if took := time.Since(begin) - time.Duration(c.works)*time.Hour; took < c.took || took > c.took+2*migrationAgain {
					t.Errorf("it took %v beside its work, want %v", took, c.took)
				}
				if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("the error is %v, want %q", err, c.want)
				}
			})
		})
	}
}

func TestAMigrationEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := patiently(ctx, slog.New(slog.DiscardHandler), func() error { return &pq.Error{Code: pqerror.LockNotAvailable} })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
