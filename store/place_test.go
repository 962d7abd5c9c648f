package store_test

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// TestTwoKeysAtOnePlace has a hash that is the same for all keys of one length, which SHA-256 would take for ever to show. The second key is refused,
// again and again, and alone; neither is ever taken for the other.
func TestTwoKeysAtOnePlace(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t)
	_, err := owner(t, dsn).Exec(`CREATE OR REPLACE FUNCTION idempotency_place(owner text, key text) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
		RETURN md5(length(key)::text)::uuid`)
	must(t, err)
	h := storetest.At(t, dsn)
	p := h.Merchant(t)
	pay := func(key, amount string) (payment.CreateSuccess, error) {
		return h.Payments.Create(t.Context(), p, payment.CreateInput{IdempotencyKey: key, Amount: usd(amount)})
	}
	const first, second, elsewhere = "the first key there", "the other key there", "a key of another length"
	made, err := pay(first, "1.00")
	must(t, err)
	for range 2 {
		if _, err := pay(second, "1.00"); !errors.Is(err, command.ErrInternal) {
			t.Errorf("the second key got %v, want ErrInternal", err)
		}
		if record, err := h.Store.Record(t.Context(), p.Merchant, second); record != nil || err != nil {
			t.Errorf("the second key has the record %+v, %v", record, err)
		}
		again, err := pay(first, "1.00")
		if err != nil || !again.Replayed || again.Payment.ID != made.Payment.ID {
			t.Errorf("the first key got %+v, %v", again, err)
		}
	}
	if other, err := pay(elsewhere, "2.00"); err != nil || other.Replayed {
		t.Errorf("another key got %+v, %v", other, err)
	}
	if record, err := h.Store.Record(t.Context(), p.Merchant, first); err != nil || record == nil || *record.ObjectID != string(made.Payment.ID) {
		t.Errorf("the record of the first key is %+v, %v", record, err)
	}
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// TestAKeyOfAnyText may have what SQL would take for something else.
func TestAKeyOfAnyText(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	for _, key := range []string{`\x41`, `\\x41`, `\`, `\101`, `a\'b"c`, `{1,2}`, `%d`} {
		made, err := h.Payments.Create(t.Context(), p, payment.CreateInput{IdempotencyKey: key, Amount: usd("1.00")})
		if err != nil || made.Replayed {
			t.Errorf("%s: %+v, %v", key, made, err)
			continue
		}
		if record, err := h.Store.Record(t.Context(), p.Merchant, key); err != nil || record == nil || *record.ObjectID != string(made.Payment.ID) {
			t.Errorf("the record of %s is %+v, %v", key, record, err)
		}
	}
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// TestManyMigrateAtOnce: they take turns, and none waits for one that waits for it. Sessions here begin with a snapshot, which is the worst case.
func TestManyMigrateAtOnce(t *testing.T) {
	t.Parallel()
	dsn := storetest.Empty(t) + "&default_transaction_isolation=" + url.QueryEscape("repeatable read")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all errgroup.Group
	for range 4 {
		all.Go(func() error { return store.Migrate(ctx, dsn) })
	}
	must(t, all.Wait())
	var valid bool
	must(t, owner(t, dsn).QueryRow(`SELECT indisvalid FROM pg_index WHERE indexrelid = 'idempotency_place'::regclass`).Scan(&valid))
	if !valid {
		t.Error("the index is half made")
	}
}
