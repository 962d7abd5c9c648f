package transport

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/paygraph/paygraph/answer"
)

// TestTrustHasItsTime: what was uploaded or retired counts ten seconds later, and what is known counts five minutes while the store is away.
func TestTrustHasItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		text, away := "", error(nil)
		d := newDocuments(func(context.Context, answer.MerchantID, string) (string, error) { return text, away })
		says := func(want string, wantErr bool) {
			t.Helper()
			name := named{"mer_1", "x"}
			got, known := d.known(name)
			var err error
			if !known {
				got, err = d.ask(t.Context(), name)
			}
			if got != want || (err != nil) != wantErr {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		}
		says("", false)
		text = "{ hello }"
		says("", false)
		time.Sleep(TrustedAge)
		says("{ hello }", false)
		text = ""
		says("{ hello }", false)
		away = errors.New("away")
		time.Sleep(TrustedAge)
		says("{ hello }", false)
		time.Sleep(trustedGoodFor)
		says("", true)
		away = nil
		says("", false)
	})
}

// TestTextsAreBounded in bytes, and those that were used last stay.
func TestTextsAreBounded(t *testing.T) {
	t.Parallel()
	texts := newTexts(10_000)
	long := strings.Repeat("x", 3000)
	first := named{"mer_1", "first"}
	texts.put(first, entry{text: long})
	for _, id := range []string{"a", "b", "c", "d", "d"} {
		texts.put(named{"mer_1", id}, entry{text: long})
		if _, there := texts.get(first); !there {
			t.Errorf("the one that is used has gone with %s", id)
		}
		if texts.bytes > 10_000 {
			t.Errorf("%d bytes", texts.bytes)
		}
	}
	if _, there := texts.get(named{"mer_1", "a"}); there {
		t.Error("the oldest is still there")
	}
	if n := texts.kept.Len(); n != 3 || texts.bytes != 2*weightOf(named{"mer_1", "a"}, entry{text: long})+weightOf(first, entry{text: long}) {
		t.Errorf("%d texts of %d bytes", n, texts.bytes)
	}
}
