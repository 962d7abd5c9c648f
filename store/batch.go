package store

import (
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

// The store is what every domain's decisions are made on.
var (
	_ merchant.Batch = (*batch)(nil)
	_ ledger.Batch   = (*batch)(nil)
	_ payment.Batch  = (*batch)(nil)
)

// resultVersion is the format of what is frozen under an idempotency key.
const resultVersion = 1

// batch is what is loaded for some commands of one merchant, and what they have decided. It is used by one writer.
type batch struct {
	merchant merchant.ID
	head     head
	t        time.Time
	shown    time.Time // what the database's clock showed under the lock
	behind   bool      // that was before the head's time: t follows from the head, and another attempt may have the same
	minted   int       // identifiers made
	assumed  bool      // head and accounts are as this process left them, as far as it knows: the lock has not shown it
	proven   int       // as in the merchant's cache, and
	doubt    int       // likewise

	customers map[merchant.CustomerID]*merchant.Customer
	accounts  map[ledger.AccountID]*account // the merchant's cache
	inner     map[command.Inner]*account    // likewise
	payments  map[payment.ID]*payment.Payment
	holds     map[ledger.HoldID]*ledger.Hold

	transactions map[ledger.TransactionID]*ledger.Transaction

	cause event.Cause // of the command that is being decided

	newCustomers    []*merchant.Customer
	newAccounts     []*ledger.Account
	changedAccounts []*ledger.Account // filled by close
	balances        []*ledger.Account // filled by close
	heldBalances    []*ledger.Account // likewise: what is pending on them has changed too
	newPayments     []*payment.Payment
	usualPayments   []*payment.Payment // filled by close, of the new ones
	waitingPayments []*payment.Payment // likewise
	changedPayments []*payment.Payment
	newCaptures     []*payment.Capture
	newRefunds      []*payment.Refund
	newReversals    []*ledger.Transaction
	newTimers       []command.Timer
	served          []command.Timer
	newEntries      []newEntry
	usualEntries    []newEntry // filled by close
	heldEntries     []newEntry // likewise: those that are not usual
	newHolds        []*ledger.Hold
	endedHolds      []*ledger.Hold
	events          []event.Event
	records         []*record
	dirty           []*account
	paymentAt       map[payment.ID]*[]*payment.Payment // which of the two lists a written payment stands in
}

// account is a ledger account with what the database has of it.
type account struct {
	*ledger.Account
	isNew, isDirty bool
	savedVersion   int32
	savedSequence  int64
	savedPending   [2]int64 // of debits and credits
}

// newEntry is an entry with its transaction, of which the first leg keeps more.
type newEntry struct {
	of *ledger.Transaction
	*ledger.Entry
}

func newBatch(m merchant.ID) *batch {
	return &batch{
		merchant:  m,
		customers: map[merchant.CustomerID]*merchant.Customer{},
		payments:  map[payment.ID]*payment.Payment{},
		holds:     map[ledger.HoldID]*ledger.Hold{},

		transactions: map[ledger.TransactionID]*ledger.Transaction{},

		paymentAt: map[payment.ID]*[]*payment.Payment{},
	}
}

// Time is the batch's t.
func (b *batch) Time() time.Time { return b.t }

// Merchant is whose batch it is.
func (b *batch) Merchant() merchant.ID { return b.merchant }

// NewID makes a UUIDv7 (RFC 9562, section 5.7) from t: 48 bits of milliseconds, 12 of the part of a millisecond (method 3 of
// section 6.2), 14 that count within the batch, and random ones.
func (b *batch) NewID(prefix answer.Prefix) string {
	var u answer.UUID
	micros := b.t.UnixMicro()
	binary.BigEndian.PutUint64(u[:8], uint64(micros/1000)<<16|0x7000|uint64(micros%1000)*4096/1000)
	binary.BigEndian.PutUint64(u[8:], 1<<63|uint64(b.minted&0x3fff)<<48|mathrand.Uint64()>>16)
	b.minted++
	if prefix == answer.TransactionPrefix {
		u[15] = 0
	}
	return answer.Encode(prefix, u)
}

// Salt is 16 random bytes.
func (b *batch) Salt() []byte {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails (crypto/rand, since Go 1.24)
	return salt
}

// Customer is a customer that a command named in its needs, or nil.
func (b *batch) Customer(id merchant.CustomerID) *merchant.Customer { return b.customers[id] }

// AddCustomer adds a customer that the command creates.
func (b *batch) AddCustomer(c *merchant.Customer) {
	b.newCustomers = append(b.newCustomers, c)
	b.customers[c.ID] = c
}

// Account is an account that a command named in its needs, or nil.
func (b *batch) Account(id ledger.AccountID) *ledger.Account {
	if a := b.accounts[id]; a != nil {
		return a.Account
	}
	return nil
}

// Inner is the merchant's own account of a kind and currency, or nil where it is not yet open.
func (b *batch) Inner(kind ledger.Kind, currency money.Currency) *ledger.Account {
	if a := b.inner[command.Inner{Kind: string(kind), Currency: string(currency)}]; a != nil {
		return a.Account
	}
	return nil
}

// AddAccount adds an account that the command opens. The caller's struct is the account from now on.
func (b *batch) AddAccount(a *ledger.Account) {
	b.newAccounts = append(b.newAccounts, a)
	b.accounts[a.ID] = &account{Account: a, isNew: true}
	if a.CustomerID == nil {
		b.inner[command.Inner{Kind: string(a.Kind), Currency: string(a.Currency)}] = b.accounts[a.ID]
	}
}

// Changed notes that the command changed what an account is, or its balance.
func (b *batch) Changed(a *ledger.Account) {
	if state := b.accounts[a.ID]; !state.isDirty {
		state.isDirty = true
		b.dirty = append(b.dirty, state)
	}
}

// Payment is a payment that a command named in its needs, or nil.
func (b *batch) Payment(id payment.ID) *payment.Payment { return b.payments[id] }

// AddPayment adds a payment that the command creates.
func (b *batch) AddPayment(p *payment.Payment) {
	b.mustKnow(p.SourceAccountID, p.DestinationAccountID)
	b.newPayments = append(b.newPayments, p)
	b.payments[p.ID], b.paymentAt[p.ID] = p, &b.newPayments
}

// ChangedPayment notes that the command changed a payment: the struct that it gives takes the place of the one that was loaded.
func (b *batch) ChangedPayment(p *payment.Payment) {
	b.mustKnow(p.SourceAccountID, p.DestinationAccountID)
	list := b.paymentAt[p.ID]
	if list == nil {
		list = &b.changedPayments
		*list = append(*list, p)
	} else {
		(*list)[slices.Index(*list, b.payments[p.ID])] = p
	}
	b.payments[p.ID], b.paymentAt[p.ID] = p, list
}

// FeePlan is what the merchant is charged for payments in a currency.
func (b *batch) FeePlan(c money.Currency) payment.FeePlan { return b.head.plans[c] }

// AddCapture adds a capture that the command makes.
func (b *batch) AddCapture(c *payment.Capture) { b.newCaptures = append(b.newCaptures, c) }

// AddRefund adds a refund that the command makes.
func (b *batch) AddRefund(r *payment.Refund) { b.newRefunds = append(b.newRefunds, r) }

// AddTimer notes that something is to happen later.
func (b *batch) AddTimer(t command.Timer) { b.newTimers = append(b.newTimers, t) }

// Served notes that a timer is not needed any more. One of this batch is not written at all: its rows are all written at once.
func (b *batch) Served(t command.Timer) {
	if at := slices.Index(b.newTimers, t); at >= 0 {
		b.newTimers = slices.Delete(b.newTimers, at, at+1)
		return
	}
	b.served = append(b.served, t)
}

// Transaction is a transaction that a command named in its needs, or nil.
func (b *batch) Transaction(id ledger.TransactionID) *ledger.Transaction { return b.transactions[id] }

// Hold is a hold that a command named in its needs, or nil.
func (b *batch) Hold(id ledger.HoldID) *ledger.Hold { return b.holds[id] }

// AddHold adds a hold that the command makes.
func (b *batch) AddHold(h *ledger.Hold) {
	b.mustKnow(&h.AccountID, &h.CounterAccountID)
	b.newHolds = append(b.newHolds, h)
	b.holds[h.ID] = h
}

// EndedHold notes that the command ended a hold: the struct that it gives takes the place of the one that was loaded.
func (b *batch) EndedHold(h *ledger.Hold) {
	b.newHolds = slices.DeleteFunc(b.newHolds, func(made *ledger.Hold) bool { return made.ID == h.ID }) // its end is written with it
	b.endedHolds = append(b.endedHolds, h)
	b.holds[h.ID] = h
}

// AddTransaction adds a transaction with its entries.
func (b *batch) AddTransaction(t *ledger.Transaction) {
	if t.Reverses != nil {
		b.transactions[*t.Reverses].ReversedBy = &t.ID // its command has named it
		b.newReversals = append(b.newReversals, t)
	}
	for i := range t.Entries {
		b.mustKnow(&t.Entries[i].AccountID)
		b.newEntries = append(b.newEntries, newEntry{t, &t.Entries[i]})
	}
}

// mustKnow panics where a command writes the name of an account that is not this merchant's: one that it has neither read nor opened. It
// stands for a foreign key (docs/decisions/012).
func (b *batch) mustKnow(ids ...*ledger.AccountID) {
	for _, id := range ids {
		if id != nil && b.accounts[*id] == nil {
			panic("store: account " + string(*id) + " is written and was not read")
		}
	}
}

// Append numbers an event of the command that is being decided, and chains it.
func (b *batch) Append(d event.Draft) {
	b.head.sequence++
	e := d.Number(b.merchant, event.ID(b.NewID(answer.EventPrefix)), b.head.sequence, b.head.hash, b.t, b.cause)
	b.head.hash = e.Hash
	b.events = append(b.events, e)
}

// close sorts what has changed by the tables that it is written to.
func (b *batch) close() {
	for _, a := range b.newAccounts {
		b.writeBalance(b.accounts[a.ID])
	}
	for _, a := range b.dirty {
		if a.isNew {
			continue
		}
		if a.Version != a.savedVersion {
			b.changedAccounts = append(b.changedAccounts, a.Account)
		}
		if a.Sequence != a.savedSequence {
			b.writeBalance(a)
		}
	}
	for _, p := range b.newPayments {
		if p.CaptureMethod == payment.Automatic && p.ExpiresAt == nil && p.RefundedMinorUnits == 0 && p.FeeMinorUnits == 0 {
			b.usualPayments = append(b.usualPayments, p)
		} else {
			b.waitingPayments = append(b.waitingPayments, p)
		}
	}
	b.usualEntries = b.newEntries
	if isHeld := func(e newEntry) bool { return !e.IsUsual() || e.of.Reverses != nil }; slices.ContainsFunc(b.newEntries, isHeld) {
		b.usualEntries = slices.DeleteFunc(slices.Clone(b.newEntries), isHeld)
		b.heldEntries = slices.DeleteFunc(slices.Clone(b.newEntries), func(e newEntry) bool { return !isHeld(e) })
	}
}

// writeBalance writes an account's sums: what is pending only where it has changed.
func (b *batch) writeBalance(a *account) {
	if a.savedPending == a.pending() {
		b.balances = append(b.balances, a.Account)
	} else {
		b.heldBalances = append(b.heldBalances, a.Account)
	}
}

// saved notes that the database has everything now.
func (b *batch) saved() {
	for _, a := range b.newAccounts {
		b.accounts[a.ID].save()
	}
	for _, a := range b.dirty {
		a.save()
	}
}

func (a *account) save() {
	a.isNew, a.isDirty, a.savedVersion, a.savedSequence, a.savedPending = false, false, a.Version, a.Sequence, a.pending()
}

// pending is what is set aside by debits and credits.
func (a *account) pending() [2]int64 { return [2]int64{a.DebitsPending, a.CreditsPending} }
