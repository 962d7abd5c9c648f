package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// history is what concurrent clients asked for and were answered. What became of an operation without an end is not known: it may have
// happened at any time since, or never.
type history struct {
	mu         sync.Mutex
	begun      time.Time
	operations []porcupine.Operation
	unknown    int
}

// do runs an operation and notes it.
func (h *history) do(client int, input any, run func() (output any, err error)) {
	call := time.Since(h.begun)
	output, err := run()
	o := porcupine.Operation{ClientId: client, Input: input, Call: int64(call), Output: output, Return: int64(time.Since(h.begun))}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		o.Output, o.Return = nil, math.MaxInt64
		h.unknown++
	}
	h.operations = append(h.operations, o)
}

func (h *history) judge(t *testing.T, model porcupine.Model) {
	t.Helper()
	if result := porcupine.CheckOperationsTimeout(model, h.operations, 20*time.Second); result != porcupine.Ok {
		t.Errorf("%d operations: %s", len(h.operations), result)
		for _, o := range h.operations {
			t.Logf("client %d, %v to %v: %+v: %+v", o.ClientId, time.Duration(o.Call), time.Duration(o.Return), o.Input, o.Output)
		}
	}
}

// TestPaymentsAreLinearisable has four clients confirm, capture, cancel, refund and read one payment after the other, and hang up now and then, at two
// processes whose backends are ended: there is an order of one after the other that explains every answer.
func TestPaymentsAreLinearisable(t *testing.T) {
	t.Parallel()
	areLinearisable(t, 12, paymentModel, historyOfPayment)
}

// areLinearisable judges so many histories, or more until enough of the backends of their two processes were ended. Each is about something of its own,
// between the same wallets.
func areLinearisable(t *testing.T, histories int, model porcupine.Model, historyOf func(t *testing.T, p *twins, n int, from, to string) *history) {
	t.Helper()
	p := newTwins(t)
	from, to := p.clients[0].newWallet(t, "1000.00"), p.clients[1].newWallet(t, "0.01")
	for _, c := range p.clients {
		c.http = &http.Client{Transport: hasty{c.http.Transport}}
	}
	ended, enough := p.endBackends()
	unknown, operations, begun := 0, 0, time.Now()
	for n := 0; n < histories || ended.Load() < enoughBackends && time.Since(begun) < endedWithin; n++ {
		h := historyOf(t, p, n, from, to)
		h.judge(t, model)
		unknown, operations = unknown+h.unknown, operations+len(h.operations)
	}
	enough()
	t.Logf("%d operations, %d without an end, %d backends ended", operations, unknown, ended.Load())
	if n := ended.Load(); n < enoughBackends {
		t.Errorf("%d backends were ended, want %d", n, enoughBackends)
	}
	if unknown < histories/4 {
		t.Errorf("what became of %d operations was not known, which says little about those", unknown)
	}
}

// hasty is a client that now and then hangs up within a few milliseconds, and does not know then what has happened.
type hasty struct{ next http.RoundTripper }

func (h hasty) RoundTrip(r *http.Request) (*http.Response, error) {
	if rand.IntN(16) == 0 {
		ctx, hangUp := context.WithCancel(r.Context())
		time.AfterFunc(rand.N(8*time.Millisecond), hangUp)
		r = r.WithContext(ctx)
	}
	return h.next.RoundTrip(r)
}

func historyOfPayment(t *testing.T, p *twins, n int, from, to string) *history {
	t.Helper()
	var data struct{ Answer answered }
	persist(t, p.clients, `mutation ($input: CreatePaymentInput!) { answer: createPayment(input: $input) {
		... on CreatePaymentSuccess { payment { id } } } }`, map[string]any{"input": map[string]any{
		"idempotencyKey": fmt.Sprintf("history-payment-%06d", n), "amount": usd(paymentCents), "source": map[string]any{"accountId": from},
		"destinationAccountId": to, "captureMethod": "MANUAL",
	}}, &data)
	h := &history{begun: time.Now()}
	var all sync.WaitGroup
	for client := range 4 {
		all.Go(func() {
			for i := range 8 {
				step := paymentStep{actions[rand.IntN(len(actions))], 1 + rand.IntN(4)}
				key := fmt.Sprintf("history-%06d-of-client-%d-%03d", n, client, i)
				h.do(client, step, func() (any, error) { return step.run(p.clients[(client+i)%2], data.Answer.Payment.ID, key) })
			}
		})
	}
	all.Wait()
	return h
}

const paymentCents = 10

var actions = []string{"confirm", "confirm", "capture", "capture", "capture", "cancel", "refund", "refund", "read", "read", "read"}

// paymentStep is what a client asks for. Captures are not final.
type paymentStep struct {
	action string
	cents  int
}

// run asks. The answer is the payment where it is read, and else the code of a refusal or "".
func (s paymentStep) run(c *client, id, key string) (any, error) {
	if s.action == "read" {
		var data struct{ Payment *seenPayment }
		errs, err := c.ask(fmt.Sprintf(`{ payment(id: %q) { status version captured { minorUnits } refunded { minorUnits } } }`, id), nil, &data)
		if err != nil || len(errs) > 0 || data.Payment == nil {
			return nil, fmt.Errorf("%v: %w", errs, errNotAnswered)
		}
		seen := data.Payment
		return paymentState{seen.Status, seen.Version, int(number(seen.Captured)), int(number(seen.Refunded))}, nil
	}
	input := map[string]any{"idempotencyKey": key, "paymentId": id}
	switch s.action {
	case "capture":
		input["amount"], input["final"] = usd(s.cents), false
	case "refund":
		input["amount"] = usd(s.cents)
	}
	a, err := c.command(s.action+"Payment", "", input)
	return a.Code, err
}

// paymentState is a payment as a single client would find it.
type paymentState struct {
	status             string
	version            int
	captured, refunded int
}

var paymentModel = porcupine.Model{
	Init: func() any { return paymentState{"REQUIRES_CONFIRMATION", 1, 0, 0} },
	Step: func(state, input, output any) (bool, any) {
		now, step := state.(paymentState), input.(paymentStep)
		if step.action == "read" {
			return output == nil || output == state, state
		}
		code, next := step.decide(now)
		if code == "" {
			next.version++
		}
		return output == nil || output == code, next
	},
}

// decide is what a step comes to in a state.
func (s paymentStep) decide(p paymentState) (code string, next paymentState) {
	open := p.status == "AUTHORIZED" || p.status == "PARTIALLY_CAPTURED"
	next = p
	switch {
	case s.action == "confirm" && p.status == "REQUIRES_CONFIRMATION":
		next.status = "AUTHORIZED"
	case s.action == "capture" && open && s.cents > paymentCents-p.captured:
		return "AMOUNT_EXCEEDS_CAPTURABLE", p
	case s.action == "capture" && open:
		next.captured += s.cents
		if next.status = "PARTIALLY_CAPTURED"; next.captured == paymentCents {
			next.status = "SUCCEEDED"
		}
	case s.action == "cancel" && p.status == "PARTIALLY_CAPTURED":
		next.status = "SUCCEEDED"
	case s.action == "cancel" && (open || p.status == "REQUIRES_CONFIRMATION"):
		next.status = "CANCELED"
	case s.action == "refund" && p.captured > p.refunded && s.cents > p.captured-p.refunded:
		return "AMOUNT_EXCEEDS_REFUNDABLE", p
	case s.action == "refund" && p.captured > p.refunded:
		next.refunded += s.cents
	default:
		return "INVALID_STATE", p
	}
	return "", next
}

// TestKeysAreLinearisable has four clients use the same keys for two requests each: the first answer is fixed, the same request gets it again,
// and the other one is refused.
func TestKeysAreLinearisable(t *testing.T) {
	t.Parallel()
	areLinearisable(t, 25, registerModel, historyOfKey)
}

func historyOfKey(_ *testing.T, p *twins, n int, from, to string) *history {
	h := &history{begun: time.Now()}
	var all sync.WaitGroup
	for client := range 4 {
		all.Go(func() {
			for i := range 4 {
				cents := 1 + rand.IntN(2)
				h.do(client, cents, func() (any, error) {
					a, err := p.clients[(client+i)%2].command("createPayment", "payment { id }", map[string]any{
						"idempotencyKey": fmt.Sprintf("register-%09d", n), "amount": usd(cents), "source": map[string]any{"accountId": from},
						"destinationAccountId": to, "confirm": true,
					})
					if strings.HasSuffix(a.Code, "IN_PROGRESS") {
						err = errNotAnswered
					}
					return registerAnswer{a.Code, a.Payment.ID, a.Replayed}, err
				})
			}
		})
	}
	all.Wait()
	return h
}

type registerAnswer struct {
	code, id string
	replayed bool
}

// registerState is a key: for which request it was used, and what that made. It is unused with 0 cents.
type registerState struct {
	cents int
	id    string // "" where nobody has been told yet
}

var registerModel = porcupine.Model{
	Init: func() any { return registerState{} },
	Step: func(state, input, output any) (bool, any) {
		key, cents := state.(registerState), input.(int)
		told, known := output.(registerAnswer)
		switch {
		case key.cents == 0 && !known:
			return true, registerState{cents, ""}
		case key.cents == 0:
			return told.code == "" && told.id != "" && !told.replayed, registerState{cents, told.id}
		case !known:
			return true, key
		case key.cents != cents:
			return told.code == "IDEMPOTENCY_KEY_REUSED", key
		case key.id == "":
			return told.code == "" && told.replayed, registerState{cents, told.id}
		}
		return told == registerAnswer{"", key.id, true}, key
	},
}

// What must not be is found: a read of before a capture after its answer, money taken twice, a key that made two payments.
func TestTheCheckerFindsBrokenHistories(t *testing.T) {
	t.Parallel()
	ops := func(steps ...[2]any) (all []porcupine.Operation) {
		for n, step := range steps {
			o := porcupine.Operation{Input: step[0], Call: int64(10 * n), Output: step[1], Return: int64(10*n + 5)}
			if step[1] == nil {
				o.Return = math.MaxInt64
			}
			all = append(all, o)
		}
		return all
	}
	confirm, capture, read := paymentStep{"confirm", 0}, paymentStep{"capture", 6}, paymentStep{"read", 0}
	authorized, taken := paymentState{"AUTHORIZED", 2, 0, 0}, paymentState{"PARTIALLY_CAPTURED", 3, 6, 0}
	first, again := registerAnswer{"", "pay_1", false}, registerAnswer{"", "pay_1", true}
	for name, c := range map[string]struct {
		model   porcupine.Model
		history []porcupine.Operation
		want    bool
	}{
		"a payment that is well":       {paymentModel, ops([2]any{confirm, ""}, [2]any{capture, ""}, [2]any{read, taken}), true},
		"a stale read":                 {paymentModel, ops([2]any{confirm, ""}, [2]any{capture, ""}, [2]any{read, authorized}), false},
		"captured twice":               {paymentModel, ops([2]any{confirm, ""}, [2]any{capture, ""}, [2]any{capture, ""}), false},
		"an unknown capture, done":     {paymentModel, ops([2]any{confirm, ""}, [2]any{capture, nil}, [2]any{read, taken}), true},
		"an unknown capture, not done": {paymentModel, ops([2]any{confirm, ""}, [2]any{capture, nil}, [2]any{read, authorized}), true},
		"an unknown capture, undone":   {paymentModel, ops([2]any{confirm, ""}, [2]any{capture, nil}, [2]any{read, taken}, [2]any{read, authorized}), false},
		"a key that is well":           {registerModel, ops([2]any{1, first}, [2]any{1, again}, [2]any{2, registerAnswer{code: "IDEMPOTENCY_KEY_REUSED"}}), true},
		"a key that paid twice":        {registerModel, ops([2]any{1, first}, [2]any{1, registerAnswer{"", "pay_2", false}}), false},
		"another answer to a replay":   {registerModel, ops([2]any{1, first}, [2]any{1, registerAnswer{"", "pay_2", true}}), false},
		"a key used for something new": {registerModel, ops([2]any{1, first}, [2]any{2, again}), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := porcupine.CheckOperations(c.model, c.history); got != c.want {
				t.Errorf("the checker says %v, want %v", got, c.want)
			}
		})
	}
}
