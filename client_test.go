package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// client is a merchant's backend.
type client struct {
	url   string
	token string
	http  *http.Client
	tls   *tls.Config // for sockets; nil: in plain HTTP
}

// demoClient has a token for the demo's credential.
func demoClient(t *testing.T, p *program) *client {
	t.Helper()
	return clientOf(t, p, "demo", "demo")
}

func clientOf(t *testing.T, p *program, id, secret string) *client {
	t.Helper()
	token, status := tokenFor(t, p, id, secret)
	if status != http.StatusOK {
		t.Fatalf("no token for %s: %d", id, status)
	}
	c := clientAt(p.url, token)
	if p.tls != nil {
		c.http, c.tls = p.client(), p.tls
	}
	return c
}

func clientAt(url, token string) *client {
	return &client{url: url, token: token, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 500}}}
}

// tokenFor asks for a token.
func tokenFor(t *testing.T, p *program, id, secret string) (token string, status int) {
	t.Helper()
	return tokenBy(t, p, url.Values{"client_id": {id}, "client_secret": {secret}})
}

// tokenBy asks for a token with the parameters that show who asks.
func tokenBy(t *testing.T, p *program, form url.Values) (token string, status int) {
	t.Helper()
	form.Set("grant_type", "client_credentials")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := p.client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.Token, response.StatusCode
}

type graphQLError struct {
	Message    string
	Extensions struct{ Code string }
}

// ask runs an operation. The error is the connection's, or what came instead of GraphQL.
func (c *client) ask(query string, variables map[string]any, data any) ([]graphQLError, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(http.MethodPost, c.url+"/graphql", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotAnswered, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("half an answer: %w", err)
	}
	answer := struct {
		Data   any
		Errors []graphQLError
	}{Data: data}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("HTTP %d: %s", response.StatusCode, text)
	}
	return answer.Errors, nil
}

// must runs an operation that succeeds.
func (c *client) must(t *testing.T, query string, variables map[string]any, data any) {
	t.Helper()
	if errs, err := c.ask(query, variables, data); err != nil || len(errs) > 0 {
		t.Fatalf("%s: %v, %v", query, errs, err)
	}
}

type account struct {
	ID, Kind, Currency, Status string
	Balance                    struct{ Posted struct{ MinorUnits string } }
}

// accounts are all accounts, the oldest first.
func (c *client) accounts(t *testing.T) []account {
	t.Helper()
	var data struct{ Accounts struct{ Nodes []account } }
	c.must(t, `{ accounts(first: 100, orderBy: { direction: ASC }) { nodes { id kind currency status balance { posted { minorUnits } } } } }`,
		nil, &data)
	return data.Accounts.Nodes
}

// books are the balance of each account, and how many payments and events there are: what a start must not change.
func (c *client) books(t *testing.T) string {
	t.Helper()
	var data struct {
		Payments struct{ Nodes []struct{ ID, Status string } }
	}
	c.must(t, `{ payments(first: 100) { nodes { id status } } }`, nil, &data)
	text, err := json.Marshal([]any{c.accounts(t), data.Payments.Nodes})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// twoWallets are two wallets of customers in USD that can pay.
func (c *client) twoWallets(t *testing.T) (from, to string) {
	t.Helper()
	var found []string
	for _, a := range c.accounts(t) {
		if a.Kind == "CUSTOMER_WALLET" && a.Currency == "USD" && a.Status == "ACTIVE" && len(a.Balance.Posted.MinorUnits) > 5 {
			found = append(found, a.ID)
		}
	}
	if len(found) < 2 {
		t.Fatal("there are no two wallets with 1,000.00 USD")
	}
	return found[0], found[1]
}

// pay pays 0.01 USD. The answer is the payment's status, or the code of a refusal or an error.
func (c *client) pay(key, from, to string) (string, error) {
	var data struct {
		CreatePayment *struct {
			Code    string
			Payment struct{ Status string }
		}
	}
	errs, err := c.ask(`mutation Pay($input: CreatePaymentInput!) { createPayment(input: $input) {
		... on CreatePaymentSuccess { payment { status } } ... on UserError { code } } }`,
		map[string]any{"input": map[string]any{
			"idempotencyKey": key, "amount": map[string]any{"amount": "0.01", "currency": "USD"},
			"source": map[string]any{"accountId": from}, "destinationAccountId": to, "confirm": true,
		}}, &data)
	switch {
	case err != nil:
		return "", err
	case len(errs) > 0:
		return errs[0].Extensions.Code, nil
	case data.CreatePayment.Code != "":
		return data.CreatePayment.Code, nil
	}
	return data.CreatePayment.Payment.Status, nil
}

// wasDecided says whether the gateway knows a key.
func (c *client) wasDecided(t *testing.T, keys []string) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for len(keys) > 0 {
		n := min(len(keys), 40)
		query := "{"
		for i, key := range keys[:n] {
			query += fmt.Sprintf(" k%d: idempotentRequest(key: %q) { operation }", i, key)
		}
		data := map[string]*struct{ Operation string }{}
		c.must(t, query+" }", nil, &data)
		for i, key := range keys[:n] {
			known[key] = data[fmt.Sprintf("k%d", i)] != nil
		}
		keys = keys[n:]
	}
	return known
}
