//go:build ci

package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/paygraph/paygraph/store/storetest"
)

// TestRealClientsFollowAPayment needs Node and npm's registry. The libraries that applications use follow a payment of the demo, on a network
// that is cut.
func TestRealClientsFollowAPayment(t *testing.T) {
	t.Parallel()
	scripts := installed(t, "stage.mjs", "payment.mjs")
	p := serve(t, nil, "--data-dir", usedFolder(t))
	c := demoClient(t, p)
	from, to := c.twoWallets(t)
	for _, library := range []string{"graphql-ws", "graphql-sse"} {
		t.Run(library, func(t *testing.T) {
			f := &followed{client: c, t: t, library: library, from: from}
			f.network = &way{to: strings.TrimPrefix(p.url, "http://"), port: freePort(t)}
			f.network.open(t)
			f.id = f.do("createPayment", map[string]any{"amount": usd(100), "destinationAccountId": to, "captureMethod": "MANUAL"}).ID
			f.drive(scripts)
		})
	}
}

// TestARealClientSignsIn needs Node and npm's registry. The library that applications use finds the token endpoint, and signs.
func TestARealClientSignsIn(t *testing.T) {
	t.Parallel()
	scripts := installed(t, "signin.mjs")
	database := []string{"DATABASE_URL=" + storetest.Empty(t)}
	output(t, database, "migrate")
	p := serve(t, database)
	merchant := makeMerchant(t, database).MerchantID
	b := newBackend(t, scripts, "public.pem")
	var made madeCredential
	decode(t, output(t, database, "credential", "create", "--merchant", merchant, "--keys", b.file, "--json"), &made)
	der, err := x509.MarshalPKCS8PrivateKey(b.key)
	if err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(scripts, "private.pem")
	if err := os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // each time by a new assertion
		script := exec.CommandContext(t.Context(), "node", "signin.mjs", p.url, made.ClientID, private)
		script.Dir = scripts
		if out, err := script.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != merchant {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// installed is a folder with some scripts and what they need: package transport's test installs in theirs.
func installed(t *testing.T, scripts ...string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for _, name := range append(scripts, ".npmrc", "package.json", "package-lock.json") {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text(t, "transport/clients/"+name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund")
	install.Dir = folder
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return folder
}

// followed is a payment that a script follows, and what the script may wish for.
type followed struct {
	*client
	t        *testing.T
	library  string
	network  *way // between the script and the gateway
	from, id string
	steps    int
}

// drive runs the script, and does what it wishes for.
func (f *followed) drive(scripts string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 2*patience)
	defer cancel()
	address := fmt.Sprintf("http://127.0.0.1:%d/graphql", f.network.port)
	script := exec.CommandContext(ctx, "node", "payment.mjs", address, f.library, f.token, f.id)
	script.Dir, script.Stderr = scripts, os.Stderr
	wishes, err := script.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	answers, err := script.StdinPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := script.Start(); err != nil {
		f.t.Fatal(err)
	}
	last := ""
	for lines := bufio.NewScanner(wishes); lines.Scan(); fmt.Fprintln(answers, "done 0") {
		last = lines.Text()
		f.grant(last)
	}
	if err := script.Wait(); err != nil || last != "passed" {
		f.t.Errorf("%v after %q", err, last)
	}
}

func (f *followed) grant(wish string) {
	switch wish {
	case "confirm":
		f.do("confirmPayment", map[string]any{"source": map[string]any{"accountId": f.from}})
	case "cut":
		f.network.close()
		f.network.open(f.t)
	case "capture a part":
		f.do("capturePayment", map[string]any{"amount": usd(40), "final": false})
	case "capture the rest":
		f.do("capturePayment", map[string]any{"amount": usd(60)})
	case "refund":
		f.do("refundPayment", map[string]any{"amount": usd(10)})
	case "passed":
	default:
		f.t.Errorf("it wishes for %q", wish)
	}
}

// do moves the payment.
func (f *followed) do(command string, input map[string]any) seenPayment {
	f.t.Helper()
	f.steps++
	input["idempotencyKey"] = fmt.Sprintf("followed-by-%s-%02d", f.library, f.steps)
	if f.id != "" {
		input["paymentId"] = f.id
	}
	done, err := f.command(command, "payment { id status }", input)
	if err != nil || done.Code != "" {
		f.t.Fatalf("%s: %s, %v", command, done.Code, err)
	}
	return done.Payment
}
