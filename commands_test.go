package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/quota"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
	"github.com/paygraph/paygraph/store/storetest"
)

func sortedBalances(accounts []account) string {
	var all []string
	for _, a := range accounts {
		all = append(all, a.Currency+a.Status+a.Balance.Posted.MinorUnits)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

type madeCredential struct{ ClientID, ClientSecret, MerchantID string }

// makeMerchant makes a merchant and a credential by the commands.
func makeMerchant(t *testing.T, variables []string, args ...string) madeCredential {
	t.Helper()
	var m struct{ ID, Name string }
	decode(t, output(t, variables, append([]string{"merchant", "create", "Käse & Co.", "--json"}, args...)...), &m)
	if m.Name != "Käse & Co." || !strings.HasPrefix(m.ID, "mer_") {
		t.Errorf("the merchant is %+v", m)
	}
	var c madeCredential
	decode(t, output(t, variables, append([]string{"credential", "create", "--merchant", m.ID, "--json", // with more than the load of any test
		"--points-per-second=10000000", "--burst=10000000", "--at-once=10000", "--sockets=10000"}, args...)...), &c)
	return c
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

func TestAnOwnerWithoutTheServingRoleIsToldWhoGivesIt(t *testing.T) {
	t.Parallel()
	storetest.DSN(t) // the role is there from now on
	address, err := url.Parse(storetest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	superuser, err := connector.Open(address.String(), connector.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer superuser.Close()
	database := strings.TrimPrefix(address.Path, "/")
	role := "owner_of_" + database
	for _, statement := range []string{
		"CREATE ROLE " + role + " LOGIN PASSWORD 'secret'", "ALTER DATABASE " + database + " OWNER TO " + role, "GRANT ALL ON SCHEMA public TO " + role,
	} {
		if _, err := superuser.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	address.User = url.UserPassword(role, "secret")
	wantContains(t, refusal(t, []string{"DATABASE_URL=" + address.String()}, "migrate"), "granted paygraph_runtime by a superuser")
}

func TestAMerchantFromItsCreationToItsRevokedCredential(t *testing.T) {
	t.Parallel()
	database := []string{"DATABASE_URL=" + storetest.Empty(t)}
	wantContains(t, refusal(t, database, "merchant", "list"), "paygraph migrate")
	wantContains(t, output(t, database, "migrate"), "up to date")
	p := serve(t, database)
	made := makeMerchant(t, database)

	c := clientOf(t, p, made.ClientID, made.ClientSecret)
	var data struct {
		Viewer struct {
			Merchant struct{ ID, Name string }
			Scopes   []string
		}
	}
	c.must(t, `{ viewer { merchant { id name } scopes } }`, nil, &data)
	if data.Viewer.Merchant.ID != made.MerchantID || len(data.Viewer.Scopes) != len(auth.AllScopes) {
		t.Errorf("the viewer is %+v", data.Viewer)
	}
	narrow := output(t, database, "credential", "create", "--merchant", made.MerchantID, "--scope", "payments:read", "--scope=accounts:read")
	wantContains(t, narrow, "accounts:read payments:read\n", "not shown again")
	wantContains(t, output(t, database, "merchant", "list"), made.MerchantID, "Käse & Co.")

	const limits = `{ viewer { limits { pointsPerSecond burst atOnce sockets } } }`
	var has struct{ Viewer struct{ Limits quota.Limits } }
	c.must(t, limits, nil, &has)
	if want := (quota.Limits{PointsPerSecond: 10_000_000, Burst: 10_000_000, AtOnce: 10_000, Sockets: 10_000}); has.Viewer.Limits != want {
		t.Errorf("the limits are %+v", has.Viewer.Limits)
	}
	wantContains(t, output(t, database, "credential", "limits", made.ClientID, "--points-per-second=7"), "7 points a second, a burst of 40000")
	wantContains(t, refusal(t, database, "credential", "limits", "nobody"), "no credential nobody")
	wantContains(t, refusal(t, database, "credential", "limits", made.ClientID, "--burst=-1"), "choose from 1 to 1000000000")
	changed := quota.Limits{PointsPerSecond: 7, Burst: 40_000, AtOnce: 500, Sockets: 2_000}
	for deadline := time.Now().Add(patience); has.Viewer.Limits != changed; time.Sleep(50 * time.Millisecond) {
		if c.must(t, limits, nil, &has); time.Now().After(deadline) {
			t.Fatalf("the limits are still %+v", has.Viewer.Limits)
		}
	}

	output(t, database, "credential", "revoke", made.ClientID)
	if _, status := tokenFor(t, p, made.ClientID, made.ClientSecret); status != http.StatusUnauthorized {
		t.Errorf("after the revocation: %d", status)
	}
	wantContains(t, refusal(t, database, "credential", "revoke", "nobody"), "no credential nobody")
	wantContains(t, refusal(t, database, "credential", "create", "--merchant", "mer_x"), "no merchant mer_x")
	wantContains(t, refusal(t, database, "credential", "create", "--merchant", made.MerchantID, "--scope", "all"), "payments:write")
}

// TestAMerchantIsChargedByItsPlan sets it by the command while a gateway serves, and asks the API what a payment to the merchant has cost.
func TestAMerchantIsChargedByItsPlan(t *testing.T) {
	t.Parallel()
	database := []string{"DATABASE_URL=" + storetest.Empty(t)}
	p := serve(t, database)
	made := makeMerchant(t, database)
	c := clientOf(t, p, made.ClientID, made.ClientSecret)
	from := c.newWallet(t, "1000.00")
	pay := func(key string) string {
		var data struct {
			Made struct {
				Payment struct{ Fee, Net struct{ Amount string } }
			}
		}
		c.must(t, `mutation ($input: CreatePaymentInput!) { made: createPayment(input: $input) {
			... on CreatePaymentSuccess { payment { fee { amount } net { amount } } } } }`,
			map[string]any{"input": map[string]any{"idempotencyKey": key, "amount": usd(10_000), "source": map[string]any{"accountId": from}, "confirm": true}}, &data)
		return data.Made.Payment.Fee.Amount + " " + data.Made.Payment.Net.Amount
	}
	said := output(t, database, "merchant", "fee", made.MerchantID, "--currency=USD", "--basis-points=290", "--fixed=0.30")
	wantContains(t, said, "2.90 %", "0.30 USD")
	if got := pay("a-payment-with-a-fee"); got != "3.20 96.80" {
		t.Errorf("fee and net are %s", got)
	}
	output(t, database, "merchant", "fee", made.MerchantID, "--currency=USD")
	if got := pay("a-payment-without-one"); got != "0.00 100.00" {
		t.Errorf("without a plan fee and net are %s", got)
	}
	wantContains(t, refusal(t, database, "merchant", "fee", "mer_x", "--currency=USD"), "no merchant mer_x")
	wantContains(t, refusal(t, database, "merchant", "fee", made.MerchantID, "--currency=ABC"), "ABC")
	wantContains(t, refusal(t, database, "merchant", "fee", made.MerchantID, "--currency=JPY", "--fixed=0.5"), "JPY")
	wantContains(t, refusal(t, database, "merchant", "fee", made.MerchantID, "--currency=USD", "--basis-points=10001"), "10000")
	output(t, database, "verify")
}

func TestCommandsWithoutDatabaseURL(t *testing.T) {
	t.Parallel()
	dir := usedFolder(t)
	made := makeMerchant(t, nil, "--data-dir", dir)
	p := serve(t, nil, "--data-dir", dir)
	clientOf(t, p, made.ClientID, made.ClientSecret).must(t, `{ viewer { kind } }`, nil, nil)
}

func TestADatabaseOfOnesOwnHasNothingOfTheDemo(t *testing.T) {
	t.Parallel()
	dsn := storetest.Empty(t)
	database := []string{"DATABASE_URL=" + dsn}
	p := serve(t, database)
	if list := output(t, database, "merchant", "list", "--json"); strings.TrimSpace(list) != "[]" {
		t.Errorf("it has made %s", list)
	}
	// Somebody has brought the row from elsewhere.
	admin, err := store.OpenAdmin(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	m, err := admin.CreateMerchant(t.Context(), "A victim")
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.CreateCredential(t.Context(), auth.Credential{
		ClientID: "demo", SecretHash: auth.HashSecret("demo"), Merchant: m.ID, Scopes: auth.AllScopes, CreatedAt: time.Now(),
	}); err != nil {
		t.Fatal(err)
	}
	if _, status := tokenFor(t, p, "demo", "demo"); status != http.StatusUnauthorized {
		t.Errorf("a token for demo: %d", status)
	}
	wantNotContains(t, p.out.String(), "demo")
	const introspection = `{ __schema { queryType { name } } }`
	nobody := &client{url: p.url, http: http.DefaultClient}
	if errs, err := nobody.ask(introspection, nil, nil); err != nil || len(errs) == 0 {
		t.Errorf("anybody may see the schema: %v", err)
	}
	made := makeMerchant(t, database)
	clientOf(t, p, made.ClientID, made.ClientSecret).must(t, introspection, nil, nil)
}

func TestTwoGatewaysStartAtOnceOnAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	database := []string{"DATABASE_URL=" + storetest.Empty(t)}
	first, second := run(t, database, "--port=0"), run(t, database, "--port=0")
	first.awaitReady()
	second.awaitReady()
	made := makeMerchant(t, database)
	clientOf(t, first, made.ClientID, made.ClientSecret)
	clientOf(t, second, made.ClientID, made.ClientSecret)
}

func TestADatabaseThatComesAndGoes(t *testing.T) {
	t.Parallel()
	dsn, _ := url.Parse(storetest.Empty(t))
	way := &way{to: dsn.Host, port: freePort(t)}
	dsn.Host = fmt.Sprintf("127.0.0.1:%d", way.port)
	p := run(t, []string{"DATABASE_URL=" + dsn.String()}, "--port=0")
	if _, said := p.log.await("waiting for the database"); !said {
		t.Fatal("it does not wait for the database")
	}
	way.open(t)
	p.awaitReady()
	for range 2 {
		awaitReadyz(t, p, http.StatusOK)
		way.close()
		awaitReadyz(t, p, http.StatusServiceUnavailable)
		if status, _, err := get(p.url + "/healthz"); status != http.StatusOK {
			t.Errorf("/healthz: %d %v", status, err)
		}
		way.open(t)
	}
	awaitReadyz(t, p, http.StatusOK)
}

func awaitReadyz(t *testing.T, p *program, want int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		status, body, err := get(p.url + "/readyz")
		if status == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("/readyz: %d %s %v, want %d", status, body, err, want)
		}
	}
}

// way is the network between the gateway and its database.
type way struct {
	to       string
	port     int
	listener net.Listener
	mu       sync.Mutex
	ends     []net.Conn
}

func (w *way) open(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", w.port))
	if err != nil {
		t.Fatal(err)
	}
	w.listener = l
	t.Cleanup(w.close)
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", w.to)
			if err != nil {
				_ = from.Close()
				continue
			}
			w.mu.Lock()
			w.ends = append(w.ends, from, to)
			w.mu.Unlock()
			go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
			go func() { _, _ = io.Copy(from, to); _ = from.Close() }()
		}
	}()
}

func (w *way) close() {
	_ = w.listener.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, end := range w.ends {
		_ = end.Close()
	}
	w.ends = nil
}

func TestADatabaseThatCannotBeReachedIsOneSentence(t *testing.T) {
	t.Parallel()
	dsn := fmt.Sprintf("postgres://paygraph:hunter2@127.0.0.1:%d/paygraph?sslmode=disable&password=hunter3", freePort(t))
	p := run(t, []string{"DATABASE_URL=" + dsn, "LOG_LEVEL=debug"}, "--port=0")
	if status := p.wait(); status != 1 {
		t.Errorf("exit status %d", status)
	}
	wantContains(t, p.log.String(), "paygraph: the database cannot be reached", "is DATABASE_URL right?", "config.host=127.0.0.1",
		"postgres://paygraph:xxxxx@")
	wantNotContains(t, p.log.String(), "hunter")
	if sentences := strings.Count(p.log.String(), "paygraph: "); sentences != 1 {
		t.Errorf("%d sentences: %s", sentences, p.log)
	}
}

func TestMistakesInTheConfiguration(t *testing.T) {
	t.Parallel()
	nowhere := filepath.Join(embeddedtest.Folder(t), "nowhere")
	for name, row := range map[string]struct {
		variable string
		args     []string
		says     string
	}{
		"a port too large":           {"PORT=65536", nil, "port 65536 does not exist"},
		"a port that is no number":   {"PORT=http", nil, "PORT"},
		"an empty host":              {"HOST=", nil, "HOST is empty"},
		"a host of another machine":  {"HOST=192.0.2.1", []string{"--port=0"}, "not an address of this machine"},
		"tokens for no time":         {"TOKEN_TTL=0s", nil, "whole seconds"},
		"tokens for half a second":   {"TOKEN_TTL=1500ms", nil, "whole seconds"},
		"tokens for too long":        {"TOKEN_TTL=25h", nil, "whole seconds"},
		"a TTL without a unit":       {"TOKEN_TTL=900", nil, "TOKEN_TTL"},
		"a public URL with a path":   {"PUBLIC_URL=https://pay.example/api", nil, "scheme and host only"},
		"a public URL with a slash":  {"PUBLIC_URL=https://pay.example/", nil, "scheme and host only"},
		"a public URL of ftp":        {"PUBLIC_URL=ftp://pay.example", nil, "scheme and host only"},
		"any page's origin":          {"ORIGINS=*", nil, "as browsers do"},
		"no page's origin":           {"ORIGINS=null", nil, "as browsers do"},
		"half of a host":             {"ORIGINS=https://*.shop.example", nil, "as browsers do"},
		"a host in capitals":         {"ORIGINS=https://Shop.example", nil, "as browsers do"},
		"a port that is not written": {"ORIGINS=https://shop.example:443", nil, "as browsers do"},
		"an origin with a path":      {"ORIGINS=https://shop.example,https://b.example/x", nil, "https://b.example/x"},
		"a database of another kind": {"DATABASE_URL=mysql://localhost/x", nil, "postgres://"},
		"two databases":              {"DATABASE_URL=postgres://localhost/x", []string{"--data-dir=x"}, "choose one"},
		"fresh for another's":        {"DATABASE_URL=postgres://localhost/x", []string{"--fresh"}, "--fresh"},
		"fresh for another command":  {"", []string{"merchant", "list", "--fresh"}, "serve only"},
		"an unknown flag":            {"", []string{"--colour"}, "--colour"},
		"an unknown level":           {"LOG_LEVEL=loud", nil, "log-level"},
		"a merchant without a name":  {"", []string{"merchant", "create", ""}, "called"},
		"a name that is not UTF-8":   {"", []string{"merchant", "create", "\xff"}, "UTF-8"},
		"a name that is too long":    {"", []string{"merchant", "create", strings.Repeat("x", 201)}, "at most 200"},
		"proxies that are none":      {"", []string{"--trusted-proxies=10.0.0.0/8,anybody"}, "no network"},
		"everybody as a proxy":       {"", []string{"--trusted-proxies=0.0.0.0/0"}, "everybody"},
		"a credential of nobody":     {"", []string{"credential", "create"}, "--merchant"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantContains(t, refusal(t, []string{row.variable, "XDG_STATE_HOME=" + nowhere}, row.args...), row.says)
			if _, err := os.Stat(nowhere); err == nil {
				t.Error("it was found out only after the database had been made")
			}
		})
	}
	p := run(t, []string{"PORT=65536", "TOKEN_TTL=0s"})
	p.wait()
	if sentences := strings.Count(p.log.String(), "paygraph: "); sentences != 2 {
		t.Errorf("two mistakes are %d sentences: %s", sentences, p.log)
	}
}

func TestAConfigurationIsShownWithoutSecrets(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://u:hunter2@db.example/x", "postgresql://db.example/x?password=hunter2&user=u", "host=db password=hunter2", "://hunter2",
		"postgres://u:hunter2@/x?host=/run", "postgres://u:hun%zzter2@db/x", "postgres://u:1#hunter2@db/x", "host=db password=a://hunter2",
	} {
		var b strings.Builder
		slog.New(slog.NewTextHandler(&b, nil)).Info("", "config", &Config{DatabaseURL: dsn})
		wantNotContains(t, b.String(), "hun")
	}
}

func TestOnlyWhatGoRunBuiltWatchesItsParent(t *testing.T) {
	t.Parallel()
	for program, want := range map[string]bool{
		"/tmp/go-build3244406943/b001/exe/paygraph":                                                                true,
		"/cache/eb/ebbeb0d56655c05564977e51f051d1517afeaa2af7ccfcbe1956dfdf69a5b4b8-d/paygraph":                    true,
		"/home/ada/.cache/go-build/eb/ebbeb0d56655c05564977e51f051d1517afeaa2af7ccfcbe1956dfdf69a5b4b8-d/paygraph": true,
		"/usr/local/bin/paygraph": false,
		"/home/u/go/bin/paygraph": false,
		"/home/u/paygraph/main":   false,
	} {
		if got := isOfGoRun(program); got != want {
			t.Errorf("%s: %v, want %v", program, got, want)
		}
	}
}
