package demo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

const (
	// atOnce is how many commands are under way: as many share one commit.
	atOnce = 128
	// lastKey belongs to the command that is sent when all others have succeeded.
	lastKey = "demo-seed/the-last-one"
)

// Seed makes customers, wallets and history for the merchant. Every command has a fixed key, so that a seed that was interrupted is
// continued, and a second one does nothing. progress is told when there is something to do.
func Seed(ctx context.Context, services Services, m merchant.ID, progress func(string)) error {
	s := &seed{
		Services: services, principal: auth.Principal{Kind: auth.Operator, Merchant: m, Subject: "demo", Scopes: auth.AllScopes},
		wallets: wallets(),
	}
	done, err := s.Records.Record(ctx, m, lastKey)
	if err != nil || done != nil {
		return err
	}
	progress("making the demo's customers, wallets and payments")
	steps := []func(context.Context, *errgroup.Group){s.customers, s.accounts, s.deposits, s.movements, s.aftermath, s.fates, s.last}
	for _, step := range steps {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(atOnce)
		step(ctx, group)
		if err := group.Wait(); err != nil {
			return fmt.Errorf("the demo's data: %w", err)
		}
	}
	return nil
}

// seed is a seed under way.
type seed struct {
	Services
	principal  auth.Principal
	wallets    []wallet
	customer   []merchant.CustomerID // of people
	account    []ledger.AccountID    // of wallets
	waiting    []payment.ID          // of payments that the merchant has not confirmed
	authorized []payment.ID          // likewise those that are captured later
}

// key is the idempotency key of the n-th command of a kind.
func key(kind string, n int) string { return fmt.Sprintf("demo-seed/%s/%03d", kind, n) }

func (s *seed) customers(ctx context.Context, group *errgroup.Group) {
	s.customer = make([]merchant.CustomerID, len(people))
	for i, name := range people {
		group.Go(func() error {
			reference := "customer-" + strconv.Itoa(1001+i)
			mail := strings.ToLower(strings.NewReplacer(" ", ".", "ä", "ae").Replace(name)) + "@example.com"
			success, err := s.Merchants.CreateCustomer(ctx, s.principal, merchant.CreateCustomerInput{
				IdempotencyKey: key("customer", i), Name: name, Reference: &reference, Metadata: answer.Metadata{"email": mail},
			})
			if err == nil {
				s.customer[i] = success.Customer.ID
			}
			return err
		})
	}
}

func (s *seed) accounts(ctx context.Context, group *errgroup.Group) {
	s.account = make([]ledger.AccountID, len(s.wallets))
	for i, w := range s.wallets {
		group.Go(func() error {
			success, err := s.Ledger.OpenAccount(ctx, s.principal, ledger.OpenAccountInput{
				IdempotencyKey: key("account", i), CustomerID: s.customer[w.owner], Currency: w.currency, Name: &w.name,
			})
			if err == nil {
				s.account[i] = success.Account.ID
			}
			return err
		})
	}
}

func (s *seed) deposits(ctx context.Context, group *errgroup.Group) {
	for i, w := range s.wallets {
		group.Go(func() error {
			_, err := s.Ledger.DepositFunds(ctx, s.principal, ledger.DepositFundsInput{
				IdempotencyKey: key("deposit", i), AccountID: s.account[i], Amount: money.Input{Amount: w.deposit, Currency: w.currency},
				Reason: reasons[i%len(reasons)],
			})
			return err
		})
	}
}

// movements sends payments and transfers in turn, so that they follow each other in lists as they do in life.
func (s *seed) movements(ctx context.Context, group *errgroup.Group) {
	s.waiting, s.authorized = make([]payment.ID, payments), make([]payment.ID, payments)
	for n := range payments {
		group.Go(func() error { return s.payment(ctx, n) })
		if n < transfers {
			group.Go(func() error { return s.transfer(ctx, n) })
		}
	}
}

// transfer moves money between the everyday wallets of two people.
func (s *seed) transfer(ctx context.Context, n int) error {
	from := n * 5 % len(people)
	to := (from + 1 + n%7) % len(people)
	_, err := s.Ledger.TransferFunds(ctx, s.principal, ledger.TransferFundsInput{
		IdempotencyKey: key("transfer", n), FromAccountID: s.account[from], ToAccountID: s.account[to], Amount: sum(n, "USD"),
		Reference: &occasion[n%len(occasion)],
	})
	return err
}

// payment pays the merchant or, now and then, another customer. Every tenth is left without a source, every sixth waits for its
// confirmation, and some are captured later.
func (s *seed) payment(ctx context.Context, n int) error {
	from := n * 7 % (len(s.wallets) - 1) // all but the frozen one
	reference := "order-" + strconv.Itoa(20_001+n)
	in := payment.CreateInput{
		IdempotencyKey: key("payment", n), Amount: sum(n, s.wallets[from].currency), Source: &payment.Source{AccountID: &s.account[from]},
		Confirm: true, Reference: &reference, Metadata: answer.Metadata{"channel": channels[n%len(channels)]},
	}
	switch {
	case n%10 == 3:
		in.Source, in.Confirm = nil, false
	case n%6 == 4:
		in.Confirm = false
	case n%8 == 6 || n%12 == 1:
		in.CaptureMethod = payment.Manual
	case n%7 == 5 && from < len(people):
		in.DestinationAccountID = &s.account[(from+1)%len(people)]
	}
	success, err := s.Payments.Create(ctx, s.principal, in)
	if err == nil && !in.Confirm && in.Source != nil {
		s.waiting[n] = success.Payment.ID
	}
	if err == nil && in.CaptureMethod == payment.Manual {
		s.authorized[n] = success.Payment.ID
	}
	return err
}

// aftermath confirms some of the payments that wait, and cancels others, captures some of those that are to be captured later, freezes a wallet, and has one request refused.
func (s *seed) aftermath(ctx context.Context, group *errgroup.Group) {
	for n, id := range s.waiting {
		if id == "" || n%4 == 0 {
			continue
		}
		if n%8 == 2 {
			group.Go(func() error {
				_, err := s.Payments.Cancel(ctx, s.principal, payment.CancelInput{IdempotencyKey: key("cancel", n), PaymentID: id})
				return err
			})
			continue
		}
		group.Go(func() error {
			_, err := s.Payments.Confirm(ctx, s.principal, payment.ConfirmInput{IdempotencyKey: key("confirm", n), PaymentID: id})
			return err
		})
	}
	for n, id := range s.authorized {
		if id != "" && n%3 != 0 {
			group.Go(func() error { return s.capture(ctx, n, id) })
		}
	}
	group.Go(func() error {
		_, err := s.Ledger.SetAccountStatus(ctx, s.principal, ledger.SetAccountStatusInput{
			IdempotencyKey: key("freeze", 0), AccountID: s.account[len(s.account)-1], Status: ledger.Frozen,
			Reason: "The customer reports a stolen phone",
		})
		return err
	})
	group.Go(func() error {
		_, err := s.Payments.Create(ctx, s.principal, payment.CreateInput{
			IdempotencyKey: key("refused", 0), Amount: money.Input{Amount: "1000000.00", Currency: "USD"},
			Source: &payment.Source{AccountID: &s.account[0]}, Confirm: true,
		})
		if _, refused := errors.AsType[ledger.InsufficientFunds](err); refused {
			return nil
		}
		return errors.Join(errors.New("a payment of a million was not refused"), err)
	})
}

// capture takes all of what was set aside, or a part, and gives a little of it back.
func (s *seed) capture(ctx context.Context, n int, id payment.ID) error {
	in := payment.CaptureInput{IdempotencyKey: key("capture", n), PaymentID: id, Final: true}
	p, err := s.Payments.Reader.Payment(ctx, s.principal, id)
	if err != nil || p == nil {
		return err
	}
	part := money.Amount{MinorUnits: p.Amount.MinorUnits / 3, Currency: p.Amount.Currency}
	amount := money.Input{Amount: part.Decimal(), Currency: string(part.Currency)}
	if n%3 == 1 {
		in.Amount, in.Final = &amount, false
	}
	captured, err := s.Payments.Capture(ctx, s.principal, in)
	if err != nil {
		return err
	}
	if n == makesUp {
		if err := s.makeUp(ctx, *p.SourceAccountID, captured.Capture.TransactionID, amount); err != nil {
			return err
		}
	}
	reason := "One piece was missing"
	_, err = s.Payments.Refund(ctx, s.principal, payment.RefundInput{
		IdempotencyKey: key("refund", n), PaymentID: id, Amount: &amount, Reason: &reason,
	})
	return err
}

// makeUp gives a customer an amount of what the merchant has, which is the account that a capture went to.
func (s *seed) makeUp(ctx context.Context, to ledger.AccountID, capture ledger.TransactionID, amount money.Input) error {
	t, err := s.Ledger.Reader.Transaction(ctx, s.principal, capture)
	if err != nil {
		return err
	}
	reference := "For the trouble"
	_, err = s.Ledger.TransferFunds(ctx, s.principal, ledger.TransferFundsInput{
		IdempotencyKey: key("make-up", 0), FromAccountID: t.Entries[1].AccountID, ToAccountID: to, Amount: amount, Reference: &reference,
	})
	return err
}

// last is one more payment, whose key says that everything is done.
func (s *seed) last(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error {
		reference := "order-" + strconv.Itoa(20_001+payments)
		_, err := s.Payments.Create(ctx, s.principal, payment.CreateInput{
			IdempotencyKey: lastKey, Amount: sum(payments, "USD"), Source: &payment.Source{AccountID: &s.account[0]}, Confirm: true,
			Reference: &reference,
		})
		return err
	})
}
