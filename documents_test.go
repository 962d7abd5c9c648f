package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/storetest"
)

func manifest(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifest.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestTrustedDocuments are uploaded, run by their names at two nodes, and retired; a credential runs no others, nor do its customers.
func TestTrustedDocuments(t *testing.T) {
	t.Parallel()
	database := []string{"DATABASE_URL=" + storetest.Empty(t), "PUBLIC_URL=http://127.0.0.1:1"}
	output(t, database, "migrate")
	made := makeMerchant(t, database)
	nodes := []*program{nodeAt(t, database), nodeAt(t, database)}
	shop := clientOf(t, nodes[0], made.ClientID, made.ClientSecret)
	session := sessionOf(t, shop)
	of := "--merchant=" + made.MerchantID

	bad := run(t, database, "documents", "upload", of, manifest(t, `{"format":"apollo-persisted-query-manifest","version":1,"operations":[
		{"id":"good","name":"Good","body":"query Good { viewer { kind } }"},
		{"id":"old","name":"Old","body":"query Old {\n  viewer { nickname }\n}"}, {"id":"half","name":"Half","body":"{ viewer"}]}`))
	if bad.wait() == 0 {
		t.Error("documents that do not fit the schema are taken")
	}
	wantContains(t, bad.log.String(), "Old (old), line 2, column 12", "nickname", "Half (half), line 1")
	wantNotContains(t, bad.log.String(), "Good")
	if list := output(t, database, "documents", "list", of); list != "" {
		t.Errorf("some are trusted: %s", list)
	}

	const text = "query Who { viewer { kind } }"
	wantContains(t, output(t, database, "documents", "upload", of, manifest(t, `{"who":"`+text+`","ours":"{ viewer { scopes } }"}`)), "2 documents are trusted, 2 of them")
	wantContains(t, output(t, database, "documents", "upload", of, manifest(t, `{"who":"`+text+`"}`)), "1 documents are trusted, 0 of them")
	wantContains(t, refusal(t, database, "documents", "upload", of, manifest(t, `{"who":"{ viewer { scopes } }","new":"`+text+`"}`)), "another document: who")
	wantContains(t, output(t, database, "credential", "documents", made.ClientID, "only"), "only")
	wantContains(t, refusal(t, database, "credential", "documents", "nobody", "only"), "there is no credential nobody")
	wantContains(t, refusal(t, database, "documents", "upload", "--merchant=mer_00000000000000000000000000", manifest(t, `{"who":"`+text+`"}`)), "there is no merchant")

	says := func(body, want string) {
		t.Helper()
		for _, n := range nodes {
			for token, kind := range map[string]string{shop.token: "BACKEND", session: "CUSTOMER"} {
				awaitAnswer(t, n, token, body, strings.ReplaceAll(want, "KIND", kind))
			}
		}
	}
	says(`{"documentId":"who"}`, `{"viewer":{"kind":"KIND"}}`)
	says(`{"query":"{ viewer { merchant { id } } }"}`, `FORBIDDEN`)
	says(`{"query":"`+text+`"}`, `{"viewer":{"kind":"KIND"}}`)
	wantContains(t, output(t, database, "documents", "retire", of, "who"), "nobody trusts who")
	wantContains(t, refusal(t, database, "documents", "retire", of, "who"), "there is no such document: who")
	says(`{"documentId":"who"}`, `PERSISTED_QUERY_NOT_FOUND`)
	says(`{"query":"`+text+`"}`, `FORBIDDEN`)
	wantContains(t, output(t, database, "documents", "list", of), "ours  ", "trusted", "who  ", "retired")
	wantContains(t, output(t, database, "documents", "upload", of, manifest(t, `{"who":"`+text+`"}`)), "1 of them")
	says(`{"documentId":"who"}`, `{"viewer":{"kind":"KIND"}}`)
}

// sessionOf is the token of a customer's session.
func sessionOf(t *testing.T, shop *client) string {
	t.Helper()
	var data struct {
		Account               struct{ Customer struct{ ID string } }
		CreateCustomerSession struct{ AccessToken string }
	}
	shop.must(t, `query ($id: ID!) { account(id: $id) { customer { id } } }`, map[string]any{"id": shop.newWallet(t, "10.00")}, &data)
	shop.must(t, `mutation ($id: ID!) { createCustomerSession(input: { customerId: $id }) { ... on CreateCustomerSessionSuccess { accessToken } } }`,
		map[string]any{"id": data.Account.Customer.ID}, &data)
	return data.CreateCustomerSession.AccessToken
}

// awaitAnswer sends a body until the answer has some words.
func awaitAnswer(t *testing.T, p *program, token, body, want string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/graphql", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err == nil && strings.Contains(string(got), want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %s, %v, want %s", body, got, err, want)
		}
	}
}
