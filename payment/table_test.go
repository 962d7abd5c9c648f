package payment_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

// cells are what each action does in each status, under each condition; what is left out is refused.
var cells = map[payment.Status]map[payment.Action]map[payment.Condition]payment.Status{
	payment.RequiresPaymentMethod: {
		payment.ToConfirm: {payment.TakenAtOnce: payment.Succeeded, payment.TakenLater: payment.Authorized},
		payment.ToCancel:  {payment.Always: payment.Canceled},
		payment.ToExpire:  {payment.Always: payment.Expired},
	},
	payment.RequiresConfirmation: {
		payment.ToConfirm: {payment.TakenAtOnce: payment.Succeeded, payment.TakenLater: payment.Authorized},
		payment.ToCancel:  {payment.Always: payment.Canceled},
		payment.ToExpire:  {payment.Always: payment.Expired},
	},
	payment.Authorized: {
		payment.ToCapture: {payment.SomeIsLeft: payment.PartiallyCaptured, payment.NothingsLeft: payment.Succeeded},
		payment.ToCancel:  {payment.Always: payment.Canceled},
		payment.ToExpire:  {payment.Always: payment.Expired},
	},
	payment.PartiallyCaptured: {
		payment.ToCapture: {payment.SomeIsLeft: payment.PartiallyCaptured, payment.NothingsLeft: payment.Succeeded},
		payment.ToCancel:  {payment.Always: payment.Succeeded},
		payment.ToExpire:  {payment.Always: payment.Succeeded},
		payment.ToRefund:  {payment.Always: payment.PartiallyCaptured},
	},
	payment.Succeeded: {payment.ToRefund: {payment.Always: payment.Succeeded}},
	payment.Canceled:  {},
	payment.Expired:   {},
}

// told is the event of a payment that an action leaves in a status.
func told(action payment.Action, to payment.Status) event.Type {
	switch {
	case action == payment.ToRefund:
		return event.PaymentRefunded
	case to == payment.Authorized:
		return event.PaymentAuthorized
	case to == payment.PartiallyCaptured:
		return event.PaymentPartCaptured
	case to == payment.Canceled:
		return event.PaymentCanceled
	case to == payment.Expired:
		return event.PaymentExpired
	}
	return event.PaymentSucceeded
}

// TestEveryCell tries every action in every status, under every condition: by the table, and by the command, which has to keep to it.
func TestEveryCell(t *testing.T) {
	t.Parallel()
	if len(cells) != len(payment.Statuses) {
		t.Errorf("the test has %d statuses, and payments have %d", len(cells), len(payment.Statuses))
	}
	tried := 0
	for _, status := range payment.Statuses {
		for _, action := range payment.Actions {
			for _, when := range payment.Conditions[action] {
				tried++
				t.Run(fmt.Sprint(status, " ", action, " ", when), func(t *testing.T) {
					t.Parallel()
					want := cells[status][action][when]
					if to, ok := payment.Next(status, action, when); to != want || ok != (want != "") {
						t.Errorf("the table leads to %q, %v; want %q", to, ok, want)
					}
					before, b := newBooks(status, when), newBooks(status, when)
					err := b.act(t, action, when)
					if want == "" {
						b.wantRefused(t, before, action, err)
					} else {
						b.wantMoved(t, before, action, want, err)
					}
				})
			}
		}
	}
	if tried != 7*7 {
		t.Errorf("%d cells were tried", tried)
	}
}

func (b *books) wantRefused(t *testing.T, before *books, action payment.Action, err error) {
	t.Helper()
	var refusal payment.InvalidState
	switch isState := errors.As(err, &refusal); {
	case action == payment.ToExpire: // a timer that is late is no request
		if err != nil {
			t.Error(err)
		}
	case !isState || refusal.Status != before.payment.Status || refusal.Action != action || refusal.Retryable() || refusal.Reason == "":
		t.Errorf("got %#v, want InvalidState", err)
	case !reflect.DeepEqual(refusal.AvailableActions, before.payment.AvailableActions()):
		t.Errorf("it says %+v", refusal.AvailableActions)
	}
	if len(b.events)+len(b.transactions)+len(b.timers) > 0 || !reflect.DeepEqual(b.payment, before.payment) {
		t.Error("it was refused, and has changed something")
	}
	for _, available := range before.payment.AvailableActions() {
		if available.Action == action && (available.Allowed || available.Reason == nil) {
			t.Errorf("a client is told that it may: %+v", available)
		}
	}
}

func (b *books) wantMoved(t *testing.T, before *books, action payment.Action, want payment.Status, err error) {
	t.Helper()
	p := b.payment
	if err != nil || p.Status != want || p.Version != before.payment.Version+1 {
		t.Fatalf("it became %+v, %v", p, err)
	}
	if e := b.events[0]; e.Type != told(action, want) || e.ObjectID != p.NodeID() || e.ObjectVersion != p.Version || len(e.Postings) != len(b.transactions) {
		t.Errorf("events: %+v", b.events)
	}
	held := int64(0)
	if p.HoldID != nil {
		held = b.holds[*p.HoldID].Amount.MinorUnits
	}
	moved := p.CapturedMinorUnits - p.RefundedMinorUnits
	if b.from.Posted() != 1000-moved || b.to.Posted() != moved || b.from.PendingOut() != held || b.to.PendingIn() != held {
		t.Errorf("%+v, %+v with %d set aside, and %d moved", b.from.Sums, b.to.Sums, held, moved)
	}
	if isHeld := want == payment.Authorized || want == payment.PartiallyCaptured; (held > 0) != isHeld || held != p.Capturable().MinorUnits {
		t.Errorf("a payment that is %s has %d set aside, and says %s", want, held, p.Capturable())
	}
	if p.CapturedMinorUnits > p.Authorized().MinorUnits || p.RefundedMinorUnits > p.CapturedMinorUnits || payment.Terminal(want) && p.ExpiresAt != nil {
		t.Errorf("the amounts of %+v", p)
	}
	open := 0
	for _, h := range b.holds {
		if h.Status() == ledger.HoldOpen {
			open++
		}
	}
	if (open == 1) != (held > 0) || open > 1 {
		t.Errorf("%d holds are open", open)
	}
	for _, available := range before.payment.AvailableActions() {
		if available.Action == action && (!available.Allowed || available.Reason != nil) {
			t.Errorf("a client is told that it may not: %+v", available)
		}
	}
}

// TestTheTableIsWhole looks for rows that say the same twice, statuses that nothing leads to, and a terminal status that moves.
func TestTheTableIsWhole(t *testing.T) {
	t.Parallel()
	reached := slices.Clone(payment.Starts)
	for i, row := range payment.Table {
		reached = append(reached, row.To)
		for _, other := range payment.Table[:i] {
			if other.From == row.From && other.Action == row.Action && other.When == row.When {
				t.Errorf("%s %s stands there twice", row.From, row.Action)
			}
		}
		if !slices.Contains(payment.Statuses, row.From) || !slices.Contains(payment.Statuses, row.To) || !slices.Contains(payment.Actions, row.Action) ||
			!slices.Contains(payment.Conditions[row.Action], row.When) {
			t.Errorf("%+v has a word that is in no list", row)
		}
	}
	for _, status := range payment.Statuses {
		if !slices.Contains(reached, status) {
			t.Errorf("nothing leads to %s", status)
		}
		if want := slices.Contains([]payment.Status{payment.Succeeded, payment.Canceled, payment.Expired}, status); payment.Terminal(status) != want {
			t.Errorf("%s is terminal: %v, want %v", status, !want, want)
		}
	}
}

var update = flag.Bool("update", false, "write docs/state-machine.md")

func TestTheDocumentIsTheTable(t *testing.T) {
	t.Parallel()
	const file = "../docs/state-machine.md"
	want := payment.Document()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the table says (go test ./payment -update): %v", file, err)
	}
	for _, row := range payment.Table {
		if !strings.Contains(want, "    "+string(row.From)+" --> "+string(row.To)+": "+string(row.Action)) {
			t.Errorf("the picture lacks %+v", row)
		}
	}
}

// act runs the command of an action, as the condition has it.
func (b *books) act(t *testing.T, action payment.Action, when payment.Condition) error {
	t.Helper()
	s := payment.Service{Committer: b}
	var err error
	switch one := (&money.Input{Amount: "1.00", Currency: "USD"}); action {
	case payment.ToConfirm:
		in := payment.ConfirmInput{PaymentID: b.payment.ID}
		if b.payment.SourceAccountID == nil {
			in.Source = &payment.Source{AccountID: from}
		}
		_, err = s.Confirm(t.Context(), auth.Principal{}, in)
	case payment.ToCapture:
		_, err = s.Capture(t.Context(), auth.Principal{}, payment.CaptureInput{PaymentID: "pay_1", Amount: one, Final: when == payment.NothingsLeft})
	case payment.ToCancel:
		_, err = s.Cancel(t.Context(), auth.Principal{}, payment.CancelInput{PaymentID: "pay_1"})
	case payment.ToRefund:
		_, err = s.Refund(t.Context(), auth.Principal{}, payment.RefundInput{PaymentID: "pay_1", Amount: one})
	case payment.ToExpire:
		at := now
		if b.payment.ExpiresAt != nil {
			b.payment.ExpiresAt = &at
		}
		due := command.Due{Timer: command.Timer{Kind: command.PaymentExpires, ObjectID: "pay_1", DueAt: at}}
		err = s.Expire(t.Context(), due)
		if len(b.served) != 1 || b.served[0] != due.Timer {
			t.Errorf("served are %+v", b.served)
		}
	default:
		t.Fatalf("the test does not know how to %s", action)
	}
	return err
}

// TestTimeIsUpExactly confirms, captures and cancels a moment before a payment's time is up, and then, before its timer was served.
func TestTimeIsUpExactly(t *testing.T) {
	t.Parallel()
	for action, status := range map[payment.Action]payment.Status{
		payment.ToConfirm: payment.RequiresConfirmation, payment.ToCapture: payment.Authorized, payment.ToCancel: payment.Authorized,
	} {
		when := payment.Conditions[action][0]
		for up, at := range map[bool]time.Time{false: now.Add(time.Microsecond), true: now} {
			b := newBooks(status, when)
			b.payment.ExpiresAt = &at
			err := b.act(t, action, when)
			if _, refused := err.(payment.InvalidState); refused != up || err != nil && !refused {
				t.Errorf("%s, and its time is up: %v. It was answered %v", action, up, err)
			}
		}
	}
	early := newBooks(payment.Authorized, payment.TakenLater) // its timer for the confirmation is due, and that for captures is not
	s := payment.Service{Committer: early}
	if err := s.Expire(t.Context(), command.Due{Timer: command.Timer{ObjectID: "pay_1", DueAt: now}}); err != nil || len(early.events) > 0 || len(early.served) != 1 {
		t.Errorf("a timer that the payment has outlived: %v, %v, %v", err, early.events, early.served)
	}
}

// TestATimerIsServedAlthoughTheClockWasSetBack has the batch find a time at which its payment's is not up yet. Its key is used, so that it would
// never be served again.
func TestATimerIsServedAlthoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	b := newBooks(payment.Authorized, payment.TakenLater)
	due := command.Due{Timer: command.Timer{Kind: command.PaymentExpires, ObjectID: "pay_1", DueAt: *b.payment.ExpiresAt}}
	if !b.Time().Before(due.DueAt) {
		t.Fatalf("it is %v already, and the timer is due at %v", b.Time(), due.DueAt)
	}
	if err := (&payment.Service{Committer: b}).Expire(t.Context(), due); err != nil {
		t.Fatal(err)
	}
	if b.payment.Status != payment.Expired || b.from.PendingOut() != 0 || !slices.Equal(b.served, []command.Timer{due.Timer}) {
		t.Errorf("the payment is %s, with %d set aside; served are %v", b.payment.Status, b.from.PendingOut(), b.served)
	}
}

// TestTimersAreWritten looks at what a payment that waits for a client is given.
func TestTimersAreWritten(t *testing.T) {
	t.Parallel()
	confirmed := newBooks(payment.RequiresConfirmation, payment.TakenLater)
	if err := confirmed.act(t, payment.ToConfirm, payment.TakenLater); err != nil {
		t.Fatal(err)
	}
	at := now.Add(payment.AuthorizationLifetime)
	if want := (command.Timer{Kind: command.PaymentExpires, ObjectID: "pay_1", DueAt: at}); !slices.Equal(confirmed.timers, []command.Timer{want}) ||
		!confirmed.payment.ExpiresAt.Equal(at) {
		t.Errorf("timers %+v, and it expires at %v", confirmed.timers, confirmed.payment.ExpiresAt)
	}
	created := newBooks(payment.Canceled, payment.Always)
	s := payment.Service{Committer: created}
	_, err := s.Create(t.Context(), auth.Principal{}, payment.CreateInput{
		Amount: money.Input{Amount: "7.00", Currency: "USD"}, Source: &payment.Source{AccountID: from}, DestinationAccountID: to,
	})
	if err != nil || len(created.timers) != 1 || !created.timers[0].DueAt.Equal(now.Add(payment.UnconfirmedLifetime)) {
		t.Errorf("timers %+v, %v", created.timers, err)
	}
}

// TestWhatIsTooMuch asks for more than there is, for another currency, and for another version.
func TestWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	two := int32(2)
	for name, c := range map[string]struct {
		status payment.Status
		run    func(s payment.Service) error
		want   error
	}{
		"a capture of more than is left": {payment.PartiallyCaptured, func(s payment.Service) error {
			_, err := s.Capture(t.Context(), auth.Principal{}, payment.CaptureInput{PaymentID: "pay_1", Amount: &money.Input{Amount: "5.01", Currency: "USD"}})
			return err
		}, payment.AmountExceedsCapturable{Recorded: at("amount"), ResourceID: "pay_1", Capturable: usd(500), Requested: usd(501)}},
		"a refund of more than was captured": {payment.PartiallyCaptured, func(s payment.Service) error {
			_, err := s.Refund(t.Context(), auth.Principal{}, payment.RefundInput{PaymentID: "pay_1", Amount: &money.Input{Amount: "2.01", Currency: "USD"}})
			return err
		}, payment.AmountExceedsRefundable{Recorded: at("amount"), ResourceID: "pay_1", Refundable: usd(200), Requested: usd(201)}},
		"a refund in another currency": {payment.Succeeded, func(s payment.Service) error {
			_, err := s.Refund(t.Context(), auth.Principal{}, payment.RefundInput{PaymentID: "pay_1", Amount: &money.Input{Amount: "2.01", Currency: "EUR"}})
			return err
		}, ledger.CurrencyMismatch{Recorded: at("amount"), ResourceID: "pay_1", Expected: "USD", Actual: "EUR"}},
		"another version": {payment.Authorized, func(s payment.Service) error {
			_, err := s.Cancel(t.Context(), auth.Principal{}, payment.CancelInput{PaymentID: "pay_1", ExpectedVersion: &two})
			return err
		}, answer.VersionConflict{Recorded: at("expectedVersion"), ResourceID: "pay_1", ExpectedVersion: 2, CurrentVersion: 1}},
	} {
		b := newBooks(c.status, payment.Always)
		if err := c.run(payment.Service{Committer: b}); !reflect.DeepEqual(err, c.want) || len(b.events) > 0 {
			t.Errorf("%s: %#v", name, err)
		}
	}
}

func at(argument string) answer.Recorded { return answer.Recorded{At: []string{"input", argument}} }

// TestAllIsRefunded gives back everything in two refunds, and nothing more.
func TestAllIsRefunded(t *testing.T) {
	t.Parallel()
	b := newBooks(payment.Succeeded, payment.Always)
	s := payment.Service{Committer: b}
	for _, amount := range []*money.Input{{Amount: "3.00", Currency: "USD"}, nil} {
		if _, err := s.Refund(t.Context(), auth.Principal{}, payment.RefundInput{PaymentID: "pay_1", Amount: amount}); err != nil {
			t.Fatal(err)
		}
	}
	if b.from.Posted() != 1000 || b.to.Posted() != 0 || b.payment.Refunded() != usd(700) || b.payment.Net() != usd(0) {
		t.Errorf("balances %d and %d of %+v", b.from.Posted(), b.to.Posted(), b.payment)
	}
	_, err := s.Refund(t.Context(), auth.Principal{}, payment.RefundInput{PaymentID: "pay_1"})
	if refusal, ok := err.(payment.InvalidState); !ok || refusal.Reason != "Nothing is left to be refunded." {
		t.Errorf("once more: %v", err)
	}
}
