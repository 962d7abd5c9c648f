//go:build ci

package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/paygraph/paygraph/store/storetest"
)

// TestTheExampleOfSignedRequests runs what docs/signed-requests.md shows: another implementation, of which openssl makes the signature.
func TestTheExampleOfSignedRequests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/signed-requests.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```bash\n")
	example, _, found := strings.Cut(example, "```")
	if !found {
		t.Fatal("there is no example")
	}
	database := []string{"DATABASE_URL=" + storetest.Empty(t)}
	output(t, database, "migrate")
	p := run(t, database, "--port=0")
	p.awaitReady()
	made := makeMerchant(t, database)
	var secret struct {
		KeyID  string
		Secret []byte
	}
	decode(t, output(t, database, "credential", "sign", "add", made.ClientID, "--json"), &secret)
	output(t, database, "credential", "sign", "require", made.ClientID, "*")
	body, err := json.Marshal(map[string]any{"query": createSigned, "variables": newCustomer("example")})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", example)
	cmd.Env = append(os.Environ(), "URL="+p.url, "TOKEN="+clientOf(t, p, made.ClientID, made.ClientSecret).token, "KEY_ID="+secret.KeyID,
		"SECRET="+base64.StdEncoding.EncodeToString(secret.Secret), "BODY="+string(body))
	said, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(said), `{"data":{"made":{}}`) {
		t.Errorf("%v: %s", err, said)
	}
}
