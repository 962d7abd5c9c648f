// Package demo fills a gateway that somebody tries out: a merchant, its credential, and customers with wallets and a history, made
// by the services' own commands. A gateway with a database of somebody's own never calls it.
package demo

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/quota"
)

// The credential that everybody knows. It is good on the loopback only, in a gateway that runs its own database.
const (
	ClientID     = "demo"
	ClientSecret = "demo"
)

// MerchantName is what the demo's merchant is called, and how it is found again.
const MerchantName = "Paygraph Demo Shop"

// Admin makes merchants and credentials.
type Admin interface {
	Merchants(ctx context.Context) ([]*merchant.Merchant, error)
	CreateMerchant(ctx context.Context, name string) (*merchant.Merchant, error)
	CreateCredential(ctx context.Context, c auth.Credential) error
}

// Merchant finds the demo's merchant, or makes it. A start that was killed between any two steps is continued by the next.
func Merchant(ctx context.Context, a Admin) (*merchant.Merchant, error) {
	all, err := a.Merchants(ctx)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(m *merchant.Merchant) bool { return m.Name == MerchantName }); i >= 0 {
		return all[i], nil
	}
	return a.CreateMerchant(ctx, MerchantName)
}

// Credential makes the demo's credential with all scopes, where it is missing. It says whether that is in force: somebody may have
// revoked it, and then it stays so. One that an older version has made lacks the scopes that are new: --fresh makes another.
func Credential(ctx context.Context, a Admin, known auth.CredentialStore, m *merchant.Merchant) (bool, error) {
	c, err := known.Credential(ctx, ClientID)
	if !errors.Is(err, auth.ErrUnknownCredential) {
		return c.RevokedAt == nil, err
	}
	return true, a.CreateCredential(ctx, auth.Credential{
		ClientID: ClientID, SecretHash: auth.HashSecret(ClientSecret), Merchant: m.ID, Name: "Everybody, on this machine",
		Scopes: auth.AllScopes, Quota: quota.Plenty, CreatedAt: time.Now().UTC(),
	})
}

// Services are the gateway's commands, and its memory of them.
type Services struct {
	Merchants *merchant.Service
	Ledger    *ledger.Service
	Payments  *payment.Service
	Records   Records
}

// Records knows what became of an idempotency key; nil of one that was never used.
type Records interface {
	Record(ctx context.Context, m merchant.ID, key string) (*command.Record, error)
}
