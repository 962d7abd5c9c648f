package store_test

import (
	"fmt"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

// The calls of every command kind: how the gateway is asked, and what the model makes of it.

func createCustomer(name string) call {
	c := call{operation: "createCustomer", input: map[string]string{"input.name": name}}
	if name == "" {
		c.input, c.invalid = map[string]string{}, []string{"input.name"}
	}
	c.run = func(g *gateway, key string) outcome {
		s, err := g.Merchants.CreateCustomer(g.ctx, g.p, merchant.CreateCustomerInput{IdempotencyKey: key, Name: name})
		return answered(s.Customer, s.Replayed, err, func(c *merchant.Customer) string { return fmt.Sprint(c.Version) })
	}
	c.decide = func(m *model) (decided, error) {
		return func(made outcome) string {
			m.customers[made.id] = true
			m.note(event.CustomerCreated, made.id, 1)
			return "1"
		}, nil
	}
	return c
}

func openAccount(customer, currency string) call {
	c := call{operation: "openAccount", input: map[string]string{"input.customerId": customer, "input.currency": currency}}
	if _, err := money.ParseCurrency(currency); err != nil {
		c.invalid = []string{"input.currency"}
	}
	c.run = func(g *gateway, key string) outcome {
		s, err := g.Ledger.OpenAccount(g.ctx, g.p, ledger.OpenAccountInput{
			IdempotencyKey: key, CustomerID: merchant.CustomerID(customer), Currency: currency,
		})
		return answered(s.Account, s.Replayed, err, accountState)
	}
	c.decide = func(m *model) (decided, error) {
		if !m.customers[customer] {
			return nil, notFound(customer, "input", "customerId")
		}
		return func(made outcome) string { return m.open(made.id, currency).state() }, nil
	}
	return c
}

func setStatus(account string, status ledger.Status, reason string) call {
	c := call{operation: "setAccountStatus", input: map[string]string{
		"input.accountId": account, "input.status": string(status), "input.reason": reason,
	}}
	c.run = func(g *gateway, key string) outcome {
		s, err := g.Ledger.SetAccountStatus(g.ctx, g.p, ledger.SetAccountStatusInput{
			IdempotencyKey: key, AccountID: ledger.AccountID(account), Status: status, Reason: reason,
		})
		return answered(s.Account, s.Replayed, err, accountState)
	}
	c.decide = func(m *model) (decided, error) {
		a, at := m.accounts[account], answer.Recorded{At: []string{"input", "accountId"}}
		switch {
		case a == nil:
			return nil, notFound(account, "input", "accountId")
		case a.status == ledger.Closed:
			return nil, ledger.AccountNotActive{Recorded: at, ResourceID: account, Status: a.status}
		case status == ledger.Closed && (a.posted() != 0 || a.debitsPending+a.creditsPending != 0):
			return nil, ledger.AccountNotEmpty{Recorded: at, ResourceID: account, HeldMinorUnits: a.debitsPending + a.creditsPending,
				Posted: money.Amount{MinorUnits: a.posted(), Currency: money.Currency(a.currency)}}
		}
		return func(made outcome) string {
			a.status, a.version = status, a.version+1
			m.note(event.AccountStatusChanged, made.id, a.version)
			return a.state()
		}, nil
	}
	return c
}

// amountOf adds an amount to a call, and what is wrong with it.
func (c *call) amountOf(in money.Input) money.Amount {
	amount, err := money.Parse(in)
	c.input["input.amount"] = fmt.Sprint(amount.MinorUnits, amount.Currency)
	if err != nil {
		c.input["input.amount"] = in.Amount + in.Currency
	}
	if err != nil || amount.MinorUnits <= 0 {
		c.invalid = append(c.invalid, "input.amount.amount")
	}
	return amount
}

func depositFunds(account string, in money.Input, reason string) call {
	c := call{operation: "depositFunds", input: map[string]string{"input.accountId": account, "input.reason": reason}}
	amount := c.amountOf(in)
	c.run = func(g *gateway, key string) outcome {
		s, err := g.Ledger.DepositFunds(g.ctx, g.p, ledger.DepositFundsInput{
			IdempotencyKey: key, AccountID: ledger.AccountID(account), Amount: in, Reason: reason,
		})
		return answered(s.Transaction, s.Replayed, err, transactionState)
	}
	c.decide = func(m *model) (decided, error) {
		to, err := m.destination(account, amount, "input", "accountId")
		return func(made outcome) string {
			m.move(made.transaction, ledger.Deposit, amount, m.inner(ledger.BankCash, amount.Currency), to)
			m.note(event.FundsDeposited, made.id, 1)
			return amount.String()
		}, err
	}
	return c
}

func transferFunds(from, to string, in money.Input) call {
	c := call{operation: "transferFunds", input: map[string]string{"input.fromAccountId": from, "input.toAccountId": to}}
	amount := c.amountOf(in)
	if from == to {
		c.invalid = append(c.invalid, "input.toAccountId")
	}
	c.run = func(g *gateway, key string) outcome {
		s, err := g.Ledger.TransferFunds(g.ctx, g.p, ledger.TransferFundsInput{
			IdempotencyKey: key, FromAccountID: ledger.AccountID(from), ToAccountID: ledger.AccountID(to), Amount: in,
		})
		return answered(s.Transaction, s.Replayed, err, transactionState)
	}
	c.decide = func(m *model) (decided, error) {
		payee, err := credited(m.party(to), to, amount, "input", "toAccountId")
		if err != nil {
			return nil, err
		}
		payer, err := debited(m.party(from), from, amount, "input", "fromAccountId")
		return func(made outcome) string {
			m.move(made.transaction, ledger.Transfer, amount, payer, payee)
			m.saw(payer.isAvailable(), "a transfer from the merchant")
			m.saw(payee.isAvailable(), "a transfer to the merchant")
			m.note(event.TransferPosted, made.id, 1)
			return amount.String()
		}, err
	}
	return c
}

func reverseTransfer(id string) call {
	c := call{operation: "reverseTransfer", input: map[string]string{"input.transactionId": id, "input.reason": "because"}}
	c.run = func(g *gateway, key string) outcome {
		s, err := g.Ledger.ReverseTransfer(g.ctx, g.p, ledger.ReverseTransferInput{
			IdempotencyKey: key, TransactionID: ledger.TransactionID(id), Reason: "because",
		})
		return answered(s.Transaction, s.Replayed, err, transactionState)
	}
	c.decide = func(m *model) (decided, error) {
		path := []string{"input", "transactionId"}
		t := m.transactions[id]
		if t == nil {
			return nil, notFound(id, path...)
		}
		if t.kind != ledger.Transfer || t.reversedBy != nil {
			return nil, ledger.NotReversible{Recorded: answer.Recorded{At: path}, ResourceID: id, Kind: t.kind, ReversedBy: t.reversedBy}
		}
		if _, err := credited(t.from, t.from.id, t.amount, path...); err != nil {
			return nil, err
		}
		_, err := debited(t.to, t.to.id, t.amount, path...)
		return func(made outcome) string {
			m.saw(t.from.isAvailable() || t.to.isAvailable(), "a reversed transfer of the merchant's")
			m.move(made.transaction, ledger.Reversal, t.amount, t.to, t.from)
			by := ledger.TransactionID(made.id)
			t.reversedBy = &by
			m.note(event.TransferReversed, made.id, 1)
			return t.amount.String()
		}, err
	}
	return c
}

func placeHold(account string, in money.Input) call {
	c := call{operation: "placeHold", input: map[string]string{"input.accountId": account}}
	amount := c.amountOf(in)
	c.run = func(g *gateway, key string) outcome {
		s, err := g.Ledger.PlaceHold(g.ctx, g.p, ledger.PlaceHoldInput{IdempotencyKey: key, AccountID: ledger.AccountID(account), Amount: in})
		return answered(s.Transaction, s.Replayed, err, transactionState)
	}
	c.decide = func(m *model) (decided, error) {
		a, err := m.source(account, amount, "input", "accountId")
		return func(made outcome) string {
			m.setAside(made.transaction, amount, a, m.inner(ledger.Suspense, amount.Currency), "")
			m.note(event.FundsHeld, made.id, 1)
			return amount.String()
		}, err
	}
	return c
}

func releaseHold(id string) call {
	c := call{operation: "releaseHold", input: map[string]string{"input.holdId": id, "input.reason": "because"}}
	c.run = func(g *gateway, key string) outcome {
		s, err := g.Ledger.ReleaseHold(g.ctx, g.p, ledger.ReleaseHoldInput{IdempotencyKey: key, HoldID: ledger.HoldID(id), Reason: "because"})
		return answered(s.Transaction, s.Replayed, err, transactionState)
	}
	c.decide = func(m *model) (decided, error) {
		h, at := m.holds[id], answer.Recorded{At: []string{"input", "holdId"}}
		switch {
		case h == nil:
			return nil, notFound(id, "input", "holdId")
		case h.payment != "":
			return nil, ledger.HoldOfPayment{Recorded: at, ResourceID: id, PaymentID: h.payment}
		case h.ended:
			return nil, ledger.HoldNotOpen{Recorded: at, ResourceID: id, Status: ledger.HoldVoided}
		}
		return func(made outcome) string {
			m.end(id, made.transaction, ledger.Released, h.amount, 0)
			m.note(event.HoldReleased, made.id, 1)
			return h.amount.String()
		}, nil
	}
	return c
}

func (a *modelAccount) state() string { return fmt.Sprint(a.status, a.version) }

func accountState(a *ledger.Account) string         { return fmt.Sprint(a.Status, a.Version) }
func transactionState(t *ledger.Transaction) string { return t.Amount.String() }

// transactionOf is the transaction that a command has made, as far as its object tells: what holds are named by.
func transactionOf(object any) string {
	switch o := object.(type) {
	case *ledger.Transaction:
		return o.NodeID()
	case *payment.Capture:
		return string(o.TransactionID)
	case *payment.Refund:
		return string(o.TransactionID)
	case *payment.Payment:
		if o.HoldID != nil {
			return string(o.HoldID.MadeBy())
		}
	}
	return ""
}

func answered[T interface {
	comparable
	NodeID() string
}](object T, replayed bool, err error, state func(T) string) outcome {
	o := outcome{replayed: replayed, err: err}
	var none T
	if object != none {
		o.id, o.state = object.NodeID(), state(object)
		o.transaction = transactionOf(object)
		if p, ok := any(object).(*payment.Payment); ok {
			o.expires = answer.Or(p.ExpiresAt)
		}
	}
	return o
}
