package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheTabsOfGraphiQLRunOnTheDemo runs what a visitor finds in the tabs, as the page fills it in, on a gateway of the built program: the
// operations' own fields answer, and what moves money succeeds.
func TestTheTabsOfGraphiQLRunOnTheDemo(t *testing.T) {
	t.Parallel()
	p := serve(t, nil, "--data-dir", usedFolder(t))
	c := demoClient(t, p)
	var page struct {
		Accounts struct {
			Nodes []struct{ ID, Currency, Status string }
		}
		Payments struct{ Nodes []struct{ ID string } }
	}
	c.must(t, text(t, "web/graphiql/demo.graphql"), nil, &page)
	var usd []string
	for _, w := range page.Accounts.Nodes {
		if w.Currency == "USD" && w.Status == "ACTIVE" {
			usd = append(usd, w.ID)
		}
	}
	if len(usd) < 2 {
		t.Fatalf("the demo has %d ACTIVE wallets in USD", len(usd))
	}
	if len(page.Payments.Nodes) != 1 {
		t.Fatalf("the demo has %d payments to capture from", len(page.Payments.Nodes))
	}
	values := strings.NewReplacer("${source}", usd[0], "${destination}", usd[1], "${authorized}", page.Payments.Nodes[0].ID,
		"${payKey}", "graphiql-pay-0123456789", "${transferKey}", "graphiql-transfer-0123456789",
		"${authorizeKey}", "graphiql-authorize-0123456789", "${captureKey}", "graphiql-capture-0123456789")
	files, err := filepath.Glob("web/graphiql/operations/*.graphql")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d operations, %v", len(files), err)
	}
	for _, file := range files {
		query := text(t, file)
		if regexp.MustCompile(`(?m)^subscription`).MatchString(query) {
			continue
		}
		var variables map[string]any
		if content, err := os.ReadFile(strings.TrimSuffix(file, "graphql") + "json"); err == nil {
			filled := values.Replace(string(content))
			if strings.Contains(filled, "${") {
				t.Errorf("%s: a placeholder that the page does not know: %s", file, filled)
			}
			if err := json.Unmarshal([]byte(filled), &variables); err != nil {
				t.Fatal(err)
			}
		}
		var data map[string]map[string]any
		c.must(t, query, variables, &data)
		for field, answer := range data {
			if len(answer) == 0 {
				t.Errorf("%s: %s is empty", file, field)
			}
			if member, ok := answer["__typename"].(string); ok && !strings.HasSuffix(member, "Success") {
				t.Errorf("%s: %s was answered %v", file, field, answer)
			}
			if nodes, ok := answer["nodes"].([]any); ok && len(nodes) == 0 {
				t.Errorf("%s: %s has no nodes", file, field)
			}
		}
	}
	showsWhatPaymentsDo(t, c)
}

// showsWhatPaymentsDo holds the Payments tab, after the others, to one payment of each way that one can go.
func showsWhatPaymentsDo(t *testing.T, c *client) {
	t.Helper()
	var shown struct {
		Payments struct {
			Nodes []struct {
				Status            string
				Captures, Refunds struct{ Nodes []struct{ ID string } }
			}
		}
	}
	c.must(t, text(t, "web/graphiql/operations/05-payments.graphql"), nil, &shown)
	found := map[string]bool{}
	for _, p := range shown.Payments.Nodes {
		found[p.Status] = true
		found["captured in parts"] = found["captured in parts"] || len(p.Captures.Nodes) > 1
		found["refunded"] = found["refunded"] || len(p.Refunds.Nodes) > 0
	}
	for _, way := range []string{"AUTHORIZED", "PARTIALLY_CAPTURED", "SUCCEEDED", "CANCELED", "captured in parts", "refunded"} {
		if !found[way] {
			t.Errorf("the Payments tab shows no payment that is %s", way)
		}
	}
}

func text(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
