package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

// model is what a merchant should be, kept in maps and without a thought for speed. It is not told how the gateway decides: it knows the
// rules from the design.
type model struct {
	customers map[string]bool
	accounts  map[string]*modelAccount // by id; the merchant's own by kind and currency
	payments  map[string]*modelPayment
	holds     map[string]*modelHold
	records   map[string]modelRecord
	events    []string                   // type, object and version
	versions  map[string]int             // of objects, by the last event
	own       map[string]string          // identifiers of the merchant's own accounts by kind and currency: those that the gateway has opened
	plans     map[string]payment.FeePlan // by currency
	happened  map[string]int             // what is seldom, and has to be seen

	transactions      map[string]*modelTransaction // those of which the gateway tells at once
	captures, refunds []string                     // id, payment and amount; and whether a capture was the last
}

type modelAccount struct {
	id              string
	name, currency  string
	status          ledger.Status
	version         int
	debits, credits int64
	debitsPending   int64
	creditsPending  int64
	debitSide       bool
	entries         []string // number, direction, amount, what is pending, both balances after it, and the hold
}

type modelHold struct {
	account, counter *modelAccount
	amount           money.Amount
	payment          string // that it belongs to
	ended            bool
	posted           int64
}

type modelTransaction struct {
	kind       ledger.TransactionKind
	from, to   *modelAccount
	amount     money.Amount
	reversedBy *ledger.TransactionID
}

type modelRecord struct {
	operation string
	input     map[string]string
	id        string
	version   int // of the object, after it; 0 where nothing has happened to it
	refusal   error
}

func newModel(happened map[string]int) *model {
	return &model{
		customers: map[string]bool{}, accounts: map[string]*modelAccount{}, payments: map[string]*modelPayment{}, holds: map[string]*modelHold{},
		records: map[string]modelRecord{}, transactions: map[string]*modelTransaction{}, plans: map[string]payment.FeePlan{},
		happened: happened, versions: map[string]int{},
	}
}

// call is one command, for the gateway and for the model.
type call struct {
	operation string
	key       string                          // of a timer; a client's is still to be drawn
	silent    bool                            // the answer says nothing of the object, nor whether it was replayed
	input     map[string]string               // what is neither absent nor the default, by path; amounts in minor units
	invalid   []string                        // the paths of what is wrong with the input itself
	run       func(*gateway, string) outcome  // the command with a key
	decide    func(m *model) (decided, error) // a refusal, or what it does
}

// decided changes the model, given the identifiers of what the gateway has made, and says how the object is then.
type decided func(made outcome) (state string)

// outcome is what the gateway has answered.
type outcome struct {
	id, state   string
	transaction string // that it made, where the object tells
	expires     time.Time
	replayed    bool
	err         error
}

// expect applies a call to the model and compares what the gateway has answered.
func (m *model) expect(c call, got outcome) error {
	if earlier, ok := m.records[c.key]; ok {
		got.replayed = got.replayed || c.silent
		return earlier.expect(c, got)
	}
	if len(c.invalid) > 0 {
		failed, _ := got.err.(answer.ValidationFailed)
		var paths []string
		for _, v := range failed.Violations {
			paths = append(paths, strings.Join(v.Path, "."))
		}
		return differ("violations", paths, c.invalid)
	}
	change, refusal := c.decide(m)
	m.records[c.key] = modelRecord{c.operation, c.input, got.id, 0, refusal}
	if refusal != nil || got.err != nil {
		return differ("refusal", got.err, refusal)
	}
	if got.replayed {
		return errors.New("it says that it was replayed")
	}
	events := len(m.events)
	state := change(got)
	version := m.versions[got.id]
	if len(m.events) == events { // a timer that came too late
		version = 0
	}
	m.records[c.key] = modelRecord{c.operation, c.input, got.id, version, nil}
	return differ("state", got.state, state)
}

func (r modelRecord) expect(c call, got outcome) error {
	var conflicts []string
	for path := range c.input {
		if r.input[path] != c.input[path] {
			conflicts = append(conflicts, path)
		}
	}
	for path := range r.input {
		if _, ok := c.input[path]; !ok {
			conflicts = append(conflicts, path)
		}
	}
	slices.Sort(conflicts)
	if len(conflicts) > 0 || r.operation != c.operation {
		reused, ok := got.err.(answer.IdempotencyKeyReused)
		if !ok {
			return fmt.Errorf("got %v, want IdempotencyKeyReused", got.err)
		}
		return errors.Join(differ("conflicts", slices.Sorted(slices.Values(reused.ConflictingPaths)), conflicts),
			differ("operation", reused.OriginalOperation, r.operation))
	}
	if r.refusal != nil || got.err != nil {
		return differ("replayed refusal", got.err, r.refusal)
	}
	return errors.Join(differ("replayed", got.replayed, true), differ("replayed object", got.id, r.id))
}

func differ(what string, got, want any) error {
	if shown := func(v any) string { return fmt.Sprintf("%#v %s", v, asJSON(v)) }; pointers.ReplaceAllString(shown(got), "") != pointers.ReplaceAllString(shown(want), "") {
		return fmt.Errorf("%s: got %#v, want %#v", what, got, want)
	}
	return nil
}

// saw notes that something seldom has happened, if it has.
func (m *model) saw(it bool, what string) {
	if it {
		m.happened[what]++
	}
}

func (m *model) note(t event.Type, object string, version int) {
	m.events = append(m.events, fmt.Sprint(t, " ", object, " ", version))
	m.versions[object] = version
}

func notFound(id string, path ...string) error {
	return answer.NotFound{Recorded: answer.Recorded{At: path}, ResourceID: id}
}

// party is an account that a transfer may name: a wallet, or what the merchant has.
func (m *model) party(id string) *modelAccount {
	for _, a := range m.accounts {
		if a.id == id && id != "" && (a.name == id || a.isAvailable()) {
			return a
		}
	}
	return nil
}

// isAvailable says whether the account is what the merchant has.
func (a *modelAccount) isAvailable() bool {
	return strings.HasPrefix(a.name, string(ledger.MerchantAvailable))
}

// destination is a wallet that may be credited.
func (m *model) destination(id string, amount money.Amount, path ...string) (*modelAccount, error) {
	return credited(m.accounts[id], id, amount, path...)
}

// source is a wallet that may be debited.
func (m *model) source(id string, amount money.Amount, path ...string) (*modelAccount, error) {
	return debited(m.accounts[id], id, amount, path...)
}

// credited is an account that a request has named, if it may be.
func credited(a *modelAccount, id string, amount money.Amount, path ...string) (*modelAccount, error) {
	at := answer.Recorded{At: path}
	switch {
	case a == nil:
		return nil, notFound(id, path...)
	case a.currency != string(amount.Currency):
		return nil, ledger.CurrencyMismatch{Recorded: at, ResourceID: id, Expected: money.Currency(a.currency), Actual: amount.Currency}
	case a.status == ledger.Closed:
		return nil, ledger.AccountNotActive{Recorded: at, ResourceID: id, Status: a.status}
	}
	return a, nil
}

// debited is likewise.
func debited(a *modelAccount, id string, amount money.Amount, path ...string) (*modelAccount, error) {
	a, err := credited(a, id, amount, path...)
	at := answer.Recorded{At: path}
	switch {
	case err != nil:
		return nil, err
	case a.status != ledger.Active:
		return nil, ledger.AccountNotActive{Recorded: at, ResourceID: id, Status: a.status}
	case a.available() < amount.MinorUnits:
		return nil, ledger.InsufficientFunds{Recorded: at, ResourceID: id, Required: amount,
			Available: money.Amount{MinorUnits: a.available(), Currency: amount.Currency}}
	}
	return a, nil
}

// inner is an account of the merchant's own, which opens when it is first needed.
func (m *model) inner(kind ledger.Kind, currency money.Currency) *modelAccount {
	name := fmt.Sprint(kind, " ", currency)
	if m.accounts[name] == nil {
		a := m.open(name, string(currency))
		a.id, a.debitSide = m.own[name], kind == ledger.BankCash
	}
	return m.accounts[name]
}

func (m *model) open(id, currency string) *modelAccount {
	m.accounts[id] = &modelAccount{id: id, name: id, currency: currency, status: ledger.Active, version: 1}
	m.note(event.AccountOpened, id, 1)
	return m.accounts[id]
}

func (a *modelAccount) posted() int64 {
	if a.debitSide {
		return a.debits - a.credits
	}
	return a.credits - a.debits
}

func (a *modelAccount) available() int64 {
	if a.debitSide {
		return a.posted() - a.creditsPending
	}
	return a.posted() - a.debitsPending
}

// move moves an amount, in a transaction that is kept where its name is known.
func (m *model) move(transaction string, kind ledger.TransactionKind, amount money.Amount, from, to *modelAccount) {
	from.debits += amount.MinorUnits
	from.enter(ledger.Debit, amount.MinorUnits, 0, "")
	to.credits += amount.MinorUnits
	to.enter(ledger.Credit, amount.MinorUnits, 0, "")
	if transaction != "" {
		m.transactions[transaction] = &modelTransaction{kind: kind, from: from, to: to, amount: amount}
	}
}

// setAside makes a hold, in a transaction, perhaps for a payment.
func (m *model) setAside(transaction string, amount money.Amount, from, to *modelAccount, payment string) (hold string) {
	hold = "hol" + strings.TrimPrefix(transaction, "txn")
	m.holds[hold] = &modelHold{account: from, counter: to, amount: amount, payment: payment}
	from.debitsPending += amount.MinorUnits
	from.enter(ledger.Debit, 0, amount.MinorUnits, hold)
	to.creditsPending += amount.MinorUnits
	to.enter(ledger.Credit, 0, amount.MinorUnits, hold)
	if m.transactions[transaction] == nil {
		m.transactions[transaction] = &modelTransaction{kind: ledger.Held, from: from, to: to, amount: amount}
	}
	return hold
}

// end ends a hold: so much of it moves, and the rest is free again.
func (m *model) end(hold, transaction string, kind ledger.TransactionKind, amount money.Amount, posted int64) {
	h := m.holds[hold]
	h.ended, h.posted = true, posted
	h.account.debits += posted
	h.account.debitsPending -= h.amount.MinorUnits
	h.account.enter(ledger.Debit, posted, -h.amount.MinorUnits, hold)
	h.counter.credits += posted
	h.counter.creditsPending -= h.amount.MinorUnits
	h.counter.enter(ledger.Credit, posted, -h.amount.MinorUnits, hold)
	if transaction != "" {
		m.transactions[transaction] = &modelTransaction{kind: kind, from: h.account, to: h.counter, amount: amount}
	}
}

func (a *modelAccount) enter(d ledger.Direction, amount, pending int64, hold string) {
	a.entries = append(a.entries,
		fmt.Sprint(a.name, " ", len(a.entries)+1, " ", d, " ", amount, " ", pending, " ", a.posted(), " ", a.available(), " ", hold))
}

// ids are the wallets' or payments' in their order.
func ids[T any](of map[string]T, prefix answer.Prefix) (found []string) {
	for _, id := range slices.Sorted(maps.Keys(of)) {
		if strings.HasPrefix(id, string(prefix)+"_") {
			found = append(found, id)
		}
	}
	return found
}

// apt are identifiers with which a command would mostly succeed, of those that name a payment, a hold or a transaction.
func (m *model) apt(operation string) []string {
	payments := func(is func(*modelPayment) bool) []string {
		return slices.DeleteFunc(ids(m.payments, answer.PaymentPrefix), func(id string) bool { return !is(m.payments[id]) })
	}
	switch operation {
	case "confirmPayment":
		return payments(func(p *modelPayment) bool { return p.waits() && p.hold == "" })
	case "capturePayment":
		return payments(func(p *modelPayment) bool { return p.hold != "" })
	case "cancelPayment":
		return payments((*modelPayment).waits)
	case "refundPayment":
		return payments(func(p *modelPayment) bool { return p.captured > p.refunded })
	case "releaseHold":
		return slices.DeleteFunc(ids(m.holds, answer.HoldPrefix), func(id string) bool { return m.holds[id].ended || m.holds[id].payment != "" })
	case "reverseTransfer":
		return slices.DeleteFunc(ids(m.transactions, answer.TransactionPrefix), func(id string) bool {
			t := m.transactions[id]
			return t.kind != ledger.Transfer || t.reversedBy != nil
		})
	}
	return nil
}

// pointers are addresses, behind which the same may lie.
var pointers = regexp.MustCompile(`\(0x[0-9a-f]+\)`)

func asJSON(v any) []byte {
	text, _ := json.Marshal(v)
	return text
}
