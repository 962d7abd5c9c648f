package store_test

import (
	"fmt"
	"strings"

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
		return func(id string) string {
			m.customers[id] = true
			m.note(event.CustomerCreated, id, 1)
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
		return func(id string) string { return m.open(id, currency).state() }, nil
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
		return func(id string) string {
			a.status, a.version = status, a.version+1
			m.note(event.AccountStatusChanged, id, a.version)
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
		return func(id string) string {
			move(amount, m.inner(ledger.BankCash, amount.Currency), to)
			m.note(event.FundsDeposited, id, 1)
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
		credited, err := m.destination(to, amount, "input", "toAccountId")
		if err != nil {
			return nil, err
		}
		debited, err := m.source(from, amount, "input", "fromAccountId")
		return func(id string) string {
			move(amount, debited, credited)
			m.note(event.TransferPosted, id, 1)
			return amount.String()
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
		return func(id string) string {
			h := &modelHold{account: a, counter: m.inner(ledger.Suspense, amount.Currency), amount: amount}
			made := "hol" + strings.TrimPrefix(id, "txn")
			m.holds[made] = h
			setAside(amount.MinorUnits, h.account, h.counter, made)
			m.note(event.FundsHeld, id, 1)
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
		h := m.holds[id]
		switch {
		case h == nil:
			return nil, notFound(id, "input", "holdId")
		case h.released:
			return nil, ledger.HoldNotOpen{Recorded: answer.Recorded{At: []string{"input", "holdId"}}, ResourceID: id, Status: ledger.HoldVoided}
		}
		return func(transaction string) string {
			h.released = true
			setAside(-h.amount.MinorUnits, h.account, h.counter, id)
			m.note(event.HoldReleased, transaction, 1)
			return h.amount.String()
		}, nil
	}
	return c
}

// createPayment has no source or no destination where they are empty.
func createPayment(source, destination string, in money.Input, confirm bool) call {
	c := call{operation: "createPayment", input: map[string]string{}}
	amount := c.amountOf(in)
	input := payment.CreateInput{Amount: in, Confirm: confirm}
	if confirm {
		c.input["input.confirm"] = "true"
	}
	if source != "" {
		c.input["input.source.accountId"] = source
		input.Source = &payment.Source{AccountID: (*ledger.AccountID)(&source)}
	} else if confirm {
		c.invalid = append(c.invalid, "input.source")
	}
	if destination != "" {
		c.input["input.destinationAccountId"] = destination
		input.DestinationAccountID = (*ledger.AccountID)(&destination)
		if source == destination {
			c.invalid = append(c.invalid, "input.destinationAccountId")
		}
	}
	c.run = func(g *gateway, key string) outcome {
		input := input
		input.IdempotencyKey = key
		s, err := g.Payments.Create(g.ctx, g.p, input)
		return answered(s.Payment, s.Replayed, err, paymentState)
	}
	c.decide = func(m *model) (decided, error) {
		p := &modelPayment{status: payment.RequiresConfirmation, amount: amount, source: source, destination: destination}
		if confirm {
			take, err := m.pay(p, []string{"input", "source", "accountId"}, []string{"input", "destinationAccountId"})
			return func(id string) string { take(); return m.add(id, p, event.PaymentSucceeded) }, err
		}
		if destination != "" {
			if _, err := m.destination(destination, amount, "input", "destinationAccountId"); err != nil {
				return nil, err
			}
		}
		if source == "" {
			p.status = payment.RequiresPaymentMethod
		} else if _, err := m.destination(source, amount, "input", "source", "accountId"); err != nil {
			return nil, err
		}
		return func(id string) string { p.version = 1; return m.add(id, p, event.PaymentCreated) }, nil
	}
	return c
}

func (m *model) add(id string, p *modelPayment, what event.Type) string {
	m.payments[id] = p
	m.note(what, id, p.version)
	return p.state()
}

// confirmPayment has no source where it is empty.
func confirmPayment(id, source string) call {
	c := call{operation: "confirmPayment", input: map[string]string{"input.paymentId": id}}
	input := payment.ConfirmInput{PaymentID: payment.ID(id)}
	if source != "" {
		c.input["input.source.accountId"] = source
		input.Source = &payment.Source{AccountID: (*ledger.AccountID)(&source)}
	}
	c.run = func(g *gateway, key string) outcome {
		input := input
		input.IdempotencyKey = key
		s, err := g.Payments.Confirm(g.ctx, g.p, input)
		return answered(s.Payment, s.Replayed, err, paymentState)
	}
	c.decide = func(m *model) (decided, error) {
		p := m.payments[id]
		if p == nil {
			return nil, notFound(id, "input", "paymentId")
		}
		refused := func(reason string, path ...string) error {
			return payment.InvalidState{
				Recorded: answer.Recorded{At: path}, ResourceID: id, Status: p.status, Action: payment.ToConfirm, Reason: reason,
				AvailableActions: p.now().AvailableActions(),
			}
		}
		paid := *p
		if source != "" {
			paid.source = source
		}
		switch {
		case p.status == payment.Succeeded:
			return nil, refused("A payment that is SUCCEEDED cannot be confirmed.", "input", "paymentId")
		case paid.source == "":
			return nil, refused("It has no source yet: name one.", "input", "source")
		case paid.source == paid.destination:
			return nil, refused("The source is the destination.", "input", "source")
		}
		sourcePath := []string{"input", "paymentId"} // named when the payment was created
		if source != "" {
			sourcePath = []string{"input", "source", "accountId"}
		}
		take, err := m.pay(&paid, sourcePath, []string{"input", "paymentId"})
		return func(id string) string { take(); return m.add(id, &paid, event.PaymentSucceeded) }, err
	}
	return c
}

func (a *modelAccount) state() string { return fmt.Sprint(a.status, a.version) }

// now is the payment as the gateway has it.
func (p *modelPayment) now() *payment.Payment {
	now := &payment.Payment{Status: p.status, Amount: p.amount}
	if p.status == payment.Succeeded {
		now.CapturedMinorUnits = p.amount.MinorUnits
	}
	return now
}

func (p *modelPayment) state() string { return fmt.Sprint(p.status, p.version, p.amount) }

func accountState(a *ledger.Account) string         { return fmt.Sprint(a.Status, a.Version) }
func paymentState(p *payment.Payment) string        { return fmt.Sprint(p.Status, p.Version, p.Amount) }
func transactionState(t *ledger.Transaction) string { return t.Amount.String() }

func answered[T interface {
	comparable
	NodeID() string
}](object T, replayed bool, err error, state func(T) string) outcome {
	o := outcome{replayed: replayed, err: err}
	var none T
	if object != none {
		o.id, o.state = object.NodeID(), state(object)
	}
	return o
}
