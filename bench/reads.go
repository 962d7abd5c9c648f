package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
)

const (
	latest       = 20 // transactions that the account is read with
	pageAccounts = 50 // accounts of a page
	pageLatest   = 5  // transactions that each of its accounts is read with
	legs         = 2  // entries of each of these transactions
)

const transactionFields = `fragment T on Transaction {
  id kind status amount { amount currency } createdAt
  entries { id runningBalance { amount currency } }
}`

var readAccount = fmt.Sprintf(`query Statement($id: ID!) {
  account(id: $id) { id name currency status transactions(first: %d) { nodes { ...T } } }
}
%s`, latest, transactionFields)

var readPage = fmt.Sprintf(`query Accounts($after: Cursor) {
  accounts(first: %d, after: $after, filter: { kind: [CUSTOMER_WALLET] }) {
    nodes { id name currency status transactions(first: %d) { nodes { ...T } } }
    pageInfo { endCursor hasNextPage }
  }
}
%s`, pageAccounts, pageLatest, transactionFields)

// reads is traffic of queries, each of which must bring a number of entries.
type reads struct {
	requests [][]byte
	entries  int
}

func (q reads) next(r *rand.Rand, buffer []byte) []byte {
	return append(buffer[:0], q.requests[r.IntN(len(q.requests))]...)
}

var (
	anEntry   = []byte(`"runningBalance":{`)
	topErrors = []byte(`"errors":`)
)

func (q reads) judge(status int, body []byte) verdict {
	n := bytes.Count(body, anEntry)
	if status == http.StatusOK && n == q.entries && !bytes.Contains(body, topErrors) {
		return verdict{good: true}
	}
	if v := dissect(status, body, nil); v.reason != "" {
		return v
	}
	return verdict{reason: fmt.Sprintf("HTTP %d, %d entries instead of %d", status, n, q.entries)}
}

// account20 reads any account with its latest transactions.
func (b *bench) account20(t *tenant) (traffic, error) {
	q := reads{entries: latest * legs}
	for _, id := range t.accounts {
		request, err := graphQL(b.gateway.address, t.token, readAccount, map[string]string{"id": id})
		if err != nil {
			return nil, err
		}
		q.requests = append(q.requests, request)
	}
	return q, nil
}

// accounts50x5 reads any full page of accounts with some transactions each.
func (b *bench) accounts50x5(t *tenant) (traffic, error) {
	q := reads{entries: min(pageAccounts, len(t.accounts)) * pageLatest * legs}
	c, err := dial(b.gateway.address)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var after *string
	for range max(1, len(t.accounts)/pageAccounts) {
		variables := map[string]*string{"after": after}
		request, err := graphQL(b.gateway.address, t.token, readPage, variables)
		if err != nil {
			return nil, err
		}
		q.requests = append(q.requests, request)
		var data struct {
			Accounts struct{ PageInfo struct{ EndCursor *string } }
		}
		if err := c.call(t.token, readPage, variables, &data); err != nil {
			return nil, err
		}
		after = data.Accounts.PageInfo.EndCursor
	}
	return q, nil
}
