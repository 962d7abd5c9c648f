package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/quota"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// keysNamed are keys with these identifiers: the one of RFC 8037, appendix A.2.
func keysNamed(t *testing.T, kid string) auth.ClientKeys {
	t.Helper()
	keys, err := auth.ParseClientKeys(fmt.Appendf(nil,
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":%q}`, kid))
	must(t, err)
	return keys
}

func TestACredentialHasKeysInsteadOfASecret(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	made := auth.Credential{ClientID: "signs", Merchant: p.Merchant, Keys: keysNamed(t, "old"), Scopes: auth.AllScopes, CreatedAt: time.Now()}
	must(t, h.Admin.CreateCredential(t.Context(), made))
	must(t, h.Admin.CreateCredential(t.Context(), auth.Credential{ClientID: "tells", Merchant: p.Merchant, SecretHash: []byte("x"), CreatedAt: time.Now()}))
	expect := func(kid string) {
		t.Helper()
		found, err := h.Store.Credential(t.Context(), "signs")
		if err != nil || found.SecretHash != nil || !slices.Equal(found.Keys.IDs(), []string{kid}) {
			t.Errorf("%+v, %v", found, err)
		}
	}
	expect("old")
	must(t, h.Admin.SetCredentialKeys(t.Context(), "signs", keysNamed(t, "new")))
	expect("new")
	if err := h.Admin.SetCredentialKeys(t.Context(), "tells", keysNamed(t, "new")); !errors.Is(err, store.ErrHasSecret) {
		t.Errorf("one that has a secret: %v", err)
	}
	if found, err := h.Store.Credential(t.Context(), "tells"); err != nil || !found.Keys.Empty() {
		t.Errorf("%+v, %v", found, err)
	}
	if err := h.Admin.SetCredentialKeys(t.Context(), "nobody", keysNamed(t, "new")); !errors.Is(err, auth.ErrUnknownCredential) {
		t.Errorf("one that is not there: %v", err)
	}
}

func TestACredentialsLimits(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	some := quota.Limits{PointsPerSecond: 7, Burst: 9}
	for id, l := range map[string]quota.Limits{"usual": {}, "more": some} {
		must(t, h.Admin.CreateCredential(t.Context(), auth.Credential{ClientID: id, Merchant: p.Merchant, SecretHash: []byte("x"), CreatedAt: time.Now(), Quota: l}))
	}
	expect := func(id string, want quota.Limits) {
		t.Helper()
		if found, err := h.Store.Credential(t.Context(), id); err != nil || found.Quota != want {
			t.Errorf("%s: %+v, %v, want %+v", id, found.Quota, err, want)
		}
	}
	expect("usual", quota.Limits{})
	expect("more", some)
	must(t, h.Admin.SetCredentialLimits(t.Context(), "usual", quota.Limits{AtOnce: 3}))
	expect("usual", quota.Limits{AtOnce: 3})
	must(t, h.Admin.SetCredentialLimits(t.Context(), "more", quota.Limits{}))
	expect("more", quota.Limits{})
	if err := h.Admin.SetCredentialLimits(t.Context(), "more", quota.Limits{Burst: -1}); !errors.Is(err, quota.ErrLimits) {
		t.Errorf("no limit: %v", err)
	}
	if err := h.Admin.SetCredentialLimits(t.Context(), "nobody", some); !errors.Is(err, auth.ErrUnknownCredential) {
		t.Errorf("one that is not there: %v", err)
	}
}

// using is a store whose sessions for values that are used once are open: on a busy machine that takes longer than a value may.
func using(t *testing.T) (h *storetest.House, use func(client, value string, ends time.Duration) bool) {
	t.Helper()
	h = storetest.New(t)
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for end := time.Now().Add(patience); ; {
				if _, err := h.Store.UseOnce(t.Context(), "warm", []byte{byte(n)}, time.Now().Add(time.Hour)); err == nil || time.Now().After(end) {
					return
				}
			}
		})
	}
	all.Wait()
	return h, func(client, value string, ends time.Duration) bool {
		first, err := h.Store.UseOnce(t.Context(), client, []byte(value), time.Now().Add(ends))
		if err != nil {
			t.Error(err)
		}
		return first
	}
}

func TestAValueIsUsedOnce(t *testing.T) {
	t.Parallel()
	_, use := using(t)
	var firsts atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if use("a", "same", time.Hour) {
				firsts.Add(1)
			}
		})
	}
	all.Wait()
	if n := firsts.Load(); n != 1 {
		t.Errorf("%d were the first", n)
	}
	if !use("b", "same", time.Hour) || !use("a", "other", time.Hour) {
		t.Error("another client's, or another value, is taken for the same")
	}
	if use("a", "its time has passed", -time.Second) {
		t.Error("a value is good after its end by the database's clock")
	}
}

// TestWhatHasEndedIsForgotten a minute later, also where two nodes sweep at once.
func TestWhatHasEndedIsForgotten(t *testing.T) {
	t.Parallel()
	h, use := using(t)
	other := storetest.At(t, h.DSN)
	db := owner(t, h.DSN)
	if !use("a", "same", time.Hour) {
		t.Error("it is new")
	}
	for n, values := range []int{2500, 3} {
		_, err := db.Exec(`INSERT INTO used_once SELECT 'gone', ($1 || ' ' || n)::bytea, clock_timestamp() - interval '61 seconds' FROM generate_series(1, $2::int) n
			UNION ALL SELECT 'stays', ($1 || ' late')::bytea, clock_timestamp() - interval '5 seconds'`, fmt.Sprint(n), values)
		must(t, err)
		until(t, "what has ended is forgotten", func() bool {
			use("b", fmt.Sprint(time.Now().UnixNano()), time.Hour)
			_, _ = other.Store.UseOnce(t.Context(), "c", fmt.Append(nil, time.Now().UnixNano()), time.Now().Add(time.Hour)) // its sessions open meanwhile
			var left int
			must(t, db.QueryRow(`SELECT count(*) FROM used_once WHERE client_id = 'gone'`).Scan(&left))
			return left == 0
		})
		var left int
		must(t, db.QueryRow(`SELECT count(*) FROM used_once WHERE client_id = 'stays'`).Scan(&left))
		if left != n+1 {
			t.Errorf("of those that have just ended %d are remembered, want %d", left, n+1)
		}
	}
	if use("a", "same", time.Hour) {
		t.Error("what is still good was forgotten")
	}
}

// TestAClientHasItsShareOfThePlaces where values are used up, and leaves the others to others.
func TestAClientHasItsShareOfThePlaces(t *testing.T) {
	t.Parallel()
	h, _ := using(t)
	locked, err := owner(t, h.DSN).BeginTx(t.Context(), nil)
	must(t, err)
	_, err = locked.Exec(`LOCK TABLE used_once IN EXCLUSIVE MODE`)
	must(t, err)
	var all sync.WaitGroup
	var refused, wrong atomic.Int64
	use := func(client string, times int) {
		for n := range times {
			all.Go(func() {
				switch _, err := h.Store.UseOnce(t.Context(), client, fmt.Append(nil, n), time.Now().Add(time.Hour)); {
				case errors.Is(err, command.ErrRateLimited) && client == "greedy":
					refused.Add(1)
				case errors.Is(err, command.ErrRateLimited):
					wrong.Add(1)
				}
			})
		}
	}
	use("greedy", 40)
	until(t, "what is beyond its share is refused", func() bool { return refused.Load() == 8 })
	use("modest", 32)
	must(t, locked.Rollback())
	all.Wait()
	if refused.Load() != 8 || wrong.Load() != 0 {
		t.Errorf("refused were %d, and %d of who has no more than its share", refused.Load(), wrong.Load())
	}
	if _, err := h.Store.UseOnce(t.Context(), "greedy", []byte("later"), time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
}
