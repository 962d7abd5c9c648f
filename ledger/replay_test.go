package ledger_test

import (
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
)

// TestEntriesOf writes transactions into an event, and finds the same entries in its payload.
func TestEntriesOf(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		at := time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(rt, "at")).UTC()
		currency := rapid.SampledFrom([]money.Currency{"USD", "JPY", "KWD"}).Draw(rt, "currency")
		var want []*ledger.Entry
		var states []event.State
		for range rapid.IntRange(0, 3).Draw(rt, "transactions") {
			text := rapid.String().Draw(rt, "reference")
			of := ledger.Transaction{
				ID: ledger.TransactionID(answer.Encode(answer.TransactionPrefix, uuids.Draw(rt, "transaction"))), Kind: ledger.Payment,
				Amount: money.Amount{MinorUnits: 1, Currency: currency}, ValueDate: at, CreatedAt: at, Reference: &text, Salt: []byte("salt"),
			}
			for leg := range rapid.IntRange(0, 4).Draw(rt, "legs") {
				e := ledger.Entry{
					TransactionID: of.ID, Leg: int16(leg + 1), AccountID: ledger.AccountID(answer.Encode(answer.AccountPrefix, uuids.Draw(rt, "account"))),
					AccountSequence: rapid.Int64Range(1, math.MaxInt64).Draw(rt, "sequence"), CreatedAt: at,
					Direction:   rapid.SampledFrom([]ledger.Direction{ledger.Debit, ledger.Credit}).Draw(rt, "direction"),
					Amount:      money.Amount{MinorUnits: rapid.Int64Range(0, math.MaxInt64).Draw(rt, "amount"), Currency: currency},
					PostedAfter: rapid.Int64().Draw(rt, "after"),
				}
				e.AvailableAfter = e.PostedAfter
				if rapid.Bool().Draw(rt, "on hold") {
					hold := ledger.HoldID(answer.Encode(answer.HoldPrefix, uuids.Draw(rt, "hold")))
					e.HoldID, e.PendingMinorUnits, e.AvailableAfter = &hold, rapid.Int64().Draw(rt, "pending"), rapid.Int64().Draw(rt, "available")
				}
				of.Entries = append(of.Entries, e)
			}
			for i := range of.Entries {
				want = append(want, &of.Entries[i])
			}
			states = append(states, of.State())
		}
		draft := event.Draft{Type: event.PaymentSucceeded, ObjectID: "pay_1", State: event.State(nil).Text("entries", "none"), Postings: states}
		if len(states) == 1 && rapid.Bool().Draw(rt, "its own object") {
			draft = event.Draft{Type: event.TransferPosted, ObjectID: "txn_1", State: states[0]}
		}
		e := draft.Number("mer_1", "evt_1", 1, event.Hash{}, at, event.Cause{})
		got, err := ledger.EntriesOf(&e)
		if err != nil || !reflect.DeepEqual(got, want) {
			rt.Fatalf("got %+v, %v, want %+v from %s", got, err, want, e.Payload)
		}
	})
}

var uuids = rapid.Custom(func(t *rapid.T) answer.UUID {
	return answer.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid"))
})

func TestEntriesOfWhatIsNoPayload(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{"", "{", `{"transactions":[{"entries":[{"sequence":"x","amount":"1","after":"1"}]}]}`} {
		if got, err := ledger.EntriesOf(&event.Event{Payload: []byte(payload)}); err == nil {
			t.Errorf("%s: got %v", payload, got)
		}
	}
}
