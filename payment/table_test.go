package payment_test

import (
	"context"
	"errors"
	"flag"
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

// cells are what each action does in each status; "" is a refusal.
var cells = map[payment.Status]map[payment.Action]payment.Status{
	payment.RequiresPaymentMethod: {payment.Confirm: payment.Succeeded},
	payment.RequiresConfirmation:  {payment.Confirm: payment.Succeeded},
	payment.Succeeded:             {payment.Confirm: ""},
}

// TestEveryCell tries every action in every status: by the table, and by the command, which has to keep to it.
func TestEveryCell(t *testing.T) {
	t.Parallel()
	if len(cells) != len(payment.Statuses) {
		t.Errorf("the test has %d statuses, and payments have %d", len(cells), len(payment.Statuses))
	}
	for _, status := range payment.Statuses {
		if len(cells[status]) != len(payment.Actions) {
			t.Errorf("%s: the test has %d actions, and payments have %d", status, len(cells[status]), len(payment.Actions))
		}
		for _, action := range payment.Actions {
			t.Run(string(status)+" "+string(action), func(t *testing.T) {
				t.Parallel()
				want := cells[status][action]
				if to, ok := payment.Next(status, action); to != want || ok != (want != "") {
					t.Errorf("the table leads to %q, %v; want %q", to, ok, want)
				}
				books := newBooks(status)
				p, err := books.act(t, action)
				if want == "" {
					var refusal payment.InvalidState
					if !errors.As(err, &refusal) || refusal.Status != status || refusal.Action != action || refusal.Retryable() {
						t.Errorf("got %#v, want InvalidState", err)
					}
					if len(books.events)+len(books.transactions) > 0 || !reflect.DeepEqual(books.payment, newBooks(status).payment) {
						t.Error("it was refused, and has changed something")
					}
					return
				}
				if err != nil || p.Status != want || p.Version != 2 || p.CapturedMinorUnits != 700 {
					t.Errorf("it became %+v, %v", p, err)
				}
				if len(books.events) != 1 || books.events[0].Type != event.PaymentSucceeded || books.events[0].ObjectVersion != 2 {
					t.Errorf("events: %+v", books.events)
				}
				if books.from.Posted() != 300 || books.to.Posted() != 700 || len(books.transactions) != 1 {
					t.Errorf("balances %d and %d, %d transactions", books.from.Posted(), books.to.Posted(), len(books.transactions))
				}
			})
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
			if other.From == row.From && other.Action == row.Action {
				t.Errorf("%s %s stands there twice", row.From, row.Action)
			}
		}
		if !slices.Contains(payment.Statuses, row.From) || !slices.Contains(payment.Statuses, row.To) || !slices.Contains(payment.Actions, row.Action) {
			t.Errorf("%+v has a word that is in no list", row)
		}
	}
	for _, status := range payment.Statuses {
		if !slices.Contains(reached, status) {
			t.Errorf("nothing leads to %s", status)
		}
		if want := status == payment.Succeeded; payment.Terminal(status) != want {
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
		if !strings.Contains(want, "    "+string(row.From)+" --> "+string(row.To)+": "+string(row.Action)+"\n") {
			t.Errorf("the picture lacks %+v", row)
		}
	}
}

// books is a batch in memory, with one payment of 7.00 from an account with 10.00.
type books struct {
	payment      *payment.Payment
	from, to     *ledger.Account
	events       []event.Draft
	transactions []*ledger.Transaction
	ids          byte
}

var _ payment.Batch = (*books)(nil)

func newBooks(status payment.Status) *books {
	b := &books{}
	b.from = &ledger.Account{ID: "acc_from", Kind: ledger.CustomerWallet, Currency: "USD", Status: ledger.Active, Sums: ledger.Sums{CreditsPosted: 1000}}
	b.to = &ledger.Account{ID: "acc_to", Kind: ledger.CustomerWallet, Currency: "USD", Status: ledger.Active}
	b.payment = &payment.Payment{
		ID: "pay_1", Status: status, Amount: money.Amount{MinorUnits: 700, Currency: "USD"}, DestinationAccountID: to, Version: 1,
	}
	if status != payment.RequiresPaymentMethod {
		b.payment.SourceAccountID = from
	}
	return b
}

func id(s ledger.AccountID) *ledger.AccountID { return &s }

var from, to = id("acc_from"), id("acc_to")

// act runs the command of an action.
func (b *books) act(t *testing.T, action payment.Action) (p *payment.Payment, err error) {
	t.Helper()
	s := payment.Service{Committer: b}
	switch action {
	case payment.Confirm:
		in := payment.ConfirmInput{PaymentID: b.payment.ID}
		if b.payment.SourceAccountID == nil {
			in.Source = &payment.Source{AccountID: from}
		}
		success, err := s.Confirm(t.Context(), auth.Principal{}, in)
		return success.Payment, err
	}
	t.Fatalf("the test does not know how to %s", action)
	return nil, nil
}

// Commit decides at once.
func (b *books) Commit(_ context.Context, c command.Command[payment.Batch]) (command.Result, error) {
	object, err := c.Decide(b)
	return command.Result{Object: object}, err
}

func (b *books) Time() time.Time             { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
func (b *books) Merchant() answer.MerchantID { return "mer_1" }
func (b *books) Append(d event.Draft)        { b.events = append(b.events, d) }
func (b *books) Salt() []byte                { return []byte("salt") }
func (b *books) NewID(p answer.Prefix) string {
	b.ids++
	return answer.Encode(p, answer.UUID{15: b.ids})
}

func (b *books) Account(id ledger.AccountID) *ledger.Account {
	return map[ledger.AccountID]*ledger.Account{"acc_from": b.from, "acc_to": b.to}[id]
}

func (b *books) Payment(id payment.ID) *payment.Payment {
	return map[payment.ID]*payment.Payment{b.payment.ID: b.payment}[id]
}

func (b *books) Inner(ledger.Kind, money.Currency) *ledger.Account { return nil }
func (b *books) AddAccount(*ledger.Account)                        {}
func (b *books) Hold(ledger.HoldID) *ledger.Hold                   { return nil }
func (b *books) AddHold(*ledger.Hold)                              {}
func (b *books) EndedHold(*ledger.Hold)                            {}
func (b *books) AddTransaction(t *ledger.Transaction)              { b.transactions = append(b.transactions, t) }
func (b *books) Changed(*ledger.Account)                           {}
func (b *books) AddPayment(*payment.Payment)                       {}
func (b *books) ChangedPayment(*payment.Payment)                   {}
