package store

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/fastcache"
	"pgregory.net/rapid"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
)

// anID is an identifier that is the same for the same number.
func anID(prefix answer.Prefix, n int64) string {
	var u answer.UUID
	for i := range 8 {
		u[i] = byte(n >> (8 * i))
	}
	u[8] = 1
	return answer.Encode(prefix, u)
}

// aTransaction moves a cent to an account, as its entry of a number.
func aTransaction(account ledger.AccountID, number int64) *ledger.Transaction {
	t := &ledger.Transaction{
		ID: ledger.TransactionID(anID(answer.TransactionPrefix, number)), Kind: ledger.Deposit,
		Amount:    money.Amount{MinorUnits: 1, Currency: "USD"},
		ValueDate: time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC), CreatedAt: time.Date(2026, 11, 26, 9, 30, 0, 1000, time.UTC),
	}
	for leg, side := range []ledger.Direction{ledger.Debit, ledger.Credit} {
		t.Entries = append(t.Entries, ledger.Entry{
			TransactionID: t.ID, Leg: int16(leg + 1), AccountID: ledger.AccountID(anID(answer.AccountPrefix, -1)), AccountSequence: number,
			Direction: side, Amount: t.Amount, PostedAfter: number, AvailableAfter: number, CreatedAt: t.CreatedAt,
		})
	}
	t.Entries[1].AccountID = account
	return t
}

var (
	ourMerchant = merchant.ID(anID(answer.MerchantPrefix, 1))
	ourAccount  = ledger.AccountID(anID(answer.AccountPrefix, 1))
)

// span is our account's entries from one number to another.
func span(from, to int64) ledger.Span {
	return ledger.Span{Account: ourAccount, After: from - 1, Before: to + 1}
}

func TestKeptTransactionsAreReadAsTheyWere(t *testing.T) {
	t.Parallel()
	p := newPosted()
	defer p.close()
	number := int64(0)
	rapid.Check(t, func(r *rapid.T) {
		number++
		of := aTransaction(ourAccount, number)
		texts := rapid.StringN(0, 300, 300)
		of.Kind = ledger.TransactionKind(rapid.SampledFrom([]string{"DEPOSIT", "TRANSFER", "PAYMENT"}).Draw(r, "kind"))
		of.Amount.MinorUnits = rapid.Int64().Draw(r, "amount")
		of.PaymentID = rapid.Ptr(texts, true).Draw(r, "payment")
		of.Reference = rapid.Ptr(texts, true).Draw(r, "reference")
		of.ValueDate = of.ValueDate.AddDate(0, 0, rapid.IntRange(-99_999, 99_999).Draw(r, "days"))
		of.CreatedAt = of.CreatedAt.Add(time.Duration(rapid.Int32().Draw(r, "microseconds")) * time.Microsecond)
		if rapid.Bool().Draw(r, "salted") {
			of.Salt = []byte("salt")
		}
		for range rapid.IntRange(0, 5).Draw(r, "more legs") {
			e := of.Entries[0]
			e.Leg, e.PostedAfter = int16(len(of.Entries)+1), rapid.Int64().Draw(r, "after")
			e.AvailableAfter = e.PostedAfter
			if rapid.Bool().Draw(r, "on hold") {
				e.AvailableAfter, e.PendingMinorUnits = rapid.Int64().Draw(r, "available"), rapid.Int64().Draw(r, "pending")
				e.HoldID = rapid.Ptr(rapid.Just(ledger.HoldID(anID(answer.HoldPrefix, number))), true).Draw(r, "hold")
			}
			e.Amount = money.Amount{MinorUnits: rapid.Int64().Draw(r, "posted"), Currency: "KWD"}
			of.Entries = append(of.Entries, e)
		}
		p.keep(p.now(), ourMerchant, span(number, number), []*ledger.Transaction{of})
		found, missing := p.recall(ourMerchant, span(number, number))
		if missing.Before != 0 || len(found) != 1 || !reflect.DeepEqual(found[0], of) {
			r.Fatalf("%+v\nwas read as %+v", of, found)
		}
	})
}

// TestRecall keeps the entries 3 to 20 and 30 of an account, in several goes, and asks for parts of them.
func TestRecall(t *testing.T) {
	t.Parallel()
	p := newPosted()
	defer p.close()
	for _, numbers := range [][2]int64{{18, 20}, {3, 11}, {10, 17}, {30, 30}} {
		var some []*ledger.Transaction
		for n := numbers[1]; n >= numbers[0]; n-- {
			some = append(some, aTransaction(ourAccount, n))
		}
		p.keep(p.now(), ourMerchant, span(numbers[0], numbers[1]), some)
	}
	for _, c := range []struct{ from, to, missingFrom, missingTo int64 }{
		{3, 20, 0, 0}, {5, 5, 0, 0}, {8, 9, 0, 0}, {1, 20, 1, 2}, {1, 2, 1, 2}, {19, 30, 21, 29}, {1, 40, 1, 40}, {100, 120, 100, 120},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			found, missing := p.recall(ourMerchant, span(c.from, c.to))
			want := ledger.Span{}
			if c.missingTo > 0 {
				want = span(c.missingFrom, c.missingTo)
			}
			if missing != want || int64(len(found)) != c.to-c.from+1 {
				t.Errorf("%d found, missing %v, want %v", len(found), missing, want)
			}
			for i, of := range found {
				if n := c.to - int64(i); of != nil && of.SequenceOn(ourAccount) != n {
					t.Errorf("entry %d is of %s", n, of.ID)
				}
			}
		})
	}
	if found, missing := p.recall(ourMerchant, ledger.Span{Account: ourAccount, Before: 1}); len(found) != 0 || missing.Before != 0 {
		t.Errorf("an account without entries has %v, missing %v", found, missing)
	}
	if found, _ := p.recall(merchant.ID(anID(answer.MerchantPrefix, 2)), span(5, 5)); found[0] != nil {
		t.Error("another merchant finds it")
	}
	if found, _ := p.recall(ourMerchant, ledger.Span{Account: "acc_5", After: 4, Before: 6}); found[0] != nil {
		t.Error("another account finds it")
	}
}

func TestAnotherServerMayKnowOtherTransactions(t *testing.T) {
	t.Parallel()
	p := newPosted()
	defer p.close()
	p.meet("one")
	before := p.now()
	p.keep(before, ourMerchant, span(1, 1), []*ledger.Transaction{aTransaction(ourAccount, 1)})
	p.meet("one")
	if found, _ := p.recall(ourMerchant, span(1, 1)); found[0] == nil {
		t.Error("a further session of the same server made it forget")
	}
	p.meet("another")
	if found, _ := p.recall(ourMerchant, span(1, 1)); found[0] != nil {
		t.Error("what another server said is still known")
	}
	p.keep(before, ourMerchant, span(1, 1), []*ledger.Transaction{aTransaction(ourAccount, 1)})
	if found, _ := p.recall(ourMerchant, span(1, 1)); found[0] != nil {
		t.Error("an answer of the server before was kept")
	}
}

func TestTheMemoryHasABound(t *testing.T) {
	t.Parallel()
	p := newPosted()
	defer p.close()
	const page, pages = 64, 6_000 // twice what there is room for
	reference := strings.Repeat("x", 200)
	var read []*ledger.Transaction
	for n := range int64(page) {
		read = append(read, aTransaction(ourAccount, n+1))
		read[n].Reference = &reference
	}
	for i := range int64(pages) {
		for n, of := range read {
			of.Entries[1].AccountSequence = i*page + int64(n) + 1
		}
		p.keep(p.now(), ourMerchant, span(i*page+1, (i+1)*page), read)
	}
	var s fastcache.Stats
	p.kept.UpdateStats(&s)
	if s.BytesSize > maxPostedBytes || s.BytesSize < maxPostedBytes/2 {
		t.Errorf("%d bytes are kept, of at most %d", s.BytesSize, maxPostedBytes)
	}
	known := 0
	for n := range int64(page * pages) {
		if found, _ := p.recall(ourMerchant, span(n+1, n+1)); found[0] != nil {
			known++
		}
	}
	if known < page*pages/8 || known > page*pages*3/4 {
		t.Errorf("%d of %d transactions are known", known, page*pages)
	}
	if found, missing := p.recall(ourMerchant, span(page*pages-20, page*pages)); missing.Before != 0 {
		t.Errorf("of the last %d entries %v are gone", len(found), missing)
	}
}
