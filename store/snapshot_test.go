package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

func TestASnapshotWaitsForAConnectionNoLongerThanItsDeadline(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	for range store.DefaultReaders {
		other := h.Store.Snapshot()
		defer other.Close()
		if _, err := other.Merchant(t.Context(), p.Merchant); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s := h.Store.Snapshot()
	defer s.Close()
	begin := time.Now()
	_, err := s.Merchant(ctx, p.Merchant)
	if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took > 5*time.Second {
		t.Errorf("%v after %s", err, took)
	}
}

func TestAfterAQuestionFailedTheSnapshotSaysWhyAgain(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	s := h.Store.Snapshot()
	defer s.Close()
	if _, err := s.Merchant(t.Context(), p.Merchant); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if _, err := s.Merchant(ended, p.Merchant); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		ended = t.Context()
	}
}
