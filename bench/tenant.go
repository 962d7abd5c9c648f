package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/quota"
	"github.com/paygraph/paygraph/store"
)

const (
	accountsOfMany = 10  // accounts of each of the many merchants
	makers         = 200 // connections that make accounts and histories
	tokenMakers    = 16  // connections that ask for tokens
	adminMakers    = 8   // connections to the database that make merchants

	// tokenReserve is how long a token must still be good when a round begins, beyond the round's own length.
	tokenReserve = 2 * time.Minute
)

// tenant is a merchant as its backend sees it.
type tenant struct {
	id               merchant.ID
	clientID, secret string
	token            string
	expires          time.Time
	accounts         []string
	payment          *template // made anew with each token
}

// newTenants makes n merchants with a name, and for each a credential and a number of funded accounts, each of a customer of its own.
func (b *bench) newTenants(ctx context.Context, name string, n, accounts int) ([]*tenant, error) {
	admin, err := store.OpenAdmin(b.dsn)
	if err != nil {
		return nil, err
	}
	defer func() { _ = admin.Close() }()
	all := make([]*tenant, n)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(adminMakers)
	for i := range all {
		group.Go(func() (err error) {
			all[i], err = newTenant(groupCtx, admin, fmt.Sprintf("bench-%s-%d", name, i))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("making merchants: %w", err)
	}
	for _, t := range all {
		t.accounts = make([]string, accounts)
	}
	if err := b.refresh(ctx, all); err != nil {
		return nil, err
	}
	// Neighbours in time are accounts of different merchants, so that all merchants are busy at once.
	err = b.each(ctx, makers, n*accounts, func(c *conn, i int) error { return c.fund(all[i%n], i/n) })
	if err != nil {
		return nil, fmt.Errorf("making accounts: %w", err)
	}
	return all, b.refresh(ctx, all)
}

func newTenant(ctx context.Context, admin *store.Admin, name string) (*tenant, error) {
	m, err := admin.CreateMerchant(ctx, name)
	if err != nil {
		return nil, err
	}
	t := &tenant{id: m.ID, clientID: name}
	var hash []byte
	t.secret, hash = auth.NewSecret()
	return t, admin.CreateCredential(ctx, auth.Credential{
		ClientID: t.clientID, Merchant: m.ID, SecretHash: hash, Scopes: auth.AllScopes, Quota: quota.Plenty,
		CreatedAt: time.Now().UTC(), Name: "bench",
	})
}

// but is the merchant without its first accounts, with which something else is done.
func (t *tenant) but(first int) *tenant {
	other := *t
	other.accounts = t.accounts[first:]
	return &other
}

// refresh gets new tokens for those merchants whose tokens end soon, and makes the requests anew that carry them.
func (b *bench) refresh(ctx context.Context, tenants []*tenant) error {
	needed := time.Now().Add(b.lead() + b.length() + tokenReserve)
	var due []*tenant
	for _, t := range tenants {
		if t.expires.Before(needed) {
			due = append(due, t)
		}
	}
	err := b.each(ctx, tokenMakers, len(due), func(c *conn, i int) error { return due[i].authorize(c) })
	if err != nil {
		return fmt.Errorf("getting tokens: %w", err)
	}
	for _, t := range tenants {
		if t.accounts[0] != "" { // all have been opened
			if t.payment, err = paymentTemplate(b.gateway.address, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// authorize gets a token with the client's credential.
func (t *tenant) authorize(c *conn) error {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {t.clientID}, "client_secret": {t.secret}}
	status, body, err := c.roundTrip(post(c.address, "/oauth2/token", "", "application/x-www-form-urlencoded", []byte(form.Encode())))
	if err != nil {
		return err
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"` // seconds
	}
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK || answer.AccessToken == "" {
		return fmt.Errorf("the token endpoint answered %d: %s", status, excerpt(body))
	}
	t.token, t.expires = answer.AccessToken, time.Now().Add(time.Duration(answer.ExpiresIn)*time.Second)
	return nil
}

// What an account is given, and what a payment takes of it: no account runs dry.
const (
	currency   = "USD"
	funds      = "1000000.00"
	paidAmount = "1.00"
)

const (
	createCustomer = `mutation ($input: CreateCustomerInput!) { made: createCustomer(input: $input) {
  __typename ... on CreateCustomerSuccess { customer { id } } ... on UserError { code message } } }`
	openAccount = `mutation ($input: OpenAccountInput!) { made: openAccount(input: $input) {
  __typename ... on OpenAccountSuccess { account { id } } ... on UserError { code message } } }`
	depositFunds = `mutation ($input: DepositFundsInput!) { made: depositFunds(input: $input) {
  __typename ... on UserError { code message } } }`
)

// fund makes a customer with a wallet, and brings money into it.
func (c *conn) fund(t *tenant, slot int) error {
	name := fmt.Sprintf("customer-%08d", slot)
	customer, err := c.make(t, createCustomer, map[string]any{"idempotencyKey": name + "-create", "name": name})
	if err != nil {
		return err
	}
	account, err := c.make(t, openAccount,
		map[string]any{"idempotencyKey": name + "-open", "customerId": customer, "currency": currency, "name": "wallet of " + name})
	if err != nil {
		return err
	}
	t.accounts[slot] = account
	_, err = c.make(t, depositFunds, map[string]any{"idempotencyKey": name + "-deposit", "accountId": account,
		"amount": map[string]string{"amount": funds, "currency": currency}, "reason": "bench"})
	return err
}

// make runs a mutation that must succeed, and returns the identifier of what it made, where the mutation asks for it.
func (c *conn) make(t *tenant, mutation string, input map[string]any) (id string, err error) {
	type object struct{ ID string }
	var data struct {
		Made struct {
			Typename string `json:"__typename"`
			Customer object
			Account  object
			Code     string
			Message  string
		}
	}
	if err := c.call(t.token, mutation, map[string]any{"input": input}, &data); err != nil {
		return "", err
	}
	if made := data.Made; !strings.HasSuffix(made.Typename, "Success") {
		return "", fmt.Errorf("%s: %s %s", made.Typename, made.Code, made.Message)
	}
	return data.Made.Customer.ID + data.Made.Account.ID, nil
}

// each does n jobs over a number of connections, and stops at the first error.
func (b *bench) each(ctx context.Context, connections, n int, job func(c *conn, i int) error) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(connections, n) {
		group.Go(func() error {
			c, err := dial(b.gateway.address)
			if err != nil {
				return err
			}
			defer c.close()
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err := job(c, int(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}
