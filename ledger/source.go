package ledger

import (
	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/money"
)

// Source finds the account that a request wants to take money from, and names for a use. Refusals: NotFound, CurrencyMismatch,
// AccountNotActive, BalanceOutOfRange, InsufficientFunds; path is where the request names it.
func Source(b Books, use Use, id AccountID, amount money.Amount, path ...string) (*Account, error) {
	account, err := Destination(b, use, id, amount, path...)
	if err != nil {
		return nil, err
	}
	if account.Status != Active {
		return nil, AccountNotActive{answer.Recorded{At: path}, string(id), account.Status}
	}
	return account, account.covers(amount, path...)
}

// InnerSource is the merchant's own account of a kind, which is open, for a request that takes money from it. Refusals: InsufficientFunds.
func InnerSource(b Books, kind Kind, amount money.Amount, path ...string) (*Account, error) {
	account := b.Inner(kind, amount.Currency)
	return account, account.covers(amount, path...)
}

// covers refuses to take more than is available.
func (a *Account) covers(amount money.Amount, path ...string) error {
	if a.Available() >= amount.MinorUnits {
		return nil
	}
	return InsufficientFunds{
		Recorded: answer.Recorded{At: path}, ResourceID: string(a.ID), Available: a.Balance().Available, Required: amount,
	}
}

// Destination finds the account that a request wants to bring money to, and names for a use: a frozen one too. Refusals: NotFound,
// CurrencyMismatch, AccountNotActive, BalanceOutOfRange.
func Destination(b Books, use Use, id AccountID, amount money.Amount, path ...string) (*Account, error) {
	account := b.Account(id)
	if account == nil || !account.Kind.nameable(use) {
		return nil, answer.NotFound{Recorded: answer.Recorded{At: path}, ResourceID: string(id)}
	}
	if account.Currency != amount.Currency {
		return nil, CurrencyMismatch{answer.Recorded{At: path}, string(id), account.Currency, amount.Currency}
	}
	if account.Status == Closed {
		return nil, AccountNotActive{answer.Recorded{At: path}, string(id), account.Status}
	}
	if !account.fits(amount.MinorUnits) {
		return nil, BalanceOutOfRange{answer.Recorded{At: path}, string(id)}
	}
	return account, nil
}

// Own is the merchant's own account of a kind, for a leg of the draft: the one that another leg has, or that is open, or else one that [Post]
// opens.
func (d *Draft) Own(b Books, kind Kind) *Account {
	for _, leg := range d.Legs {
		if leg.Account.Kind == kind && leg.Account.CustomerID == nil {
			return leg.Account
		}
	}
	if account := b.Inner(kind, d.Amount.Currency); account != nil {
		return account
	}
	return &Account{Kind: kind, Currency: d.Amount.Currency}
}
