package resolvers_test

import (
	"cmp"
	"fmt"
	"testing"

	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/store/storetest"
)

const whatBecame = `query ($key: IdempotencyKey!) { idempotentRequest(key: $key) { key operation firstSeenAt object { id __typename } outcomeVersion expired
	refusal { __typename code message path retryable } } }`

func TestAReplayIsTheSameObjectAsItIsNow(t *testing.T) {
	t.Parallel()
	s := newScene(t, start(t).merchant(t)).captured(t)
	inputs := s.inputs(t)
	versions := map[string]string{"setAccountStatus": "2", "confirmPayment": "2", "cancelPayment": "2"} // others leave the first one
	for mutation := range objects {
		input, ok := inputs[mutation]
		if !ok {
			t.Errorf("the test does not replay %s", mutation)
			continue
		}
		first, again := s.do(t, mutation, input), s.do(t, mutation, input)
		if at(first, "replayed") != false || at(again, "replayed") != true || text(first, "object", "id") == "" ||
			fmt.Sprint(at(first, "object")) != fmt.Sprint(at(again, "object")) {
			t.Errorf("%s was answered %v, and again %v", mutation, first, again)
		}
		record := at(s.must(t, whatBecame, vars{"key": input["idempotencyKey"]}), "idempotentRequest")
		if text(record, "object", "id") != text(first, "object", "id") || text(record, "operation") != mutation ||
			at(record, "refusal") != nil || text(record, "key") != input["idempotencyKey"] || text(record, "firstSeenAt") == "" ||
			fmt.Sprint(at(record, "outcomeVersion")) != cmp.Or(versions[mutation], "1") || at(record, "expired") != false {
			t.Errorf("the record of %s is %v", mutation, record)
		}
	}
	if got := s.balance(t, s.from); got != "96.49" { // 100 - 1 - 2.50 + 7 - 0.01 - 4 - 3
		t.Errorf("the balance is %s: a replay has moved money", got)
	}
}

// inputs are what every mutation does something with, each under a key.
func (s *scene) inputs(t *testing.T) map[string]vars {
	t.Helper()
	inputs := map[string]vars{
		"createCustomer":   {"name": "Grace", "metadata": vars{"b": "2", "a": "1"}},
		"openAccount":      {"customerId": s.customer, "currency": "USD"},
		"setAccountStatus": {"accountId": s.to, "status": "ACTIVE", "reason": "a phone call"},
		"depositFunds":     {"accountId": s.from, "amount": usd("7.00"), "reason": "wire 17"},
		"transferFunds":    {"fromAccountId": s.from, "toAccountId": s.to, "amount": usd("0.01")},
		"placeHold":        holding(s.from, "0.30"),
		"releaseHold":      releasing(s.hold),
		"createPayment":    paying(s.from, s.to, "4.00"),
		"confirmPayment":   {"paymentId": s.waiting, "source": vars{"accountId": s.from}},
		"capturePayment":   {"paymentId": s.authorized, "amount": usd("0.25"), "final": false},
		"cancelPayment":    {"paymentId": s.authorize(t, s.from, s.to, "0.10")},
		"refundPayment":    {"paymentId": s.authorized, "amount": usd("0.25")},
		"reverseTransfer":  {"transactionId": s.transfer, "reason": "a mistake"},
	}
	for _, input := range inputs {
		input["idempotencyKey"] = key()
	}
	return inputs
}

// TestAnExpiredKeyIsRefusedByEveryMutation asks again after 30 days: for all but the hold, which is still open.
func TestAnExpiredKeyIsRefusedByEveryMutation(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t)
	forward := storetest.Clock(t, dsn)
	s := newScene(t, startAt(t, storetest.At(t, dsn)).merchant(t)).captured(t)
	inputs := s.inputs(t)
	for mutation := range objects {
		s.make(t, mutation, inputs[mutation])
	}
	balance := s.balance(t, s.from)
	forward(command.KeyLifetime)
	for mutation := range objects {
		again := s.do(t, mutation, inputs[mutation])
		record := at(s.must(t, whatBecame, vars{"key": inputs[mutation]["idempotencyKey"]}), "idempotentRequest")
		if mutation == "placeHold" {
			if at(again, "replayed") != true || at(record, "expired") != false {
				t.Errorf("%s of a hold that is open was answered %v, and its record is %v", mutation, again, record)
			}
			continue
		}
		if text(again, "__typename") != "IdempotencyKeyExpired" || text(again, "code") != "IDEMPOTENCY_KEY_EXPIRED" ||
			at(again, "retryable") != false || dotted(at(again, "path")) != "input.idempotencyKey" || text(again, "message") == "" ||
			text(again, "firstSeenAt") == "" || text(again, "firstSeenAt") != text(record, "firstSeenAt") {
			t.Errorf("%s was answered %v, want IdempotencyKeyExpired", mutation, again)
		}
		if at(record, "expired") != true || text(record, "object", "id") == "" {
			t.Errorf("the record of %s is %v", mutation, record)
		}
	}
	if got := s.balance(t, s.from); got != balance {
		t.Errorf("the balance was %s, and is %s: something was done again", balance, got)
	}
}

func TestAReplayShowsWhatHasChangedSince(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	from := c.wallet(t, "5.00")
	create := vars{"amount": usd("2.00"), "source": vars{"accountId": from}, "idempotencyKey": key()}
	id := c.make(t, "createPayment", create)
	c.make(t, "confirmPayment", vars{"paymentId": id})
	again := c.do(t, "createPayment", create)
	if at(again, "replayed") != true || text(again, "object", "id") != id || text(again, "object", "status") != "SUCCEEDED" {
		t.Errorf("the replay is %v, want the payment as it is now", again)
	}
}

func TestAKeyIsGoodForOneInput(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	from, to, other := c.wallet(t, "50.00"), c.wallet(t, ""), c.wallet(t, "")
	same := key()
	with := func(changes vars) vars {
		input := paying(from, to, "1.00")
		input["metadata"], input["reference"], input["idempotencyKey"] = vars{"order": "7"}, "r", same
		for name, value := range changes {
			if input[name] = value; value == nil {
				delete(input, name)
			}
		}
		return input
	}
	id := c.make(t, "createPayment", with(nil))
	for want, changes := range map[string]vars{
		"[input.amount]":               {"amount": usd("2.00")},
		"[input.source.accountId]":     {"source": vars{"accountId": other}},
		"[input.destinationAccountId]": {"destinationAccountId": nil},
		"[input.confirm]":              {"confirm": false},
		"[input.reference]":            {"reference": "s"},
		"[input.metadata.order]":       {"metadata": vars{"order": "8"}},
		"[input.amount input.metadata.more]": {
			"amount": vars{"amount": "1.00", "currency": "EUR"}, "metadata": vars{"order": "7", "more": "x"},
		},
	} {
		got := c.do(t, "createPayment", with(changes))
		if text(got, "__typename") != "IdempotencyKeyReused" || fmt.Sprint(at(got, "conflictingPaths")) != want ||
			text(got, "originalOperation") != "createPayment" || text(got, "firstSeenAt") == "" ||
			dotted(at(got, "path")) != "input.idempotencyKey" {
			t.Errorf("%v was answered %v, want IdempotencyKeyReused of %s", changes, got, want)
		}
	}
	for name, changes := range map[string]vars{
		"an amount with fewer digits": {"amount": usd("1")}, "a default value": {"captureMethod": "AUTOMATIC"},
	} {
		if got := c.do(t, "createPayment", with(changes)); at(got, "replayed") != true || text(got, "object", "id") != id {
			t.Errorf("%s was answered %v, want a replay", name, got)
		}
	}
	transfer := vars{"fromAccountId": from, "toAccountId": to, "amount": usd("1.00"), "idempotencyKey": same}
	if got := c.do(t, "transferFunds", transfer); text(got, "__typename") != "IdempotencyKeyReused" ||
		text(got, "originalOperation") != "createPayment" {
		t.Errorf("another mutation was answered %v", got)
	}
	if got := c.balance(t, from); got != "49.00" {
		t.Errorf("the balance is %s", got)
	}
}

func TestTwoMerchantsMayUseOneKey(t *testing.T) {
	t.Parallel()
	g := start(t)
	a, b := g.merchant(t), g.merchant(t)
	same := vars{"name": "Ada", "idempotencyKey": key()}
	if first, second := a.make(t, "createCustomer", same), b.make(t, "createCustomer", same); first == second {
		t.Errorf("both got %s", first)
	}
	c := g.merchant(t)
	if found := at(c.must(t, whatBecame, vars{"key": same["idempotencyKey"]}), "idempotentRequest"); found != nil {
		t.Errorf("a third merchant sees %v", found)
	}
}

func TestTheKeyIsLookedUpBeforeTheInputIsJudged(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	from, to := c.wallet(t, "5.00"), c.wallet(t, "")
	used := paying(from, to, "1.00")
	used["idempotencyKey"] = key()
	id := c.make(t, "createPayment", used)
	bad := paying(from, to, "-1.00")
	bad["idempotencyKey"] = used["idempotencyKey"]
	if got := c.do(t, "createPayment", bad); text(got, "__typename") != "IdempotencyKeyReused" ||
		fmt.Sprint(at(got, "conflictingPaths")) != "[input.amount]" {
		t.Errorf("bad input under a used key was answered %v, want IdempotencyKeyReused", got)
	}
	if got := c.do(t, "createPayment", used); text(got, "object", "id") != id || at(got, "replayed") != true {
		t.Errorf("the first request was then answered %v", got)
	}
	bad["idempotencyKey"] = key()
	for range 2 {
		if got := c.do(t, "createPayment", bad); text(got, "__typename") != "ValidationFailed" {
			t.Errorf("bad input was answered %v", got)
		}
	}
	if found := at(c.must(t, whatBecame, vars{"key": bad["idempotencyKey"]}), "idempotentRequest"); found != nil {
		t.Errorf("a ValidationFailed was recorded: %v", found)
	}
	good := paying(from, to, "1.00")
	good["idempotencyKey"] = bad["idempotencyKey"] // it is still free
	if got := c.do(t, "createPayment", good); at(got, "replayed") != false {
		t.Errorf("the mended request was answered %v", got)
	}
}
