package resolvers_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
)

// streams are all ways to go on from a cursor, by name.
func (s *scene) streams() map[string]func(t *testing.T, c *client, cursor string) problem {
	heard := func(document string, variables vars) func(*testing.T, *client, string) problem {
		return func(t *testing.T, c *client, cursor string) problem {
			t.Helper()
			return c.hear(t, document, variables, cursor).refusal()
		}
	}
	return map[string]func(*testing.T, *client, string) problem{
		"paymentStatus": heard(statusOf, vars{"id": s.payment}), "accountActivity": heard(activityOf, vars{"id": s.from}),
		"events": heard(logOf, nil), "events of a type": heard(logOf, vars{"types": []string{"PAYMENT_CREATED"}}),
		"the query events": func(t *testing.T, c *client, cursor string) problem {
			t.Helper()
			r := c.ask(t, logPage, vars{"first": 1, "after": cursor})
			if len(r.Errors) != 1 {
				t.Fatalf("the cursor %s was answered %s", cursor, r.text)
			}
			return r.Errors[0]
		},
	}
}

// cursors are one of each stream, the last there is.
func (s *scene) cursors(t *testing.T) map[string]string {
	t.Helper()
	status, activity := s.hear(t, statusOf, vars{"id": s.payment}, ""), s.hear(t, activityOf, vars{"id": s.from}, "")
	log := text(s.must(t, `{ eventHead { cursor } }`, nil), "eventHead", "cursor")
	return map[string]string{
		"paymentStatus": status.next().id, "accountActivity": activity.next().id,
		"events": log, "events of a type": log, "the query events": log,
	}
}

// last are the numbers that a refusal tells.
var last = map[string]string{
	"paymentStatus": "1", "accountActivity": "4", "events": "11", "events of a type": "11", "the query events": "11",
}

func wantInvalid(t *testing.T, what string, got problem, last string) {
	t.Helper()
	if x := got.Extensions; x.Code != "CURSOR_INVALID" || x.LastSequence != last || x.Retryable == nil || *x.Retryable {
		t.Errorf("%s is answered %+v, want CURSOR_INVALID with %s", what, got, last)
	}
}

func TestACursorThatIsNotTheStreamsOwn(t *testing.T) {
	t.Parallel()
	g := start(t)
	mine, theirs := newScene(t, g.merchant(t)), newScene(t, g.merchant(t))
	own, foreign := mine.cursors(t), theirs.cursors(t)
	elsewhere := map[string]string{
		"another payment's": mine.hear(t, statusOf, vars{"id": mine.waiting}, "").next().id,
		"another account's": mine.hear(t, activityOf, vars{"id": mine.to}, "").next().id,
		"a list's":          text(mine.must(t, `{ accounts { pageInfo { endCursor } } }`, nil), "accounts", "pageInfo", "endCursor"),
	}
	for stream, refusal := range mine.streams() {
		cursor := own[stream]
		sealed, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil {
			t.Fatal(err)
		}
		for i := range sealed {
			flipped := slices.Clone(sealed)
			flipped[i] ^= 1 << (i % 8)
			wantInvalid(t, stream+": a flipped bit of byte "+strconv.Itoa(i), refusal(t, mine.client, base64.RawURLEncoding.EncodeToString(flipped)), last[stream])
		}
		for _, text := range []string{"x", cursor[:len(cursor)-1], cursor[:10], cursor + "A", cursor + "=", mine.from, "1"} {
			wantInvalid(t, stream+": "+text, refusal(t, mine.client, text), last[stream])
		}
		wantInvalid(t, stream+": another merchant's cursor", refusal(t, mine.client, foreign[stream]), last[stream])
		for other, cursor := range own {
			if cursor != own[stream] {
				wantInvalid(t, stream+": the cursor of "+other, refusal(t, mine.client, cursor), last[stream])
			}
		}
		for name, cursor := range elsewhere {
			wantInvalid(t, stream+": "+name+" cursor", refusal(t, mine.client, cursor), last[stream])
		}
	}
}

// TestACursorOfAnotherHistory is a database as after a restore: what had a number is another thing now, or not there.
func TestACursorOfAnotherHistory(t *testing.T) {
	t.Parallel()
	g := start(t)
	s := newScene(t, g.merchant(t))
	own, streams := s.cursors(t), s.streams()
	db := openDatabase(t, g.house.DSN)
	for _, statement := range []string{
		`UPDATE event SET hash = sha256(hash)`,
		`UPDATE entry SET transaction_id = overlay(transaction_id::text PLACING '00000000' FROM 28)::uuid`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for stream, cursor := range own {
		wantInvalid(t, stream+": another history", streams[stream](t, s.client, cursor), last[stream])
	}
	beyond := s.cursors(t)
	for _, statement := range []string{
		`DELETE FROM event WHERE sequence > 1`,
		`UPDATE head SET sequence = 1`,
		`DELETE FROM entry WHERE sequence > 1`,
		`UPDATE balance SET sequence = 1 WHERE sequence > 1`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for stream, cursor := range beyond {
		wantInvalid(t, stream+": beyond the end", streams[stream](t, s.client, cursor), "1")
	}
}

// TestACursorThatIsTooOld is sealed as one was before the keys of its day were retired.
func TestACursorThatIsTooOld(t *testing.T) {
	t.Parallel()
	g := start(t)
	s := newScene(t, g.merchant(t))
	secret, err := g.house.Store.Secret(t.Context(), "cursor")
	if err != nil {
		t.Fatal(err)
	}
	today := time.Now().Unix() / (24 * 60 * 60)
	purposes := map[string]string{
		"paymentStatus": "payment " + s.payment, "accountActivity": "account " + s.from, "events": "log", "events of a type": "log",
		"the query events": "log",
	}
	for stream, refusal := range s.streams() {
		purpose := purposes[stream] + " of " + string(s.principal.Merchant)
		if got := refusal(t, s.client, sealedOn(t, secret, today-auth.CursorDays-1, purpose)); got.Extensions.Code != "CURSOR_EXPIRED" {
			t.Errorf("%s: too old: %+v", stream, got)
		}
		wantInvalid(t, stream+": nearly too old, and of another length", refusal(t, s.client, sealedOn(t, secret, today-auth.CursorDays, purpose)), last[stream])
	}
}

// sealedOn is a text of nothing, sealed on a day.
func sealedOn(t *testing.T, secret []byte, day int64, purpose string) string {
	t.Helper()
	number := binary.BigEndian.AppendUint16(nil, uint16(day))
	key, err := hkdf.Key(sha256.New, secret, nil, "paygraph cursor "+string(number), 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sealer.Seal(number, nil, nil, []byte(purpose)))
}
