package ledger

import (
	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/money"
)

// Source finds the wallet that a request wants to take money from. Refusals: NotFound, CurrencyMismatch, AccountNotActive,
// BalanceOutOfRange, InsufficientFunds; path is where the request names it.
func Source(b Books, id AccountID, amount money.Amount, path ...string) (*Account, error) {
	account, err := Destination(b, id, amount, path...)
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

// Destination finds the wallet that a request wants to bring money to: a frozen one too. Refusals: NotFound, CurrencyMismatch,
// AccountNotActive, BalanceOutOfRange.
func Destination(b Books, id AccountID, amount money.Amount, path ...string) (*Account, error) {
	account := b.Account(id)
	if account == nil || !account.Kind.Nameable() {
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

// OpenInner is the merchant's own account of a kind, for an amount that is brought to it or taken: it is opened where it is not yet there.
// Refusal: BalanceOutOfRange, and then nothing was opened.
func OpenInner(b Books, kind Kind, amount money.Amount, path ...string) (*Account, error) {
	account := b.Inner(kind, amount.Currency)
	switch {
	case account == nil:
		return open(b, &Account{Kind: kind, Currency: amount.Currency}), nil
	case !account.fits(amount.MinorUnits):
		return nil, BalanceOutOfRange{answer.Recorded{At: path}, string(account.ID)}
	}
	return account, nil
}

// FeeAccounts are the accounts that a fee is moved between: the merchant's, which may fall below zero by it, and FEES. They are opened where
// they are not yet there. Refusal: BalanceOutOfRange, and then nothing was opened: where FEES is, the merchant's is too.
func FeeAccounts(b Books, fee money.Amount, path ...string) (merchant, fees *Account, err error) {
	if merchant, err = OpenInner(b, MerchantAvailable, fee, path...); err != nil {
		return nil, nil, err
	}
	fees, err = OpenInner(b, Fees, fee, path...)
	return merchant, fees, err
}
