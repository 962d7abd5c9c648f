package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// exception is a change that verify does not find, or for which it cannot name the row.
type exception struct {
	why     string
	instead string // a query that gives the name of the row that verify gives instead, $1 being the ctid of what is changed
}

// exceptions lists what verify cannot or need not find, or cannot name: a subject, and the column that is changed, "deleted" or
// "swapped"; or a whole subject. Everything else is found by table and row, or the test fails, as it does when something that
// stands here is found after all.
var exceptions = map[string]exception{
	"merchant.name":           {why: "reference data, which an operator may change"},
	"merchant.created_at":     {why: "reference data"},
	"merchant.swapped":        {why: "only reference data is exchanged"},
	"credential":              {why: "reference data: who may ask, not what happened"},
	"used_once":               {why: "likewise"},
	"certificate":             {why: "likewise: what the authority has given can be asked for again"},
	"document":                {why: "likewise: what a merchant trusts its clients to ask"},
	"signing_key":             {why: "reference data: without the right key no token is good"},
	"secret":                  {why: "reference data: without the right one cursors and replays are refused, and nothing is done twice"},
	"goose_db_version":        {why: "the migrations' own table"},
	"head.at":                 {why: "only has to be no earlier than the last event: refusals move it too"},
	"head.fee_plans":          {why: "reference data: what is charged from now on"},
	"head.stamp":              {why: "random: an unknown one only makes the nodes read again"},
	"idempotency.merchant_id": {why: "the log has only a hash of the key: an event without a record is named", instead: firstEvent},
	"idempotency.deleted":     {why: "the log has only a hash of the key: an event without a record is named", instead: firstEvent},
	"expiry.merchant_id":      {why: "as of other records", instead: firstEvent},
	"expiry.deleted":          {why: "likewise", instead: firstEvent},
	"late.merchant_id":        {why: "a timer that came too late changes nothing, so that no event tells of it"},
	"late.operation":          {why: "likewise"},
	"late.fingerprint":        {why: "likewise"},
	"late.created_at":         {why: "likewise"},
	"late.deleted":            {why: "likewise"},
}

// firstEvent finds the first event of a record's command: in the story each command has a batch of its own.
const firstEvent = `SELECT 'of event ' || min(e.sequence) FROM idempotency i JOIN event e USING (merchant_id)
	WHERE i.ctid = $1::tid AND e.occurred_at = i.created_at`

func init() {
	for _, column := range []string{"merchant_id", "owner", "key", "operation", "fingerprint", "refusal", "refusal_values", "result_version",
		"created_at", "deleted", "swapped"} {
		exceptions["refusal."+column] = exception{why: "a refusal changes nothing, so that no event tells of it"}
	}
}

// story makes at least two rows in every table.
func story(t *testing.T) (dsn string) {
	t.Helper()
	dsn = storetest.DSN(t)
	h := storetest.At(t, dsn)
	for m := range 2 {
		p := h.Merchant(t)
		must(t, h.Admin.SetFeePlan(t.Context(), p.Merchant, "USD", &payment.FeePlan{BasisPoints: 125, FixedMinorUnits: int64(m)}))
		reference := "order 17"
		for i := range 2 {
			customer, err := h.Merchants.CreateCustomer(t.Context(), p, merchant.CreateCustomerInput{
				IdempotencyKey: key(), Name: fmt.Sprintf("Customer %d", i), Reference: &reference, Metadata: answer.Metadata{"shoe": fmt.Sprint(40 + i)},
			})
			must(t, err)
			name := fmt.Sprintf("Savings %d", i)
			named, err := h.Ledger.OpenAccount(t.Context(), p, ledger.OpenAccountInput{
				IdempotencyKey: key(), CustomerID: customer.Customer.ID, Currency: "USD", Name: &name,
			})
			must(t, err)
			_, err = h.Ledger.SetAccountStatus(t.Context(), p, ledger.SetAccountStatusInput{
				IdempotencyKey: key(), AccountID: named.Account.ID, Status: ledger.Frozen, Reason: "lost phone",
			})
			must(t, err)
			tellPayments(t, h, p, i)
			tellCaptures(t, h, p, i)
			must(t, h.Admin.CreateCredential(t.Context(), auth.Credential{
				ClientID: fmt.Sprint("client ", m, i), Merchant: p.Merchant, Name: "shop", SecretHash: []byte("hash"), CreatedAt: time.Now(),
			}))
			_, err = h.Admin.TrustDocuments(t.Context(), p.Merchant, []merchant.Document{{ID: fmt.Sprint(i), Text: fmt.Sprint("text ", i), CreatedAt: time.Now()}})
			must(t, err)
			must(t, h.Store.ShareValue(t.Context(), fmt.Sprint("name ", m, i), fmt.Append(nil, "value ", m, i)))
			_, err = h.Store.UseOnce(t.Context(), fmt.Sprint("client ", m, i), []byte("value"), time.Now().Add(time.Hour))
			must(t, err)
		}
		must(t, h.Store.AddSigningKey(t.Context(), auth.SigningKey{
			ID: fmt.Sprint("key ", m), Previous: fmt.Sprint(m), Format: "none", Private: []byte("key"), CreatedAt: time.Now(),
		}))
		_, err := h.Store.Secret(t.Context(), fmt.Sprint("secret ", m))
		must(t, err)
	}
	must(t, h.Store.Close())
	must(t, h.Admin.Close())
	return dsn
}

func tellPayments(t *testing.T, h *storetest.House, p auth.Principal, i int) {
	t.Helper()
	from, to := wallet(t, h, p, fmt.Sprintf("10%d.00", i)), wallet(t, h, p, "")
	reference := fmt.Sprintf("invoice %d", i)
	created, err := h.Payments.Create(t.Context(), p, payment.CreateInput{
		IdempotencyKey: key(), Amount: usd(fmt.Sprintf("%d.00", 3+i)), Reference: &reference, Metadata: answer.Metadata{"a": reference},
	})
	must(t, err)
	_, err = h.Payments.Confirm(t.Context(), p, payment.ConfirmInput{
		IdempotencyKey: key(), PaymentID: created.Payment.ID, Source: &payment.Source{AccountID: &from},
	})
	must(t, err)
	_, err = pay(t.Context(), h, p, key(), from, to, fmt.Sprintf("%d.00", 5+i))
	must(t, err)
	_, err = h.Ledger.TransferFunds(t.Context(), p, ledger.TransferFundsInput{
		IdempotencyKey: key(), FromAccountID: from, ToAccountID: to, Amount: usd(fmt.Sprintf("%d.50", i)), Reference: &reference,
	})
	must(t, err)
	if _, err := pay(t.Context(), h, p, key(), to, from, "1000.00"); err == nil {
		t.Fatal("a payment of more than there is was not refused")
	}
	tellHolds(t, h, p, from, i)
}

// tellCaptures leaves a payment that waits for its confirmation, and three that are captured later: one of which nothing was taken yet, one of
// which a part was and was given back in part, and one that is done. A transfer was undone.
func tellCaptures(t *testing.T, h *storetest.House, p auth.Principal, i int) {
	t.Helper()
	from, to := wallet(t, h, p, fmt.Sprintf("20%d.00", i)), wallet(t, h, p, "")
	_, err := h.Payments.Create(t.Context(), p, payment.CreateInput{IdempotencyKey: key(), Amount: usd("9.00"), CaptureMethod: payment.Automatic})
	must(t, err)
	tellTimers(t, h, p, from)
	reason := fmt.Sprintf("wrong size %d", i)
	for n := range 3 {
		made := authorize(t, h, p, from, to, fmt.Sprintf("%d.00", 20+n+i))
		for part := range n {
			_, err := h.Payments.Capture(t.Context(), p, payment.CaptureInput{
				IdempotencyKey: key(), PaymentID: made.ID, Amount: some(usd(fmt.Sprintf("%d.00", 1+part+i))), Final: part == 1,
			})
			must(t, err)
			_, err = h.Payments.Refund(t.Context(), p, payment.RefundInput{
				IdempotencyKey: key(), PaymentID: made.ID, Amount: some(usd(fmt.Sprintf("0.%d0", 1+part+i))), Reason: &reason,
			})
			must(t, err)
		}
	}
	transfer, err := h.Ledger.TransferFunds(t.Context(), p, ledger.TransferFundsInput{
		IdempotencyKey: key(), FromAccountID: from, ToAccountID: to, Amount: usd(fmt.Sprintf("%d.25", 1+i)),
	})
	must(t, err)
	_, err = h.Ledger.ReverseTransfer(t.Context(), p, ledger.ReverseTransferInput{
		IdempotencyKey: key(), TransactionID: transfer.Transaction.ID, Reason: reason,
	})
	must(t, err)
}

// tellTimers leaves a payment whose time was up, and one that was canceled when its timer came.
func tellTimers(t *testing.T, h *storetest.House, p auth.Principal, from ledger.AccountID) {
	t.Helper()
	for _, late := range []bool{false, true} {
		made, err := h.Payments.Create(t.Context(), p, payment.CreateInput{
			IdempotencyKey: key(), Amount: usd("2.00"), Source: &payment.Source{AccountID: &from}, Confirm: true, CaptureMethod: payment.Manual,
		})
		must(t, err)
		due := dueOf(p, made.Payment)
		if late {
			_, err := h.Payments.Cancel(t.Context(), p, payment.CancelInput{IdempotencyKey: key(), PaymentID: made.Payment.ID})
			must(t, err)
		}
		must(t, h.Payments.Expire(t.Context(), due))
	}
}

// dueOf is the timer of a payment that waits for a client.
func dueOf(p auth.Principal, of *payment.Payment) command.Due {
	return command.Due{Merchant: p.Merchant, Timer: command.Timer{Kind: command.PaymentExpires, ObjectID: of.NodeID(), DueAt: *of.ExpiresAt}}
}

// authorize makes a payment that is to be captured later.
func authorize(t *testing.T, h *storetest.House, p auth.Principal, from, to ledger.AccountID, amount string) *payment.Payment {
	t.Helper()
	made, err := h.Payments.Create(t.Context(), p, payment.CreateInput{
		IdempotencyKey: key(), Amount: usd(amount), Source: &payment.Source{AccountID: &from}, DestinationAccountID: &to, Confirm: true,
		CaptureMethod: payment.Manual,
	})
	must(t, err)
	return made.Payment
}

func some(in money.Input) *money.Input { return &in }

// tellHolds leaves an open hold, one that was released, and one of which a part was posted and the rest is held on.
func tellHolds(t *testing.T, h *storetest.House, p auth.Principal, from ledger.AccountID, i int) {
	t.Helper()
	reference := fmt.Sprintf("deposit for bicycle %d", i)
	for n := range 3 {
		placed, err := h.Ledger.PlaceHold(t.Context(), p, ledger.PlaceHoldInput{
			IdempotencyKey: key(), AccountID: from, Amount: usd(fmt.Sprintf("%d.00", 7+n+i)), Reference: &reference,
		})
		must(t, err)
		switch hold := placed.Transaction.Made().ID; n {
		case 1:
			_, err = h.Ledger.ReleaseHold(t.Context(), p, ledger.ReleaseHoldInput{IdempotencyKey: key(), HoldID: hold, Reason: "brought back"})
			must(t, err)
		case 2:
			capture(t, h, p, hold, 100)
		}
	}
	deposit(t, h, p, from, "1.00") // what is available after it is less than what is posted
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestVerifyFindsEveryChange(t *testing.T) {
	t.Parallel()
	dsn := story(t)
	s := newSpoiler(t, dsn)
	must(t, s.admin.Verify(t.Context(), nil, func(store.Verified) {}))
	for name, of := range subjects(catalogue(t, dsn)) {
		for _, c := range of.columns {
			s.change(t, name, of, c)
		}
		t.Run("a row of "+name+" deleted", func(t *testing.T) {
			ctid, victim := s.victim(t, of, "true")
			s.spoil(t, name, "deleted", ctid, victim, `DELETE FROM `+of.table+` v WHERE ctid = $1::tid RETURNING `+named(of.table, "v"), ctid)
		})
		if name == "timer" {
			continue // all its columns find the row: there is nothing to exchange
		}
		t.Run("two rows of "+name+" swapped", func(t *testing.T) {
			s.spoil(t, name, "swapped", "", nil, swap(of))
		})
	}
	t.Run("the last event deleted", func(t *testing.T) {
		s.spoil(t, "event", "the last", "", nil, `DELETE FROM event v WHERE sequence = (SELECT max(sequence) FROM event)
			AND merchant_id = (SELECT id FROM merchant ORDER BY id LIMIT 1) RETURNING `+named("event", "v"))
	})
	for name := range exceptions {
		if !s.used[name] {
			t.Errorf("there is no %s, which stands in the list of exceptions", name)
		}
	}
}

// change gives a column another value: once where it had one, and once where it had none.
func (s *spoiler) change(t *testing.T, name string, of subject, c column) {
	for _, null := range []string{" IS NOT NULL", " IS NULL"} {
		ctid, victim := s.victim(t, of, c.name+null)
		if victim == nil {
			continue
		}
		t.Run("a changed "+name+"."+c.name+" that"+null, func(t *testing.T) {
			s.spoil(t, name, c.name, ctid, victim, fmt.Sprintf(`UPDATE %s v SET %s = %s WHERE ctid = $1::tid RETURNING %s`,
				of.table, c.name, c.changed(), named(of.table, "v")), ctid)
		})
	}
}

// spoil runs a statement, and demands that verify finds what it changed, which the victim was before, and the statement returns.
func (s *spoiler) spoil(t *testing.T, name, how, ctid string, victim []place, statement string, arguments ...any) {
	t.Helper()
	table := name
	if name == "refusal" || name == "expiry" || name == "late" {
		table = "idempotency"
	}
	exceptional, ok := exceptions[name]
	if ok {
		s.used[name] = true
	} else if exceptional, ok = exceptions[name+"."+how]; ok {
		s.used[name+"."+how] = true
	}
	wanted := ""
	if exceptional.instead != "" {
		must(t, s.QueryRow(exceptional.instead, ctid).Scan(&wanted))
	}
	_, after := s.places(t, table, statement, arguments...)
	defer s.restore(t, table)
	if len(after) == 0 {
		t.Fatalf("%s: changed nothing", statement)
	}
	err := s.admin.Verify(t.Context(), nil, func(store.Verified) {})
	var found store.Discrepancy
	if ok && wanted == "" {
		if err != nil {
			t.Errorf("it stands in the list of what is not verified, and was found: %v", err)
		}
		return
	}
	if !errors.As(err, &found) {
		t.Fatalf("got %v, want a discrepancy", err)
	}
	t.Log(found)
	places := append(victim, after...)
	if wanted != "" {
		places = []place{{victim[0].merchant, table, wanted}}
	}
	if got := (place{string(found.Merchant), found.Table, found.Row}); !slices.Contains(places, got) {
		t.Errorf("got %q, want a finding at one of %v", found, places)
	}
}

func TestVerifyKnowsWhatWasNotedBefore(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	wallet(t, h, p, "1.00")
	var noted store.Verified
	must(t, h.Admin.Verify(t.Context(), nil, func(v store.Verified) { noted = v }))
	wallet(t, h, p, "1.00")
	same := store.Expectation(noted)
	must(t, h.Admin.Verify(t.Context(), &same, func(store.Verified) {}))
	other := same
	other.Hash = strings.Repeat("0", 64)
	if err := h.Admin.Verify(t.Context(), &other, func(store.Verified) {}); err == nil {
		t.Error("another hash than the noted one was not found")
	}
	anyone := same
	anyone.Merchant = ""
	must(t, h.Admin.Verify(t.Context(), &anyone, func(store.Verified) {}))
	anyone.Hash = strings.Repeat("0", 64)
	if err := h.Admin.Verify(t.Context(), &anyone, func(store.Verified) {}); err == nil {
		t.Error("a hash that no log has was not missed")
	}
	lost := same
	lost.Sequence = 1_000_000
	if err := h.Admin.Verify(t.Context(), &lost, func(store.Verified) {}); err == nil {
		t.Error("a log that is shorter than it was noted was not found")
	}
}
