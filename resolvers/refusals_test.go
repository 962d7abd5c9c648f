package resolvers_test

import (
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/store/storetest"
)

// refusalCase is one no of one mutation.
type refusalCase struct {
	mutation, refusal, path string
	input                   vars
}

// stage holds what the refusals need.
type stage struct {
	customer, rich, poor, frozen, closed, yen, brimful, brimfulSource           string
	paid, sourceless, own, toClosed                                             string
	released, paymentsHold                                                      string
	authorized, toFrozen, toSpender, fromBrimful                                string // payments
	deposit, reversed, transferToFrozen, transferToSpender, transferFromBrimful string
}

// unknown is a well-formed identifier that never was.
func unknown(prefix answer.Prefix) string { return answer.Encode(prefix, answer.UUID{0: 1, 15: 7}) }

// newStage opens the accounts, and then brings the sums of two near the end of their range behind the gateway's back.
func newStage(t *testing.T) (*client, *stage) {
	t.Helper()
	dsn := storetest.DSN(t)
	c := startAt(t, storetest.At(t, dsn)).merchant(t)
	s := &stage{
		customer: c.customer(t), rich: c.wallet(t, "1000.00"), poor: c.wallet(t, ""), frozen: c.wallet(t, "10.00"),
		closed: c.wallet(t, ""), yen: c.walletIn(t, "JPY", "5000"), brimful: c.wallet(t, "500.00"), brimfulSource: c.wallet(t, ""),
	}
	s.paid = c.pay(t, s.rich, "", "1.00")
	s.sourceless = c.make(t, "createPayment", vars{"amount": usd("5.00")})
	s.own = c.make(t, "createPayment", vars{"amount": usd("5.00"), "destinationAccountId": s.rich})
	s.toClosed = c.make(t, "createPayment", vars{"amount": usd("5.00"), "source": vars{"accountId": s.rich}, "destinationAccountId": s.closed})
	s.released, s.paymentsHold = c.hold(t, s.rich, "1.00"), c.hold(t, s.rich, "1.00")
	c.make(t, "releaseHold", vars{"holdId": s.released, "reason": "a test"})
	s.paymentsAndTransfers(t, c)
	c.setStatus(t, s.frozen, "FROZEN")
	c.setStatus(t, s.closed, "CLOSED")
	db := openDatabase(t, dsn)
	for id, sums := range map[string]string{
		s.brimful:       "debits_posted = 9223372036854775000, credits_posted = 9223372036854775000",
		s.brimfulSource: "debits_posted = 9223372036854775700, credits_posted = 9223372036854775800",
	} {
		u, err := answer.Decode(answer.AccountPrefix, id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), "UPDATE balance SET "+sums+" WHERE account_id = $1", u.String()); err != nil {
			t.Fatal(err)
		}
	}
	hold, _ := answer.Decode(answer.HoldPrefix, s.paymentsHold)
	paid, _ := answer.Decode(answer.PaymentPrefix, s.paid)
	if _, err := db.ExecContext(t.Context(), "UPDATE hold SET payment_id = $2 WHERE id = $1", hold.String(), paid.String()); err != nil {
		t.Fatal(err)
	}
	return startAt(t, storetest.At(t, dsn)).as(c.principal), s // a second node, which remembers no sums
}

// paymentsAndTransfers makes what is to be captured, refunded and reversed.
func (s *stage) paymentsAndTransfers(t *testing.T, c *client) {
	t.Helper()
	spender := c.wallet(t, "")
	transfer := func(from, to, amount string) string {
		return c.make(t, "transferFunds", vars{"fromAccountId": from, "toAccountId": to, "amount": usd(amount)})
	}
	s.authorized = c.authorize(t, s.rich, s.poor, "5.00")
	s.toFrozen, s.toSpender, s.fromBrimful = c.pay(t, s.rich, s.frozen, "1.00"), c.pay(t, s.rich, spender, "1.00"), c.pay(t, s.brimful, "", "200.00")
	s.deposit, s.reversed = c.deposit(t, s.rich, usd("1.00")), transfer(s.rich, s.poor, "1.00")
	s.transferToFrozen, s.transferToSpender = transfer(s.rich, s.frozen, "1.00"), transfer(s.rich, spender, "1.00")
	s.transferFromBrimful = transfer(s.brimful, s.rich, "200.00")
	transfer(spender, s.rich, "2.00")
	c.make(t, "reverseTransfer", vars{"transactionId": s.reversed, "reason": "a test"})
}

func openDatabase(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// refusals lists every no of every command, but for those of keys that are in use.
func (s *stage) refusals() []refusalCase {
	const input = "input."
	moneyCases := func(mutation, from, to string, base func(from, to string, amount vars) vars) []refusalCase {
		cases := []refusalCase{
			{mutation, "ValidationFailed", input + "amount.amount", base(s.rich, s.poor, usd("0.00"))},
			{mutation, "NotFound", to, base(s.rich, unknown(answer.AccountPrefix), usd("1.00"))},
			{mutation, "AccountNotActive", to, base(s.rich, s.closed, usd("1.00"))},
			{mutation, "CurrencyMismatch", to, base(s.rich, s.yen, usd("1.00"))},
			{mutation, "BalanceOutOfRange", to, base(s.rich, s.brimful, usd("100.00"))},
		}
		if from == "" {
			return cases
		}
		return append(cases,
			refusalCase{mutation, "NotFound", from, base(unknown(answer.AccountPrefix), s.poor, usd("1.00"))},
			refusalCase{mutation, "AccountNotActive", from, base(s.frozen, s.poor, usd("1.00"))},
			refusalCase{mutation, "AccountNotActive", from, base(s.closed, s.poor, usd("1.00"))},
			refusalCase{mutation, "CurrencyMismatch", from, base(s.yen, s.poor, usd("1.00"))},
			refusalCase{mutation, "BalanceOutOfRange", from, base(s.brimfulSource, s.poor, usd("100.00"))},
			refusalCase{mutation, "InsufficientFunds", from, base(s.rich, s.poor, usd("100000.00"))},
		)
	}
	cases := []refusalCase{
		{"createCustomer", "ValidationFailed", input + "name", vars{"name": ""}},
		{"openAccount", "ValidationFailed", input + "currency", vars{"customerId": s.customer, "currency": "XXQ"}},
		{"openAccount", "NotFound", input + "customerId", vars{"customerId": unknown(answer.CustomerPrefix), "currency": "USD"}},
		{"setAccountStatus", "ValidationFailed", input + "reason", status(s.rich, "FROZEN", "")},
		{"setAccountStatus", "NotFound", input + "accountId", status(unknown(answer.AccountPrefix), "FROZEN", "why")},
		{"setAccountStatus", "AccountNotActive", input + "accountId", status(s.closed, "ACTIVE", "why")},
		{"setAccountStatus", "AccountNotEmpty", input + "accountId", status(s.rich, "CLOSED", "why")},
		{"placeHold", "ValidationFailed", input + "amount.amount", holding(s.rich, "0.00")},
		{"placeHold", "NotFound", input + "accountId", holding(unknown(answer.AccountPrefix), "1.00")},
		{"placeHold", "CurrencyMismatch", input + "accountId", holding(s.yen, "1.00")},
		{"placeHold", "AccountNotActive", input + "accountId", holding(s.frozen, "1.00")},
		{"placeHold", "AccountNotActive", input + "accountId", holding(s.closed, "1.00")},
		{"placeHold", "InsufficientFunds", input + "accountId", holding(s.rich, "99999.00")},
		{"placeHold", "BalanceOutOfRange", input + "accountId", holding(s.brimfulSource, "100.00")},
		{"releaseHold", "ValidationFailed", input + "reason", vars{"holdId": s.released, "reason": ""}},
		{"releaseHold", "NotFound", input + "holdId", releasing(unknown(answer.HoldPrefix))},
		{"releaseHold", "HoldNotOpen", input + "holdId", releasing(s.released)},
		{"releaseHold", "HoldOfPayment", input + "holdId", releasing(s.paymentsHold)},
		{"confirmPayment", "NotFound", input + "paymentId", vars{"paymentId": unknown(answer.PaymentPrefix)}},
		{"confirmPayment", "InvalidState", input + "paymentId", vars{"paymentId": s.paid}},
		{"confirmPayment", "InvalidState", input + "source", vars{"paymentId": s.sourceless}},
		{"confirmPayment", "InvalidState", input + "source", vars{"paymentId": s.own, "source": vars{"accountId": s.rich}}},
		{"confirmPayment", "AccountNotActive", input + "paymentId", vars{"paymentId": s.toClosed}},
		{"confirmPayment", "VersionConflict", input + "expectedVersion", vars{"paymentId": s.sourceless, "expectedVersion": 2}},
		{"setAccountStatus", "VersionConflict", input + "expectedVersion", vars{"accountId": s.rich, "status": "FROZEN", "reason": "why", "expectedVersion": 2}},
		{"capturePayment", "ValidationFailed", input + "amount.amount", vars{"paymentId": s.authorized, "amount": usd("0.00")}},
		{"capturePayment", "NotFound", input + "paymentId", vars{"paymentId": unknown(answer.PaymentPrefix)}},
		{"capturePayment", "VersionConflict", input + "expectedVersion", vars{"paymentId": s.authorized, "expectedVersion": 2}},
		{"capturePayment", "InvalidState", input + "paymentId", vars{"paymentId": s.paid}},
		{"capturePayment", "CurrencyMismatch", input + "amount", vars{"paymentId": s.authorized, "amount": vars{"amount": "1", "currency": "JPY"}}},
		{"capturePayment", "AmountExceedsCapturable", input + "amount", vars{"paymentId": s.authorized, "amount": usd("5.01")}},
		{"cancelPayment", "NotFound", input + "paymentId", vars{"paymentId": unknown(answer.PaymentPrefix)}},
		{"cancelPayment", "VersionConflict", input + "expectedVersion", vars{"paymentId": s.authorized, "expectedVersion": 2}},
		{"cancelPayment", "InvalidState", input + "paymentId", vars{"paymentId": s.paid}},
		{"refundPayment", "ValidationFailed", input + "amount.amount", vars{"paymentId": s.paid, "amount": usd("0.00")}},
		{"refundPayment", "NotFound", input + "paymentId", vars{"paymentId": unknown(answer.PaymentPrefix)}},
		{"refundPayment", "VersionConflict", input + "expectedVersion", vars{"paymentId": s.paid, "expectedVersion": 2}},
		{"refundPayment", "InvalidState", input + "paymentId", vars{"paymentId": s.authorized}},
		{"refundPayment", "CurrencyMismatch", input + "amount", vars{"paymentId": s.paid, "amount": vars{"amount": "1", "currency": "JPY"}}},
		{"refundPayment", "AmountExceedsRefundable", input + "amount", vars{"paymentId": s.paid, "amount": usd("1.01")}},
		{"refundPayment", "AccountNotActive", input + "paymentId", vars{"paymentId": s.toFrozen}},
		{"refundPayment", "InsufficientFunds", input + "paymentId", vars{"paymentId": s.toSpender}},
		{"refundPayment", "BalanceOutOfRange", input + "paymentId", vars{"paymentId": s.fromBrimful}},
		{"reverseTransfer", "ValidationFailed", input + "reason", vars{"transactionId": s.deposit, "reason": ""}},
		{"reverseTransfer", "NotFound", input + "transactionId", reversing(unknown(answer.TransactionPrefix))},
		{"reverseTransfer", "NotReversible", input + "transactionId", reversing(s.deposit)},
		{"reverseTransfer", "NotReversible", input + "transactionId", reversing(s.reversed)},
		{"reverseTransfer", "AccountNotActive", input + "transactionId", reversing(s.transferToFrozen)},
		{"reverseTransfer", "InsufficientFunds", input + "transactionId", reversing(s.transferToSpender)},
		{"reverseTransfer", "BalanceOutOfRange", input + "transactionId", reversing(s.transferFromBrimful)},
		{"createPayment", "ValidationFailed", input + "source", vars{"amount": usd("1.00"), "confirm": true}},
	}
	cases = append(cases, moneyCases("depositFunds", "", input+"accountId", func(_, to string, amount vars) vars {
		return vars{"accountId": to, "amount": amount, "reason": "why"}
	})...)
	cases = append(cases, moneyCases("transferFunds", input+"fromAccountId", input+"toAccountId", func(from, to string, amount vars) vars {
		return vars{"fromAccountId": from, "toAccountId": to, "amount": amount}
	})...)
	for _, confirm := range []bool{true, false} {
		for _, c := range moneyCases("createPayment", input+"source.accountId", input+"destinationAccountId", func(from, to string, amount vars) vars {
			return vars{"source": vars{"accountId": from}, "destinationAccountId": to, "amount": amount, "confirm": confirm}
		}) {
			soft := c.refusal == "InsufficientFunds" || at(map[string]any(c.input), "source").(vars)["accountId"] == s.frozen
			if confirm || !soft { // an unconfirmed payment may wait for money and a thaw
				cases = append(cases, c)
			}
		}
	}
	for refusal, source := range map[string]string{
		"NotFound": unknown(answer.AccountPrefix), "AccountNotActive": s.frozen, "CurrencyMismatch": s.yen, "InsufficientFunds": s.poor,
		"BalanceOutOfRange": s.brimfulSource,
	} {
		cases = append(cases, refusalCase{"confirmPayment", refusal, input + "source.accountId",
			vars{"paymentId": s.sourceless, "source": vars{"accountId": source}}})
	}
	return cases
}

func status(account, status, reason string) vars {
	return vars{"accountId": account, "status": status, "reason": reason}
}

func holding(account, amount string) vars { return vars{"accountId": account, "amount": usd(amount)} }

func reversing(transaction string) vars { return vars{"transactionId": transaction, "reason": "why"} }

func releasing(hold string) vars { return vars{"holdId": hold, "reason": "why"} }

// unseen are members of unions that this test does not bring about: one leaves room for inputs to come, and one is for fees that fill an account.
var unseen = map[string]bool{"confirmPaymentValidationFailed": true, "capturePaymentBalanceOutOfRange": true}

func TestEveryRefusalIsAMemberOfItsUnionWithItsPath(t *testing.T) {
	t.Parallel()
	c, s := newStage(t)
	// Keys in use are for TestAKeyInUse, TestAKeyIsGoodForOneInput and TestAnExpiredKeyIsRefusedByEveryMutation.
	seen := map[string]map[string]bool{}
	for _, mutation := range slices.Collect(maps.Keys(objects)) {
		seen[mutation] = map[string]bool{"IdempotencyInProgress": true, "IdempotencyKeyReused": true, "IdempotencyKeyExpired": true}
	}
	for _, r := range s.refusals() {
		r.input["idempotencyKey"] = key()
		member := c.do(t, r.mutation, r.input)
		name := fmt.Sprintf("%s of %v", r.mutation, r.input)
		if text(member, "__typename") != r.refusal || dotted(at(member, "path")) != r.path || at(member, "retryable") != false ||
			text(member, "message") == "" {
			t.Errorf("%s was answered %v, want %s at %s", name, member, r.refusal, r.path)
			continue
		}
		seen[r.mutation][r.refusal] = true
		c.checkRecord(t, r, member)
	}
	for mutation, refusals := range seen {
		for _, member := range contract.Types[contract.Mutation.Fields.ForName(mutation).Type.Name()].Types {
			if !strings.HasSuffix(member, "Success") && !refusals[member] && !unseen[mutation+member] {
				t.Errorf("nothing made %s refuse with %s", mutation, member)
			}
		}
	}
}

// checkRecord sends a refused request again, and asks what became of it: all that reads state is recorded, ValidationFailed is not.
func (c *client) checkRecord(t *testing.T, r refusalCase, member map[string]any) {
	t.Helper()
	if again := c.do(t, r.mutation, r.input); fmt.Sprint(again) != fmt.Sprint(member) {
		t.Errorf("%s of %v was answered %v, and again %v", r.mutation, r.input, member, again)
	}
	record := at(c.must(t, `query ($key: IdempotencyKey!) { idempotentRequest(key: $key) { key operation object { id } outcomeVersion
		refusal { __typename code message path retryable } } }`, vars{"key": r.input["idempotencyKey"]}), "idempotentRequest")
	if r.refusal == "ValidationFailed" {
		if record != nil {
			t.Errorf("a ValidationFailed was recorded: %v", record)
		}
		return
	}
	if text(record, "operation") != r.mutation || text(record, "refusal", "__typename") != r.refusal || at(record, "object") != nil || at(record, "outcomeVersion") != nil ||
		text(record, "refusal", "message") != text(member, "message") || dotted(at(record, "refusal", "path")) != r.path {
		t.Errorf("the record of %s of %v is %v", r.mutation, r.input, record)
	}
}

func TestRefusalsCarryWhatAClientNeeds(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	from, to, yen := c.wallet(t, "5.00"), c.wallet(t, ""), c.walletIn(t, "JPY", "")
	paid := c.pay(t, from, "", "1.00")
	short := c.do(t, "createPayment", paying(from, to, "5.00"))
	if text(short, "source") != from || text(short, "available", "amount") != "4.00" || text(short, "required", "amount") != "5.00" {
		t.Errorf("InsufficientFunds is %v", short)
	}
	mismatch := c.do(t, "createPayment", paying(from, yen, "1.00"))
	if text(mismatch, "mismatched") != yen || text(mismatch, "expected") != "JPY" || text(mismatch, "actual") != "USD" {
		t.Errorf("CurrencyMismatch is %v", mismatch)
	}
	state := c.do(t, "confirmPayment", vars{"paymentId": paid})
	if text(state, "payment") != paid || text(state, "paymentStatus") != "SUCCEEDED" {
		t.Errorf("InvalidState is %v", state)
	}
	full := c.do(t, "setAccountStatus", status(from, "CLOSED", "why"))
	if text(full, "full") != from || text(full, "posted", "amount") != "4.00" {
		t.Errorf("AccountNotEmpty is %v", full)
	}
	hold := c.hold(t, from, "3.00")
	if short := c.do(t, "transferFunds", vars{"fromAccountId": from, "toAccountId": to, "amount": usd("2.00")}); text(short, "available", "amount") != "1.00" {
		t.Errorf("InsufficientFunds beside a hold is %v", short)
	}
	if full := c.do(t, "setAccountStatus", status(from, "CLOSED", "why")); text(full, "held", "amount") != "3.00" {
		t.Errorf("AccountNotEmpty of an account with a hold is %v", full)
	}
	c.make(t, "releaseHold", releasing(hold))
	if ended := c.do(t, "releaseHold", releasing(hold)); text(ended, "hold") != hold || text(ended, "holdStatus") != "VOIDED" {
		t.Errorf("HoldNotOpen is %v", ended)
	}
	several := c.do(t, "createPayment", vars{"amount": usd("-1"), "confirm": true, "reference": strings.Repeat("x", 201)})
	if paths := fmt.Sprint(at(several, "violations")); len(list(several, "violations")) != 3 || !strings.Contains(paths, "reference") {
		t.Errorf("ValidationFailed is %v", several)
	}
}

func TestAKeyInUse(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.merchant(t)
	customer := c.customer(t)
	tx, err := openDatabase(t, g.house.DSN).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "SELECT FROM head FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	input := vars{"customerId": customer, "currency": "USD", "idempotencyKey": key()}
	first := make(chan *reply, 1)
	go func() { first <- c.ask(t, document("openAccount"), vars{"input": input}) }()
	time.Sleep(200 * time.Millisecond)
	second := c.ask(t, document("openAccount"), vars{"input": input})
	if got := at(second.Data, "openAccount"); text(got, "__typename") != "IdempotencyInProgress" || at(got, "retryable") != true ||
		dotted(at(got, "path")) != "input.idempotencyKey" {
		t.Errorf("the second request was answered %s", second.text)
	}
	if r := <-first; r.code() != "OUTCOME_UNKNOWN" && r.code() != "UNAVAILABLE" || r.path() != "openAccount" ||
		!*r.Errors[0].Extensions.Retryable {
		t.Errorf("the first request was answered %s", r.text)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if account := c.make(t, "openAccount", input); account == "" {
		t.Error("the same key finds no account afterwards")
	}
}
