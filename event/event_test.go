package event_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
)

// TestState writes any fields and reads them again by encoding/json: the same texts, integers as strings, and no number anywhere.
func TestState(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.String().Draw(rt, "text")
		n := rapid.Int64().Draw(rt, "number")
		at := time.Unix(rapid.Int64Range(0, 1<<33).Draw(rt, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(rt, "ns"))
		inner := event.State(nil).Text("text", text)
		payload := event.State(nil).Text("text", text).Int("n", n).Time("at", at).Object("inner", inner).
			List("list", []event.State{inner, nil}).Close()
		var got struct {
			Text, N, At string
			Inner       struct{ Text string }
			List        []struct{ Text string }
		}
		if err := json.Unmarshal(payload, &got); err != nil {
			rt.Fatalf("%s: %v", payload, err)
		}
		number, _ := json.Marshal(n)
		if got.Text != text || got.Inner.Text != text || len(got.List) != 2 || got.List[0].Text != text || got.N != string(number) {
			rt.Fatalf("%s: got %+v", payload, got)
		}
		if back, err := time.Parse(time.RFC3339Nano, got.At); err != nil || !back.Equal(at.Truncate(time.Microsecond)) || len(got.At) != 27 {
			rt.Fatalf("time %s for %s: %v", got.At, at, err)
		}
		noNumbers(rt, payload)
		if text != "" && !bytes.Contains(payload, []byte(`"text":`+canonical(text)+`,"n":`)) {
			rt.Fatalf("%s is not as RFC 8785 writes %q", payload, text)
		}
	})
}

func noNumbers(t *rapid.T, payload []byte) {
	tokens := json.NewDecoder(bytes.NewReader(payload))
	tokens.UseNumber()
	for {
		token, err := tokens.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if _, is := token.(json.Number); is || err != nil {
			t.Fatalf("%s has %v, %v", payload, token, err)
		}
	}
}

// canonical is a string of JSON after RFC 8785, section 3.2.2.2, written in another way than the package's.
func canonical(text string) string {
	pairs := []string{`\`, `\\`, `"`, `\"`, "\b", `\b`, "\t", `\t`, "\n", `\n`, "\f", `\f`, "\r", `\r`}
	for c := range 0x20 {
		if !strings.ContainsRune("\b\t\n\f\r", rune(c)) {
			pairs = append(pairs, string(rune(c)), `\u00`+hex.EncodeToString([]byte{byte(c)}))
		}
	}
	return `"` + strings.NewReplacer(pairs...).Replace(text) + `"`
}

// TestStateHidesWhatIsPersonal compares salted hashes: the same only for the same salt, name and text.
func TestStateHidesWhatIsPersonal(t *testing.T) {
	t.Parallel()
	of := func(name, salt, text string) string {
		return string(event.State(nil).Salted(name, []byte(salt), text).Close())
	}
	sum := sha256.Sum256([]byte("salt" + "name\x00" + "Ada Lovelace"))
	if got, want := of("name", "salt", "Ada Lovelace"), `{"name":"`+hex.EncodeToString(sum[:16])+`"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	maps := func(m map[string]string) string {
		return string(event.State(nil).SaltedMap("m", []byte("salt"), m).Close())
	}
	seen := map[string]bool{}
	for _, state := range []string{
		of("name", "salt", "Ada"), of("name", "other", "Ada"), of("reference", "salt", "Ada"), of("name", "salt", "Eve"), of("name", "salt", ""),
		maps(map[string]string{"a": "bc"}), maps(map[string]string{"ab": "c"}), maps(map[string]string{"a": "b", "c": "d"}),
		maps(map[string]string{"a": "b\"\"c\"\"d"}), maps(map[string]string{"a": "d", "c": "b"}),
	} {
		if seen[state] {
			t.Errorf("%s is there twice", state)
		}
		seen[state] = true
	}
}

// TestChain changes one thing at a time: each gives another hash, and so do fields whose bytes join to the same.
func TestChain(t *testing.T) {
	t.Parallel()
	type link struct {
		prev     event.Hash
		merchant answer.MerchantID
		sequence int64
		schema   int16
		payload  string
	}
	links := rapid.Custom(func(t *rapid.T) link {
		return link{
			prev: event.Hash{rapid.ByteRange(0, 1).Draw(t, "prev")}, merchant: answer.MerchantID(rapid.StringMatching(`m{0,2}`).Draw(t, "merchant")),
			sequence: rapid.SampledFrom([]int64{0, 1, 2, math.MaxInt64}).Draw(t, "sequence"), schema: rapid.Int16Range(0, 2).Draw(t, "schema"),
			payload: rapid.StringMatching(`[m\x00]{0,3}`).Draw(t, "payload"),
		}
	})
	hash := func(l link) event.Hash {
		return event.Next(l.prev, l.merchant, l.sequence, l.schema, []byte(l.payload))
	}
	rapid.Check(t, func(rt *rapid.T) {
		a, b := links.Draw(rt, "a"), links.Draw(rt, "b")
		if (a == b) != (hash(a) == hash(b)) {
			rt.Fatalf("%+v and %+v", a, b)
		}
	})
	if event.Genesis("mer_1") == event.Genesis("mer_2") {
		t.Error("two logs begin with the same hash")
	}
}

// TestTheHashIsAsDocumented keeps the bytes that are hashed: logs that exist depend on them.
func TestTheHashIsAsDocumented(t *testing.T) {
	t.Parallel()
	genesis := sha256.Sum256([]byte("paygraph log of mer_1"))
	var text bytes.Buffer
	for _, field := range []string{string(genesis[:]), "mer_1", "\x00\x00\x00\x00\x00\x00\x00\x07", "\x00\x01", "{}"} {
		text.Write([]byte{0, 0, 0, 0, 0, 0, 0, byte(len(field))})
		text.WriteString(field)
	}
	if got := event.Next(event.Genesis("mer_1"), "mer_1", 7, 1, []byte("{}")); got != sha256.Sum256(text.Bytes()) {
		t.Errorf("got %x", got)
	}
}

// TestNumber gives a draft its number: the payload says what the columns say.
func TestNumber(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	d := event.Draft{
		Type: event.PaymentSucceeded, ObjectID: "pay_1", ObjectVersion: 2, State: event.State(nil).Text("status", "SUCCEEDED"),
		Postings: []event.State{event.State(nil).Text("id", "txn_1")},
	}
	e := d.Number("mer_1", "evt_1", 7, event.Genesis("mer_1"), at, event.Cause{Operation: "confirmPayment", PrincipalKind: "BACKEND", Principal: "me"})
	want := `{"id":"evt_1","type":"PAYMENT_SUCCEEDED","at":"2026-01-02T03:04:05.000006Z","object":"pay_1","version":"2",` +
		`"cause":{"operation":"confirmPayment","kind":"BACKEND","principal":"me","request":"00000000000000000000000000000000"},` +
		`"state":{"status":"SUCCEEDED"},"transactions":[{"id":"txn_1"}]}`
	if string(e.Payload) != want {
		t.Errorf("payload\n%s, want\n%s", e.Payload, want)
	}
	if e.Hash != event.Next(event.Genesis("mer_1"), "mer_1", 7, event.Schema, e.Payload) || e.Sequence != 7 || e.OccurredAt != at {
		t.Errorf("event %+v", e)
	}
}
