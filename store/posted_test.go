package store_test

import (
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/store/storetest"
)

// TestTransactionsComeFromMemoryAsFromTheDatabase reads an account's transactions again and again while there are more and more, as one
// node keeps them, as a second reads them for the first time, and after they were forgotten.
func TestTransactionsComeFromMemoryAsFromTheDatabase(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	account := wallet(t, h, p, "")
	for n := int64(1); n <= 25; n++ {
		deposit(t, h, p, account, fmt.Sprintf("%d.00", n))
		last := ledger.Span{Account: account, After: max(0, n-21), Before: n + 1}
		if _, known := h.Store.KnownTransactions(p.Merchant, last); known {
			t.Fatalf("transaction %d is known before anybody has read it", n)
		}
		lists := [][]*ledger.Transaction{}
		for range 2 {
			found, err := h.Store.AccountTransactions(t.Context(), p.Merchant, []ledger.Span{last})
			must(t, err)
			lists = append(lists, found[0])
		}
		known, isKnown := h.Store.KnownTransactions(p.Merchant, last)
		fresh, err := storetest.At(t, h.DSN).Store.AccountTransactions(t.Context(), p.Merchant, []ledger.Span{last})
		must(t, err)
		if !isKnown || len(known) != int(min(n, 21)) || known[0].SequenceOn(account) != n {
			t.Fatalf("after %d deposits %d are known: %v", n, len(known), isKnown)
		}
		for _, list := range append(lists, known) {
			if !reflect.DeepEqual(list, fresh[0]) {
				t.Fatalf("after %d deposits: %+v\nand from the database %+v", n, list[0], fresh[0][0])
			}
		}
		if n == 23 {
			h.Store.Forget()
			if _, known := h.Store.KnownTransactions(p.Merchant, last); known {
				t.Error("transactions are known that were forgotten")
			}
		}
	}
}

func TestAnotherMerchantNeverGetsAKeptTransaction(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	ours, others := h.Merchant(t), h.Merchant(t)
	account := wallet(t, h, ours, "")
	deposit(t, h, ours, account, "5.00")
	first := ledger.Span{Account: account, After: 0, Before: 2}
	if found, err := h.Store.AccountTransactions(t.Context(), ours.Merchant, []ledger.Span{first}); err != nil || len(found[0]) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	if found, known := h.Store.KnownTransactions(others.Merchant, first); known || found[0] != nil {
		t.Errorf("another merchant knows %v", found)
	}
	if found, err := h.Store.AccountTransactions(t.Context(), others.Merchant, []ledger.Span{first}); err != nil || len(found[0]) != 0 {
		t.Errorf("another merchant finds %v, %v", found, err)
	}
}

// TestSpansAtTheSameTime reads spans of two accounts that overlap, while both get more entries.
func TestSpansAtTheSameTime(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	accounts := []ledger.AccountID{wallet(t, h, p, ""), wallet(t, h, p, "")}
	const entries = 40
	var all sync.WaitGroup
	for _, account := range accounts {
		for range entries {
			all.Go(func() { deposit(t, h, p, account, "1.00") })
		}
	}
	for range 4 {
		all.Go(func() {
			for before := int64(2); before <= entries+1; before++ {
				of := []ledger.Span{{Account: accounts[0], After: max(0, before-7), Before: before}, {Account: accounts[1], After: max(0, before-9), Before: before}}
				found, err := h.Store.AccountTransactions(t.Context(), p.Merchant, of)
				if err != nil {
					t.Error(err)
					return
				}
				for i, list := range found {
					for j, tx := range list[:max(0, len(list)-1)] { // those that are there stand one behind the other
						if n := tx.SequenceOn(accounts[i]); n != list[j+1].SequenceOn(accounts[i])+1 {
							t.Errorf("after entry %d comes %d", n, list[j+1].SequenceOn(accounts[i]))
						}
					}
				}
			}
		})
	}
	all.Wait()
	for _, account := range accounts {
		found, err := h.Store.AccountTransactions(t.Context(), p.Merchant, []ledger.Span{{Account: account, Before: entries + 1}})
		if err != nil || len(found[0]) != entries {
			t.Errorf("%d of %d transactions are there in the end: %v", len(found[0]), entries, err)
		}
	}
}

func TestTheStoreKnowsItsServer(t *testing.T) {
	t.Parallel()
	if server := storetest.New(t).Store.Server(); server == "" {
		t.Error("the sessions were not asked for their server")
	}
}
