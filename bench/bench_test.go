package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// small is a bench that is over soon. Its figures mean nothing.
func small() options {
	return options{
		Runs: 1, Seconds: 0.5, Scenarios: strings.Split(allScenarios, ","), Clients: []int{4}, Readers: 4, Accounts: 20, Merchants: 3,
		Scale: 1, Yardstick: 4, Payers: 10, Listeners: 10, Slow: 2, HalfOpen: 30, Returning: 32, Grown: 3000, Pairs: 1, Timers: 50, Parts: allParts(), Rounds: 1, IdlePairs: 2, JSON: true, // and no t.TempDir: it is closed to the user who runs PostgreSQL for root
	}
}

// talk shows what the bench says only where a test fails.
type talk struct{ t *testing.T }

func (w talk) Write(text []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(text)))
	return len(text), nil
}

func TestEveryScenarioIsMeasuredAndCounted(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, err := open(ctx, small(), talk{t})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	}()
	for attempt := 1; ; attempt++ {
		results, err := b.measure(b.alive)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(results.text())
		if len(results.failures) > 0 {
			t.Errorf("requests failed: %v", results.failures)
		}
		if d := results.disturbed[0]; d.LeftGoroutines > 0 || d.Storm.share() != 1 {
			t.Errorf("%.0f goroutines are left, and of a storm's items came %v of what was due", d.LeftGoroutines, d.Storm.share())
		}
		figures := missing(t, results)
		if len(figures) == 0 {
			break
		}
		if attempt == measuredAtMost {
			t.Fatal(figures)
		}
	}
	findsSubscribersThatAreLeft(t, b)
	if err := b.check(ctx); err != nil {
		t.Fatalf("the check of a bench that counted right: %v", err)
	}
	missesOneMoreOrLess(t, b)
	refusesSynchronousCommitOff(t, b)
}

// measuredAtMost is how often everything is measured where a figure is 0: in a round that is over in an eighth of a second nothing may have
// happened, when all tests run at once and the disk stands still.
const measuredAtMost = 3

// missing compares the JSON with DESIGN, section 14, and tells of each figure that is not there or 0.
func missing(t *testing.T, r *results) (figures []string) {
	t.Helper()
	var text bytes.Buffer
	if err := r.writeJSON(&text); err != nil {
		t.Fatal(err)
	}
	var all any
	if err := json.Unmarshal(text.Bytes(), &all); err != nil {
		t.Fatalf("%v in %s", err, &text)
	}
	usual := []string{"perSecond", "ratio", "p50Ms", "p99Ms"}
	for place, names := range map[string][]string{
		"pgbench":                  {"tps"},
		"payments uniform 4":       usual,
		"payments hot 4":           append(usual, "ofUniform"),
		"payments manyMerchants 4": usual,
		"payments single":          append(usual, "p50Ratio", "pgbenchP50Ms"),
		"payments openLoop":        append(usual, "offered", "p99Ratio", "pgbenchP99Ms"),
		"reads account20":          usual,
		"reads accounts50x5":       usual,
		"subscriptions":            {"idleRatio"},
		"subscriptions ownPayments": {
			"subscribers", "perSecond", "delivered", "due", "p50Ms", "p99Ms",
		},
		"subscriptions oneAccount":          {"subscribers", "perSecond", "delivered", "due", "p50Ms", "p99Ms"},
		"disturbances slowClients":          {"clients", "without", "with", "ratio"},
		"disturbances halfOpenSockets":      {"clients", "without", "with", "ratio"},
		"disturbances halfOpenSocketsAgain": {"clients", "without", "with", "ratio"},
		"disturbances floodOnOneSocket":     {"clients", "without", "with", "ratio"}, // its operations end before their turn comes
		"disturbances reconnectStorm":       {"clients", "without", "with", "ratio", "donePerSecond", "delivered", "due", "allBackMs"},
		"timers":                            {"timers", "servedPerSecond", "paymentsPerSecond", "aloneP99Ms", "p99Ms", "otherAloneP99Ms", "otherP99Ms"},
		"growth":                            {"few", "many", "loadedPerSecond", "hotUpdatesOfBalances"},
		"growth payments":                   {"few", "many", "ratio"},
		"growth account20":                  {"few", "many", "ratio"},
		"growth accounts50x5":               {"few", "many", "ratio"},
		"growth paymentStatusP99Ms":         {"few", "many", "ratio"},
		"growth walBytesAPayment":           {"few", "many", "ratio"},
		"growth walPageImagesAPayment":      {"few", "many", "ratio"},
		"disturbances anotherMerchantsLoad": {"subscribers", "aloneP50Ms", "aloneP99Ms", "p50Ms", "p99Ms"},
	} {
		object, _ := all.(map[string]any)
		for step := range strings.FieldsSeq(place) {
			object, _ = object[step].(map[string]any)
		}
		for _, name := range names {
			if v, ok := object[name].(float64); !ok || v <= 0 {
				figures = append(figures, fmt.Sprintf("%s has %s = %v", place, name, object[name]))
			}
		}
	}
	return figures
}

// missesOneMoreOrLess changes the number of payments behind the bench's back.
func missesOneMoreOrLess(t *testing.T, b *bench) {
	t.Helper()
	for _, change := range []struct{ what, do, undo string }{
		{
			"a payment more", `INSERT INTO payment SELECT (jsonb_populate_record(p, '{"id": "00000000-0000-0000-0000-000000000001"}')).*
				FROM payment p WHERE status = 'SUCCEEDED' LIMIT 1`,
			`DELETE FROM payment WHERE id = '00000000-0000-0000-0000-000000000001'`,
		},
		{
			"a payment less", `UPDATE payment SET status = 'PROCESSING' WHERE (merchant_id, id) IN
				(SELECT merchant_id, id FROM payment WHERE status = 'SUCCEEDED' LIMIT 1)`,
			`UPDATE payment SET status = 'SUCCEEDED' WHERE status = 'PROCESSING'`,
		},
		{
			"a transaction more", `INSERT INTO entry SELECT (jsonb_populate_record(e,
				'{"transaction_id": "00000000-0000-0000-0000-000000000001", "sequence": -1}')).* FROM entry e WHERE kind = 'PAYMENT' LIMIT 1`,
			`DELETE FROM entry WHERE transaction_id = '00000000-0000-0000-0000-000000000001'`,
		},
	} {
		changeBehind(t, b, change.do)
		if err := b.count(t.Context()); err == nil {
			t.Errorf("%s: the count is not found wrong", change.what)
		}
		changeBehind(t, b, change.undo)
		if err := b.count(t.Context()); err != nil {
			t.Errorf("%s, undone: %v", change.what, err)
		}
	}
}

func changeBehind(t *testing.T, b *bench, statement string) {
	t.Helper()
	result, err := b.database.db.ExecContext(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%s changed %d rows, %v", statement, n, err)
	}
}

func TestNothingIsMeasuredOnADatabaseThatForgets(t *testing.T) {
	t.Parallel()
	o := small()
	o.Setting = map[string]string{"fsync": "off"}
	var out bytes.Buffer
	err := o.run(t.Context(), &out, talk{t})
	if !errors.Is(err, errNotDurable) || !strings.Contains(err.Error(), "fsync is off") || out.Len() > 0 {
		t.Errorf("it ran: %v, %s", err, &out)
	}
}

// refusesSynchronousCommitOff turns it off for a session, and for all later sessions of the owner.
func refusesSynchronousCommitOff(t *testing.T, b *bench) {
	t.Helper()
	for _, change := range []struct{ do, undo, says string }{
		{`SET synchronous_commit = off`, `RESET synchronous_commit`, "synchronous_commit is off"},
		{`ALTER ROLE CURRENT_USER SET synchronous_commit = off`, `ALTER ROLE CURRENT_USER RESET synchronous_commit`, "a role or a database"},
	} {
		for _, statement := range []string{change.do, change.undo} {
			if _, err := b.database.db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			err := b.database.read(t.Context())
			if statement == change.do && (!errors.Is(err, errNotDurable) || !strings.Contains(err.Error(), change.says)) {
				t.Errorf("after %s: %v", statement, err)
			}
			if statement == change.undo && err != nil {
				t.Errorf("after %s: %v", statement, err)
			}
		}
	}
}

func TestAnswersThatDoNotCount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		status     int
		want       verdict
	}{
		{
			"as usual", `{"data":{"createPayment":{"__typename":"CreatePaymentSuccess","replayed":false,"payment":{"status":"SUCCEEDED"}}}}`,
			200, verdict{good: true},
		},
		{
			"written with spaces",
			`{"data": {"createPayment": {"__typename": "CreatePaymentSuccess", "replayed": false, "payment": {"status": "SUCCEEDED"}}}}`,
			200, verdict{good: true},
		},
		{
			"a replay", `{"data":{"createPayment":{"__typename":"CreatePaymentSuccess","replayed":true,"payment":{"status":"SUCCEEDED"}}}}`,
			200, verdict{reason: "payment SUCCEEDED, replayed true"},
		},
		{
			"not paid", `{"data":{"createPayment":{"__typename":"CreatePaymentSuccess","replayed":false,"payment":{"status":"PROCESSING"}}}}`,
			200, verdict{reason: "payment PROCESSING, replayed false"},
		},
		{
			"a refusal", `{"data":{"createPayment":{"__typename":"InsufficientFunds","code":"INSUFFICIENT_FUNDS","message":"no"}}}`,
			200, verdict{reason: "InsufficientFunds: INSUFFICIENT_FUNDS no"},
		},
		{
			"an unknown outcome", `{"data":{"createPayment":null},"errors":[{"message":"ask again","extensions":{"code":"OUTCOME_UNKNOWN"}}]}`,
			200, verdict{unclear: true, reason: "HTTP 200, OUTCOME_UNKNOWN: ask again"},
		},
		{
			"no JSON", `oops`, 502, verdict{unclear: true, reason: "HTTP 502, not the JSON of GraphQL: oops"},
		},
	} {
		if got := (payments{}).judge(c.status, []byte(c.body)); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestKeysAreRandomUUIDs(t *testing.T) {
	t.Parallel()
	r, seen := rand.New(rand.NewPCG(1, 2)), map[string]bool{}
	for range 1000 {
		key := make([]byte, keyLength)
		freshKey(r, key)
		for i, c := range key {
			dash := i == 8 || i == 13 || i == 18 || i == 23
			if dash != (c == '-') || !dash && !strings.ContainsRune("0123456789abcdef", rune(c)) || i == 14 && c != '4' {
				t.Fatalf("%s is no random UUID", key)
			}
		}
		seen[string(key)] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different keys of 1000", len(seen))
	}
}

func TestTargetsAreJudged(t *testing.T) {
	t.Parallel()
	least, most := target{limit: 1.4, aim: 1.6}, target{limit: 50, most: true}
	for _, c := range []struct {
		t    target
		v    float64
		want string
	}{
		{least, 1.39, "MISSED (at least 1.4)"}, {least, 1.5, "met (at least 1.4), below the aim of 1.6"},
		{least, 1.6, "met, and the aim of 1.6"}, {most, 49, "met (at most 50)"}, {most, 51, "MISSED (at most 50)"},
		{most, 0, "MISSED (nothing succeeded)"}, {target{most: true, zero: true}, 0, "met (at most 0)"},
		{target{most: true, zero: true}, 1, "MISSED (at most 0)"},
	} {
		if got := c.t.judge(c.v); got != c.want {
			t.Errorf("%v: %s, want %s", c.v, got, c.want)
		}
	}
}

func TestMedians(t *testing.T) {
	t.Parallel()
	k := key{nameUniform, 64}
	r := results{figures: map[key][]figure{k: {{PerSecond: 9, Ratio: 1}, {PerSecond: 2, Ratio: 3}, {PerSecond: 4, Ratio: 2}}}}
	if m := r.median(k); m.PerSecond != 4 || m.Ratio != 2 {
		t.Errorf("the medians are %+v", m)
	}
	s := r.span(k, ratio)
	if s.error = rounded(s.error); s != (span{median: 2, least: 1, most: 3, mean: 2, error: 0.577}) { // the root of a third
		t.Errorf("the span is %+v", s)
	}
}

// stalled is a gateway that answers nothing for a while: in an open loop all that should have been sent meanwhile is late.
func TestTheOpenLoopCountsFromTheIntendedTime(t *testing.T) {
	t.Parallel()
	const stall, rate, length = 300 * time.Millisecond, 100, 600 * time.Millisecond
	address := serveStalled(t, stall)
	c, err := dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	now := time.Now()
	r := &round{
		load: load{traffic: anything{}, rate: rate}, tally: newTally(),
		start: now, from: now, until: now.Add(length),
	}
	if err := r.open(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	// One request stalls, and the 29 that were to be sent meanwhile wait for it.
	if n := r.tally.latency.TotalCount(); n != rate*int64(length)/int64(time.Second) {
		t.Errorf("%d requests were sent", n)
	}
	if p := r.tally.millis(75); p < 100 {
		t.Errorf("the slowest quarter took %v ms or more; waiting was not counted", p)
	}
	if l := r.tally.late[0]; l.requests != 60 || l.late < 20 || l.late > 40 || l.longest < stall {
		t.Errorf("the report of the first second is %+v", l)
	}
}

// anything is traffic whose answers are all good.
type anything struct{}

func (anything) next(_ *rand.Rand, buffer []byte) []byte {
	return append(buffer[:0], "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"...)
}

func (anything) judge(int, []byte) verdict { return verdict{good: true} }
