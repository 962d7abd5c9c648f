package ledger_test

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
)

// books is a batch in memory.
type books struct {
	transactions []*ledger.Transaction
	changed      map[*ledger.Account]int
	accounts     map[ledger.AccountID]*ledger.Account
	holds        map[ledger.HoldID]*ledger.Hold
	events       []event.Draft
	ids          byte
}

func newBooks() *books {
	return &books{
		changed: map[*ledger.Account]int{}, accounts: map[ledger.AccountID]*ledger.Account{}, holds: map[ledger.HoldID]*ledger.Hold{},
	}
}

func (b *books) Time() time.Time {
	return time.Date(2026, 1, 2, 23, 59, 59, 0, time.FixedZone("", -3600))
}
func (b *books) Merchant() answer.MerchantID { return "mer_1" }
func (b *books) Append(d event.Draft)        { b.events = append(b.events, d) }
func (b *books) Salt() []byte                { return []byte("salt") }
func (b *books) NewID(p answer.Prefix) string {
	b.ids++
	return answer.Encode(p, answer.UUID{14: b.ids})
}
func (b *books) Account(id ledger.AccountID) *ledger.Account { return b.accounts[id] }
func (b *books) Inner(kind ledger.Kind, _ money.Currency) *ledger.Account {
	return b.accounts[ledger.AccountID(kind)]
}
func (b *books) Customer(merchant.CustomerID) *merchant.Customer { return nil }
func (b *books) AddAccount(a *ledger.Account) {
	b.accounts[a.ID] = a
	if a.CustomerID == nil {
		b.accounts[ledger.AccountID(a.Kind)] = a
	}
}
func (b *books) AddTransaction(t *ledger.Transaction) { b.transactions = append(b.transactions, t) }
func (b *books) Changed(a *ledger.Account)            { b.changed[a]++ }
func (b *books) Hold(id ledger.HoldID) *ledger.Hold   { return b.holds[id] }
func (b *books) AddHold(h *ledger.Hold)               { b.holds[h.ID] = h }
func (b *books) EndedHold(h *ledger.Hold)             { b.holds[h.ID] = h }

var _ ledger.Batch = (*books)(nil)

var directions = []ledger.Direction{ledger.Debit, ledger.Credit}

// draw draws postings: balanced or not, on few accounts, with amounts from 1 to the largest, and with holds that they make or end.
func draw(t *rapid.T) ledger.Draft {
	small := rapid.Int64Range(1, 20) // more often than others, as are whole pairs: enough of all drafts can be posted
	amount := rapid.OneOf(small, small, rapid.Int64Range(-1, 0), rapid.SampledFrom([]int64{1 << 61, 1 << 62, math.MaxInt64 - 1, math.MaxInt64}))
	sum := rapid.OneOf(small, small, small, rapid.Just[int64](0), rapid.SampledFrom([]int64{1 << 62, math.MaxInt64 - 50, math.MaxInt64}))
	pending := rapid.OneOf(rapid.Int64Range(0, 50), rapid.Int64Range(0, 50), rapid.Int64Range(0, 50), rapid.SampledFrom([]int64{1 << 62, math.MaxInt64}))
	accounts := make([]*ledger.Account, rapid.IntRange(2, 4).Draw(t, "accounts"))
	for i := range accounts {
		accounts[i] = &ledger.Account{
			ID: ledger.AccountID(fmt.Sprint("acc_", i)), Kind: rapid.SampledFrom([]ledger.Kind{ledger.CustomerWallet, ledger.BankCash}).Draw(t, "kind"),
			Currency: "USD", Sequence: int64(i), Sums: ledger.Sums{
				DebitsPosted: sum.Draw(t, "debits"), CreditsPosted: sum.Draw(t, "credits"),
			},
		}
		a := accounts[i] // whose open holds can be posted
		a.DebitsPending = min(pending.Draw(t, "debits pending"), math.MaxInt64-a.DebitsPosted)
		a.CreditsPending = min(pending.Draw(t, "credits pending"), math.MaxInt64-a.CreditsPosted)
	}
	if rapid.IntRange(0, 19).Draw(t, "other currency") == 0 {
		accounts[0].Currency = "JPY"
	}
	account := rapid.SampledFrom(accounts)
	d := ledger.Draft{Kind: ledger.Transfer, Amount: money.Amount{MinorUnits: 1, Currency: "USD"}}
	for range rapid.SampledFrom([]int{1, 1, 2, 3, 0}).Draw(t, "pairs") {
		n := amount.Draw(t, "amount")
		for _, direction := range directions {
			d.Legs = append(d.Legs, ledger.Leg{Account: account.Draw(t, "account"), Direction: direction, Posted: n})
		}
	}
	for range rapid.SampledFrom([]int{0, 0, 1, 1, 2}).Draw(t, "ends") {
		from, to := account.Draw(t, "from"), account.Draw(t, "to")
		of := money.Amount{MinorUnits: rapid.Int64Range(1, 20).Draw(t, "held"), Currency: "USD"}
		h := &ledger.Hold{
			ID:        ledger.HoldID(answer.Encode(answer.HoldPrefix, answer.UUID{1: byte(len(d.Legs)), 2: 1})),
			AccountID: from.ID, CounterAccountID: to.ID, Amount: of,
		}
		if rapid.IntRange(0, 9).Draw(t, "has ended") == 0 {
			h.EndedBy = new(ledger.TransactionID)
		}
		d.Legs = append(d.Legs, h.End(rapid.Int64Range(0, of.MinorUnits+1).Draw(t, "captured"), from, to)...)
	}
	for range rapid.SampledFrom([]int{0, 1, 1, 2}).Draw(t, "makes") {
		of := money.Amount{MinorUnits: amount.Draw(t, "to be held"), Currency: "USD"}
		d.Legs = append(d.Legs, ledger.SetAside(of, account.Draw(t, "from"), account.Draw(t, "to"))...)
	}
	for range rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4}).Draw(t, "single legs") {
		d.Legs = append(d.Legs, ledger.Leg{
			Account: account.Draw(t, "account"), Posted: amount.Draw(t, "amount"), Pending: rapid.Int64Range(-1, 1).Draw(t, "pending"),
			Direction: rapid.SampledFrom([]ledger.Direction{ledger.Debit, ledger.Debit, ledger.Credit, ""}).Draw(t, "direction"),
		})
	}
	return d
}

// bigSums are sums in numbers that cannot overflow: debits and credits posted, and pending.
type bigSums [4]*big.Int

func bigOf(s ledger.Sums) bigSums {
	return bigSums{big.NewInt(s.DebitsPosted), big.NewInt(s.CreditsPosted), big.NewInt(s.DebitsPending), big.NewInt(s.CreditsPending)}
}

func (s bigSums) add(leg ledger.Leg) {
	side := slices.Index(directions, leg.Direction)
	s[side].Add(s[side], big.NewInt(leg.Posted))
	s[2+side].Add(s[2+side], big.NewInt(leg.Pending))
}

// sums are a draft's, and each account's afterwards. ok is false for a draft with a leg that is none, or a hold that cannot be.
func sums(d ledger.Draft) (all bigSums, after map[*ledger.Account]bigSums, ok bool) {
	all, after, ok = bigOf(ledger.Sums{}), map[*ledger.Account]bigSums{}, len(d.Legs) >= 2
	made, ended := map[ledger.Direction]int{}, map[*ledger.Hold]int64{}
	for _, leg := range d.Legs {
		a := leg.Account
		if leg.Posted < 0 || leg.Posted == 0 && leg.Pending == 0 || a.Currency != d.Amount.Currency || leg.Direction == "" ||
			(leg.Pending < 0) != (leg.Ends != nil) {
			return all, after, false
		}
		if after[a][0] == nil {
			after[a] = bigOf(a.Sums)
		}
		after[a].add(leg)
		all.add(leg)
		if leg.Pending > 0 {
			made[leg.Direction]++
		}
		if h := leg.Ends; h != nil {
			ok = ok && h.EndedBy == nil && leg.Posted <= h.Amount.MinorUnits
			ended[h] += leg.Pending
		}
	}
	ok = ok && made[ledger.Debit] <= 1 && made[ledger.Credit] <= 1
	for h, free := range ended {
		ok = ok && free == -2*h.Amount.MinorUnits
	}
	return all, after, ok
}

// TestPost posts what is balanced and fits, exactly; everything else changes nothing.
func TestPost(t *testing.T) {
	t.Parallel()
	posted, made, ended := 0, 0, 0
	check := func(rt *rapid.T) {
		d := draw(rt)
		b := newBooks()
		before := map[*ledger.Account]ledger.Account{}
		for _, leg := range d.Legs {
			before[leg.Account] = *leg.Account
		}
		all, after, wellFormed := sums(d)
		balanced := wellFormed && all[0].Cmp(all[1]) == 0 && all[2].Cmp(all[3]) == 0
		transaction, err := ledger.Post(b, d)
		if err != nil {
			refused(rt, err, balanced, after)
			for a, was := range before {
				if fmt.Sprint(*a) != fmt.Sprint(was) || len(b.changed)+len(b.transactions)+len(b.holds) > 0 {
					rt.Fatalf("%v, and it has changed %+v", err, a)
				}
			}
			return
		}
		posted++
		if !balanced {
			rt.Fatalf("posted debits and credits of %v: %v", all, d.Legs)
		}
		for a, sum := range after {
			if fmt.Sprint(bigOf(a.Sums)) != fmt.Sprint(sum) || !fits(sum) {
				rt.Fatalf("%s has %+v, want %v", a.ID, a.Sums, sum)
			}
		}
		entered(rt, d, before, transaction)
		m, e := held(rt, d, b, transaction)
		made, ended = made+m, ended+e
	}
	for range 50 { // few drafts end a hold
		if rapid.Check(t, check); posted > 0 && made > 0 && ended > 0 {
			break
		}
	}
	if posted == 0 || made == 0 || ended == 0 {
		t.Errorf("%d drafts were posted, with %d holds made and %d ended", posted, made, ended)
	}
}

// fits says whether an account can have these sums: also once everything pending is posted.
func fits(s bigSums) bool {
	largest := big.NewInt(math.MaxInt64)
	return s[2].Sign() >= 0 && s[3].Sign() >= 0 && new(big.Int).Add(s[0], s[2]).Cmp(largest) <= 0 && new(big.Int).Add(s[1], s[3]).Cmp(largest) <= 0
}

func refused(t *rapid.T, err error, balanced bool, after map[*ledger.Account]bigSums) {
	var outOfRange ledger.BalanceOutOfRange
	if !errors.Is(err, ledger.ErrUnbalanced) && !errors.As(err, &outOfRange) {
		t.Fatalf("got %v", err)
	}
	below := false
	for _, s := range after {
		below = below || s[2].Sign() < 0 || s[3].Sign() < 0
	}
	if balanced && !below && errors.Is(err, ledger.ErrUnbalanced) && !strings.Contains(err.Error(), "more is set free") { // between two legs
		t.Fatalf("a balanced posting: %v", err)
	}
}

// entered checks entry numbers and running balances, leg by leg.
func entered(t *rapid.T, d ledger.Draft, accounts map[*ledger.Account]ledger.Account, got *ledger.Transaction) {
	made := ledger.HoldID(answer.Derive(answer.HoldPrefix, string(got.ID), 0))
	for i, leg := range d.Legs {
		a := accounts[leg.Account]
		_ = a.Add(leg.Direction, leg.Posted, leg.Pending)
		a.Sequence++
		accounts[leg.Account] = a
		want := ledger.Entry{
			TransactionID: got.ID, Leg: int16(i + 1), AccountID: a.ID, AccountSequence: a.Sequence, Direction: leg.Direction,
			Amount: money.Amount{MinorUnits: leg.Posted, Currency: "USD"}, PendingMinorUnits: leg.Pending, CreatedAt: got.CreatedAt,
			PostedAfter: a.CreditsPosted - a.DebitsPosted, AvailableAfter: a.CreditsPosted - a.DebitsPosted - a.DebitsPending,
		}
		if a.Kind == ledger.BankCash {
			want.PostedAfter, want.AvailableAfter = -want.PostedAfter, -want.PostedAfter-a.CreditsPending
		}
		if leg.Ends != nil {
			want.HoldID = &leg.Ends.ID
		} else if leg.Pending > 0 {
			want.HoldID = &made
		}
		if !reflect.DeepEqual(got.Entries[i], want) {
			t.Fatalf("entry %d: got %+v, want %+v", i, got.Entries[i], want)
		}
		transaction, number, ok := want.ID().Locate()
		if !ok || transaction != got.ID || number != want.Leg {
			t.Fatalf("entry %s is located at %s, %d", want.ID(), transaction, number)
		}
	}
}

// held checks the holds that a posting has made and ended.
func held(t *rapid.T, d ledger.Draft, b *books, got *ledger.Transaction) (made, ended int) {
	want := map[ledger.HoldID]string{}
	for _, leg := range d.Legs {
		switch {
		case leg.Direction == ledger.Credit:
		case leg.Ends != nil && leg.Posted > 0:
			want[leg.Ends.ID] = fmt.Sprint(leg.Account.ID, " POSTED ", -leg.Pending, " ", leg.Posted)
			ended++
		case leg.Ends != nil:
			want[leg.Ends.ID] = fmt.Sprint(leg.Account.ID, " VOIDED ", -leg.Pending, " 0")
			ended++
		case leg.Pending > 0:
			want[ledger.HoldID(answer.Derive(answer.HoldPrefix, string(got.ID), 0))] = fmt.Sprint(leg.Account.ID, " OPEN ", leg.Pending, " 0")
			made++
		}
	}
	if len(b.holds) != len(want) {
		t.Fatalf("holds %v, want %v", b.holds, want)
	}
	for id, h := range b.holds {
		if now := fmt.Sprint(h.AccountID, " ", h.Status(), " ", h.Amount.MinorUnits, " ", h.PostedMinorUnits); now != want[id] || h.ID != id {
			t.Fatalf("hold %s is %s, want %s", id, now, want[id])
		}
		if h.Status() != ledger.HoldOpen && (*h.EndedBy != got.ID || !h.EndedAt.Equal(got.CreatedAt)) {
			t.Fatalf("hold %s ended %v by %v", id, h.EndedAt, h.EndedBy)
		}
		if h.Status() == ledger.HoldOpen && (h.ID.MadeBy() != got.ID || !reflect.DeepEqual(h, got.Made())) {
			t.Fatalf("hold %s is made by %s, and not %s", id, h.ID.MadeBy(), got.ID)
		}
	}
	return made, ended
}

// TestPostKnowsLargeSums has the two postings that wrap around in 64 bits.
func TestPostKnowsLargeSums(t *testing.T) {
	t.Parallel()
	account := func(id string) *ledger.Account {
		return &ledger.Account{ID: ledger.AccountID(id), Kind: ledger.CustomerWallet, Currency: "USD"}
	}
	one, two, three, four := account("1"), account("2"), account("3"), account("4")
	const quarter = 1 << 62
	one.DebitsPosted = 1
	for name, legs := range map[string][]ledger.Leg{
		"four debits whose sum is 0 in 64 bits": {
			leg(one, ledger.Debit, quarter), leg(two, ledger.Debit, quarter), leg(three, ledger.Debit, quarter), leg(four, ledger.Debit, quarter),
		},
		"two debits of one account": {
			leg(one, ledger.Debit, quarter), leg(one, ledger.Debit, quarter-1), leg(two, ledger.Credit, quarter), leg(three, ledger.Credit, quarter-1),
		},
	} {
		b := newBooks()
		_, err := ledger.Post(b, ledger.Draft{Amount: money.Amount{MinorUnits: 1, Currency: "USD"}, Legs: legs})
		if err == nil || len(b.changed) > 0 {
			t.Errorf("%s: posted", name)
		}
	}
}

func leg(a *ledger.Account, d ledger.Direction, posted int64) ledger.Leg {
	return ledger.Leg{Account: a, Direction: d, Posted: posted}
}

func (b *books) AddTimer(command.Timer)                               {}
func (b *books) Served(command.Timer)                                 {}
func (b *books) Transaction(ledger.TransactionID) *ledger.Transaction { return nil }
