package soak

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector/faultproxy"
	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(builtIn)
	os.Exit(code)
}

var builtIn string // the folder of the gateway

// built is the gateway, which is built once.
var built = sync.OnceValues(func() (path string, err error) {
	if builtIn, err = embeddedtest.NewFolder(); err != nil {
		return "", err
	}
	path = filepath.Join(builtIn, "paygraph")
	output, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "github.com/paygraph/paygraph").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, output)
	}
	return path, nil
})

func program(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// logged passes lines on to the test's log.
type logged struct{ t *testing.T }

func (l logged) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// TestSoak has each kind of fault strike once, and each place once: of the ways to spoil a message it takes turns, and messages
// that only prepare a statement are left to the long form. It takes a minute, and on a machine that is slow as long as it takes, up to a limit.
func TestSoak(t *testing.T) {
	t.Parallel()
	o := Options{Clients: inFlightAtLeast + 32, VerifyEvery: 100, Seed: 1, For: 7 * time.Minute, Program: program(t), Dir: embeddedtest.Folder(t)}
	s := newSoak(o, logged{t})
	s.patience = 6 // on a machine on which other tests run
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	err := s.inWorld(ctx, "main", mainSettings, func(w *world) ([]*fault, error) {
		steps, err := w.learnSteps(ctx)
		return short(steps), err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.FullDisks = 1
	if err := s.smallWorld(ctx); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range s.report.wrongs {
		t.Error(wrong)
	}
	if n := s.report.unknowns(); n < fewestUnknown {
		t.Errorf("%d unknown outcomes were met, want %d", n, fewestUnknown)
	}
	if s.report.settled < lostCommits {
		t.Errorf("%d unknown outcomes were met at the database, want %d", s.report.settled, lostCommits)
	}
	for _, c := range s.report.cycles {
		if c.missed {
			t.Errorf("%s did not strike", c.fault)
		}
	}
	for _, n := range s.report.notRuns {
		if n.why == timeWasUp {
			t.Errorf("%s did not happen within %v", n.name, s.For)
		}
	}
	t.Log(s.report.text(0))
}

// lostCommits are how many cuts of the short plan, at the least, leave a node in doubt about a commit.
const lostCommits = 5

// short is a plan of about a minute.
func short(steps []*step) []*fault {
	all := []*fault{
		killNodes(killOfOneNode, 0), killNodes(killOfAllNodes, 0, 1), killDatabase(), killPostmaster(), terminateBackends(), killBackend(),
		freezeAt(0, locking, true), jumpClock(), cutInRecovery(1, faultproxy.CutAnswer, locking, cuts[0]),
		cutInRecovery(0, faultproxy.LoseRequest, writing, cuts[2]),
	}
	brief := slices.DeleteFunc(slices.Clone(cuts), func(c cut) bool { return c.swallows })
	steps = slices.DeleteFunc(steps, func(s *step) bool { return s.prepares })
	for n, s := range steps {
		all = append(all, cutAt(n%nodeCount, s, brief[n%len(brief)]))
	}
	return append(all, cutAt(0, writing, cuts[len(cuts)-1]), expireAll())
}

// TestACheckFindsWhatIsWrong spoils what the clients were told, and what the database has, in a world in which nothing has happened.
func TestACheckFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w, err := newWorld(ctx, program(t), embeddedtest.Folder(t), 4, 1, map[string]string{"fsync": "off"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	w.load.begin(ctx)
	if _, err := w.run(ctx, terminateBackends()); err != nil {
		t.Fatal(err)
	}
	w.goOnUntil(t, `EXISTS (SELECT FROM capture) AND EXISTS (SELECT FROM refund) AND EXISTS (SELECT FROM hold h JOIN payment p ON p.id = h.payment_id
		WHERE p.status = 'SUCCEEDED') AND EXISTS (SELECT FROM entry WHERE kind = 'TRANSFER')
		AND EXISTS (SELECT FROM payment WHERE reference LIKE 'client%' AND destination_account_id IS NULL)`)
	if stuck := w.load.end(ctx, endWithin); len(stuck) > 0 {
		t.Fatal(stuck)
	}
	paidFor := func() (key string) {
		err := w.db.QueryRow(`SELECT p.reference FROM payment p JOIN entry e ON e.payment_id = p.id WHERE p.reference NOT LIKE '%-open'
			AND p.reference LIKE 'client%' ORDER BY random() LIMIT 1`).Scan(&key)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	for name, c := range map[string]struct {
		spoil func(key string) string
		want  string
	}{
		"nothing": {func(string) string { return `SELECT 1` }, ""},
		"a lost payment": {func(key string) string {
			return fmt.Sprintf(`DELETE FROM payment WHERE reference = '%s'`, key)
		}, "LOST"},
		"a payment that was made twice": {func(key string) string {
			return fmt.Sprintf(`INSERT INTO payment SELECT (jsonb_populate_record(p, jsonb_build_object('id', gen_random_uuid()))).*
				FROM payment p WHERE reference = '%s'`, key)
		}, "DOUBLED"},
		"a lost record":  {func(key string) string { return fmt.Sprintf(`DELETE FROM idempotency WHERE key = '%s'`, key) }, "have a record"},
		"a lost capture": {func(string) string { return `DELETE FROM capture WHERE id = (SELECT id FROM capture LIMIT 1)` }, "LOST"},
		"a capture that was made twice": {func(string) string {
			return `INSERT INTO capture SELECT (jsonb_populate_record(c, jsonb_build_object('id', gen_random_uuid()))).* FROM capture c
				WHERE c.id = (SELECT id FROM capture LIMIT 1)`
		}, "DOUBLED"},
		"a capture of another amount": {func(string) string {
			return `UPDATE capture SET amount = amount + 1 WHERE id = (SELECT id FROM capture LIMIT 1)`
		}, "was never asked"},
		"a refund that was made twice": {func(string) string {
			return `INSERT INTO refund SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid()))).* FROM refund r
				WHERE r.id = (SELECT id FROM refund LIMIT 1)`
		}, "DOUBLED"},
		"a refund of which nothing was captured": {func(string) string {
			return `UPDATE payment SET captured = 0 WHERE id = (SELECT payment_id FROM refund LIMIT 1)`
		}, "do not fit"},
		"a hold that outlives its payment": {func(string) string {
			return `UPDATE hold SET ended_at = NULL WHERE id = (SELECT h.id FROM hold h JOIN payment p ON p.id = h.payment_id WHERE p.status = 'SUCCEEDED' LIMIT 1)`
		}, "do not fit"},
		"a payment that ended before its time": {func(string) string {
			return `INSERT INTO entry SELECT (jsonb_populate_record(e, jsonb_build_object('transaction_id', gen_random_uuid(), 'kind', 'RELEASE',
				'sequence', 1000000))).* FROM entry e JOIN payment p ON p.id = e.payment_id WHERE e.kind = 'HOLD' AND p.status = 'SUCCEEDED'
				AND NOT EXISTS (SELECT FROM entry r WHERE r.payment_id = p.id AND r.kind = 'RELEASE') LIMIT 1`
		}, "-cancel has an effect (payments' transactions), and"},
		"money that came from nowhere": {func(string) string {
			return `UPDATE balance SET credits_posted = credits_posted + 1 WHERE account_id = (SELECT id FROM account WHERE customer_id IS NOT NULL LIMIT 1)`
		}, "the wallets hold"},
		"the merchant's money that came from nowhere": {func(string) string {
			return `UPDATE balance SET credits_posted = credits_posted + 1 WHERE account_id = (SELECT id FROM account WHERE kind = 'MERCHANT_AVAILABLE')`
		}, "the merchant has"},
		"fees that nobody was charged": {func(string) string {
			return `UPDATE balance SET credits_posted = credits_posted + 1 WHERE account_id = (SELECT id FROM account WHERE kind = 'FEES')`
		}, "the fees are"},
		"another fee": {func(string) string {
			return `UPDATE payment SET fee = fee + 1 WHERE id = (SELECT id FROM payment WHERE captured > 0 LIMIT 1)`
		}, "fee and hold do not fit"},
		"a payment to the merchant that went to a wallet": {func(string) string {
			return `UPDATE payment SET destination_account_id = source_account_id WHERE id = (SELECT id FROM payment
				WHERE reference LIKE 'client%' AND destination_account_id IS NULL LIMIT 1)`
		}, "for somebody else has an effect"},
		"money that the merchant was not paid": {func(string) string {
			return `UPDATE payment SET captured = captured + 1 WHERE id = (SELECT id FROM payment WHERE captured > 0 AND destination_account_id IS NULL LIMIT 1)`
		}, "the merchant has"},
		"a payment of another amount": {func(key string) string {
			return fmt.Sprintf(`UPDATE payment SET amount = amount + 1 WHERE reference = '%s'`, key)
		}, "LOST"},
		"a transfer of another amount": {func(string) string {
			return `UPDATE entry SET amount = amount + 1 WHERE leg = 1 AND transaction_id = (SELECT transaction_id FROM entry
				WHERE kind = 'TRANSFER' LIMIT 1)`
		}, "LOST"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := w.spoiled(ctx, t, c.spoil(paidFor())); !strings.Contains(got, c.want) || c.want == "" && got != "" {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

// goOnUntil leaves the clients at work until a condition holds: a test spoils what there is.
func (w *world) goOnUntil(t *testing.T, condition string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var holds bool
		if err := w.db.QueryRow(`SELECT ` + condition).Scan(&holds); err != nil {
			t.Fatal(err)
		}
		if holds {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the clients never made %s", condition)
		}
	}
}

// spoiled is what the last look finds after a statement, which is undone.
func (w *world) spoiled(ctx context.Context, t *testing.T, statement string) string {
	t.Helper()
	r := newRegister()
	if err := readOracle(w.oraclePath(), func(l line) { r.apply(l) }); err != nil {
		t.Fatal(err)
	}
	c, err := newChecker(w, r)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if result, err := tx.Exec(statement); err != nil {
		t.Fatal(err)
	} else if n, _ := result.RowsAffected(); n == 0 {
		t.Fatal("there is nothing to spoil")
	}
	if err := c.checkIn(ctx, tx); err != nil {
		t.Fatal(err)
	}
	return strings.Join(r.wrongs, "\n")
}

// TestOnlyWhatCannotBeDoneIsRefused has answers to what was asked for, before and after the time of payments is up.
func TestOnlyWhatCannotBeDoneIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind    string
		amount  int64
		due     bool
		refusal string
		wrong   bool
	}{
		"a payment":                           {"createPayment", 1, false, "", false},
		"a payment that is refused":           {"createPayment", 1, false, noFunds, true},
		"a payment of an account":             {"createPayment", 1, false, "ACCOUNT_NOT_ACTIVE", true},
		"a payment of too much":               {"createPayment", tooMuch, false, noFunds, false},
		"a payment of too much that is made":  {"createPayment", tooMuch, false, "", true},
		"too much, refused as something else": {"createPayment", tooMuch, false, "NOT_FOUND", true},
		"a capture of too much":               {"capturePayment", tooMuch, false, notCapturable, false},
		"a refund of too much":                {"refundPayment", tooMuch, false, notRefundable, false},
		"a capture that is refused":           {"capturePayment", 1, false, tooLate, true},
		"a capture that comes too late":       {"capturePayment", 1, true, tooLate, false},
		"a capture in time, late in a run":    {"capturePayment", 1, true, "", false},
		"a refund that comes too late":        {"refundPayment", 1, true, tooLate, true},
		"a deposit that is refused":           {"depositFunds", 1, true, noFunds, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegister()
			if r.apply(line{Key: "k", Kind: c.kind, Input: map[string]any{"amount": usd(c.amount)}}); c.due {
				r.apply(line{Due: true})
			}
			answered := &acknowledged{Refusal: c.refusal}
			if c.refusal == "" {
				answered.Object = "pay_01h455vb4pex5vsknk084sn02q"
			}
			if r.apply(line{Key: "k", Answer: answered}); len(r.wrongs) > 0 != c.wrong {
				t.Errorf("found %q", r.wrongs)
			}
		})
	}
}

// TestTheReportSaysWhatWasNotRun has a run that has met nothing.
func TestTheReportSaysWhatWasNotRun(t *testing.T) {
	t.Parallel()
	r := newReport(Options{})
	r.add(&cycle{fault: killOfOneNode, back: 7e9, wrongs: []string{"SLOW"}})
	r.add(&cycle{fault: "a cut", missed: true})
	r.notRun("a full disk", 3, "nobody may mount one")
	if !r.judge(false) {
		t.Error("a run without unknown outcomes has passed")
	}
	if cut := (&report{options: Options{Cuts: 1}, unknown: map[string]int{"OUTCOME_UNKNOWN": fewestUnknown}, settled: fewestSettled - 1}); !cut.judge(false) {
		t.Error("a run whose cuts have left no node in doubt has passed")
	}
	for _, want := range []string{"FAILED", "| kill -9 of a node | 1 | 0 | 7.00 s | 7.00 s |  |  |  |", "| a cut | 0, MISSED 1 |",
		"NOT RUN: a full disk, 3 times: nobody may mount one", "WRONG: kill -9 of a node: SLOW", "only 0 unknown outcomes"} {
		if text := r.text(0); !strings.Contains(text, want) {
			t.Errorf("the report does not say %q:\n%s", want, text)
		}
	}
}

// TestTheOracleIsRead has lines that were noted read again.
func TestTheOracleIsRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "oracle")
	o, err := newOracle(path)
	if err != nil {
		t.Fatal(err)
	}
	<-o.note(line{Key: "k", Kind: kinds[0].name, Input: map[string]any{"reference": "k", "amount": usd(tooMuch)}})
	before, err := os.ReadFile(path)
	if err != nil || bytes.Count(before, []byte("\n")) != 1 {
		t.Fatalf("what is synced is not in the file: %q, %v", before, err)
	}
	o.note(line{Key: "k", Unknown: "CONNECTION_LOST"})
	o.note(line{Key: "k", Answer: &acknowledged{Refusal: "INSUFFICIENT_FUNDS"}})
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	r := newRegister()
	if err := readOracle(path, func(l line) { r.apply(l) }); err != nil {
		t.Fatal(err)
	}
	if f := r.fates["k"]; f == nil || !f.known || !f.refused || len(r.takeFresh()) != 1 || len(r.wrongs) > 0 {
		t.Errorf("read %+v, %v", f, r.wrongs)
	}
	r.apply(line{Key: "k", Answer: &acknowledged{Refusal: "INSUFFICIENT_FUNDS"}})
	if len(r.takeFresh()) != 0 || len(r.wrongs) > 0 {
		t.Errorf("the same answer again is another: %v", r.wrongs)
	}
	r.apply(line{Key: "k", Answer: &acknowledged{Object: "pay_01h455vb4pex5vsknk084sn02q"}})
	if len(r.wrongs) != 1 {
		t.Errorf("another answer is not noticed: %v", r.wrongs)
	}
}
