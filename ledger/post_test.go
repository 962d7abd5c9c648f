package ledger_test

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
)

// books is a batch in memory.
type books struct {
	transactions []*ledger.Transaction
	changed      map[*ledger.Account]int
	ids          byte
}

func (b *books) Time() time.Time {
	return time.Date(2026, 1, 2, 23, 59, 59, 0, time.FixedZone("", -3600))
}
func (b *books) Merchant() answer.MerchantID { return "mer_1" }
func (b *books) Append(event.Draft)          {}
func (b *books) Salt() []byte                { return []byte("salt") }
func (b *books) NewID(p answer.Prefix) string {
	b.ids++
	return answer.Encode(p, answer.UUID{14: b.ids})
}
func (b *books) Account(ledger.AccountID) *ledger.Account          { return nil }
func (b *books) Inner(ledger.Kind, money.Currency) *ledger.Account { return nil }
func (b *books) AddAccount(*ledger.Account)                        {}
func (b *books) AddTransaction(t *ledger.Transaction)              { b.transactions = append(b.transactions, t) }
func (b *books) Changed(a *ledger.Account)                         { b.changed[a]++ }

var _ ledger.Books = (*books)(nil)

// drafts draws postings: balanced or not, on few accounts, with amounts from 1 to the largest.
func draw(t *rapid.T) ledger.Draft {
	small := rapid.Int64Range(1, 20) // more often than others, as are whole pairs: enough of all drafts can be posted
	amount := rapid.OneOf(small, small, rapid.Int64Range(-1, 0), rapid.SampledFrom([]int64{1 << 61, 1 << 62, math.MaxInt64 - 1, math.MaxInt64}))
	sum := rapid.OneOf(small, small, small, rapid.Just[int64](0), rapid.SampledFrom([]int64{1 << 62, math.MaxInt64 - 3, math.MaxInt64}))
	accounts := make([]*ledger.Account, rapid.IntRange(2, 4).Draw(t, "accounts"))
	for i := range accounts {
		accounts[i] = &ledger.Account{
			ID: ledger.AccountID(fmt.Sprint("acc_", i)), Kind: rapid.SampledFrom([]ledger.Kind{ledger.CustomerWallet, ledger.BankCash}).Draw(t, "kind"),
			Currency: "USD", DebitsPosted: sum.Draw(t, "debits"), CreditsPosted: sum.Draw(t, "credits"), Sequence: int64(i),
		}
	}
	if rapid.IntRange(0, 19).Draw(t, "other currency") == 0 {
		accounts[0].Currency = "JPY"
	}
	d := ledger.Draft{Kind: ledger.Transfer, Amount: money.Amount{MinorUnits: 1, Currency: "USD"}}
	directions := []ledger.Direction{ledger.Debit, ledger.Credit}
	for range rapid.SampledFrom([]int{1, 1, 2, 3, 0}).Draw(t, "pairs") {
		n := amount.Draw(t, "amount")
		for _, direction := range directions {
			d.Legs = append(d.Legs, ledger.Leg{Account: rapid.SampledFrom(accounts).Draw(t, "account"), Direction: direction, Amount: n})
		}
	}
	for range rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 1, 2, 4}).Draw(t, "single legs") {
		d.Legs = append(d.Legs, ledger.Leg{
			Account: rapid.SampledFrom(accounts).Draw(t, "account"), Amount: amount.Draw(t, "amount"),
			Direction: rapid.SampledFrom([]ledger.Direction{ledger.Debit, ledger.Debit, ledger.Credit, ""}).Draw(t, "direction"),
		})
	}
	return d
}

// sums are a draft's debits and credits, and each account's afterwards, in numbers that cannot overflow. ok is false for a draft with a
// leg that is none.
func sums(d ledger.Draft) (debits, credits *big.Int, after map[*ledger.Account][2]*big.Int, ok bool) {
	debits, credits, after, ok = new(big.Int), new(big.Int), map[*ledger.Account][2]*big.Int{}, len(d.Legs) >= 2
	for _, leg := range d.Legs {
		a := leg.Account
		if after[a][0] == nil {
			after[a] = [2]*big.Int{big.NewInt(a.DebitsPosted), big.NewInt(a.CreditsPosted)}
		}
		amount := big.NewInt(leg.Amount)
		switch leg.Direction {
		case ledger.Debit:
			debits.Add(debits, amount)
			after[a][0].Add(after[a][0], amount)
		case ledger.Credit:
			credits.Add(credits, amount)
			after[a][1].Add(after[a][1], amount)
		}
		ok = ok && leg.Amount > 0 && a.Currency == d.Amount.Currency && leg.Direction != ""
	}
	return debits, credits, after, ok
}

// TestPost posts what is balanced and fits, exactly; everything else changes nothing.
func TestPost(t *testing.T) {
	t.Parallel()
	posted := 0
	rapid.Check(t, func(rt *rapid.T) {
		d := draw(rt)
		b := &books{changed: map[*ledger.Account]int{}}
		before := map[*ledger.Account]ledger.Account{}
		for _, leg := range d.Legs {
			before[leg.Account] = *leg.Account
		}
		debits, credits, after, wellFormed := sums(d)
		transaction, err := ledger.Post(b, d)
		if err != nil {
			refused(rt, err, wellFormed && debits.Cmp(credits) == 0)
			for a, was := range before {
				if fmt.Sprint(*a) != fmt.Sprint(was) || len(b.changed)+len(b.transactions) > 0 {
					rt.Fatalf("%v, and it has changed %+v", err, a)
				}
			}
			return
		}
		posted++
		if !wellFormed || debits.Cmp(credits) != 0 {
			rt.Fatalf("posted debits of %v and credits of %v: %v", debits, credits, d.Legs)
		}
		for a, sum := range after {
			if big.NewInt(a.DebitsPosted).Cmp(sum[0]) != 0 || big.NewInt(a.CreditsPosted).Cmp(sum[1]) != 0 {
				rt.Fatalf("%s has %d and %d, want %v", a.ID, a.DebitsPosted, a.CreditsPosted, sum)
			}
		}
		entered(rt, d, before, transaction)
	})
	if posted == 0 {
		t.Error("nothing was posted")
	}
}

func refused(t *rapid.T, err error, balanced bool) {
	var outOfRange ledger.BalanceOutOfRange
	if !errors.Is(err, ledger.ErrUnbalanced) && !errors.As(err, &outOfRange) {
		t.Fatalf("got %v", err)
	}
	if balanced && errors.Is(err, ledger.ErrUnbalanced) {
		t.Fatalf("a balanced posting: %v", err)
	}
}

// entered checks entry numbers and running balances, leg by leg.
func entered(t *rapid.T, d ledger.Draft, accounts map[*ledger.Account]ledger.Account, got *ledger.Transaction) {
	for i, leg := range d.Legs {
		a := accounts[leg.Account]
		if leg.Direction == ledger.Debit {
			a.DebitsPosted += leg.Amount
		} else {
			a.CreditsPosted += leg.Amount
		}
		a.Sequence++
		accounts[leg.Account] = a
		want := ledger.Entry{
			TransactionID: got.ID, Leg: int16(i + 1), AccountID: a.ID, AccountSequence: a.Sequence, Direction: leg.Direction,
			Amount: money.Amount{MinorUnits: leg.Amount, Currency: "USD"}, PostedAfter: a.Posted(), CreatedAt: got.CreatedAt,
		}
		if got.Entries[i] != want {
			t.Fatalf("entry %d: got %+v, want %+v", i, got.Entries[i], want)
		}
		transaction, number, ok := want.ID().Locate()
		if !ok || transaction != got.ID || number != want.Leg {
			t.Fatalf("entry %s is located at %s, %d", want.ID(), transaction, number)
		}
	}
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
			{one, ledger.Debit, quarter}, {two, ledger.Debit, quarter}, {three, ledger.Debit, quarter}, {four, ledger.Debit, quarter},
		},
		"two debits of one account": {
			{one, ledger.Debit, quarter}, {one, ledger.Debit, quarter - 1}, {two, ledger.Credit, quarter}, {three, ledger.Credit, quarter - 1},
		},
	} {
		b := &books{changed: map[*ledger.Account]int{}}
		_, err := ledger.Post(b, ledger.Draft{Amount: money.Amount{MinorUnits: 1, Currency: "USD"}, Legs: legs})
		if err == nil || len(b.changed) > 0 {
			t.Errorf("%s: posted", name)
		}
	}
}
