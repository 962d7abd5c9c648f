package soak

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/merchant"
	fees "github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/quota"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/connector/faultproxy"
	"github.com/paygraph/paygraph/store/embedded"
)

const (
	nodeCount   = 2
	walletCount = 12
	stopWithin  = 15 * time.Second

	postgresFolder = "postgres" // in the world's
)

// world is a database with two gateways, each with a way of its own to it, and a merchant's clients.
type world struct {
	dir      string
	config   embedded.Config
	cluster  *embedded.Cluster
	proxies  []*faultproxy.Proxy // those of the nodes, and ours
	nodes    []*node
	db       *sql.DB // the owner's, by a way of its own
	admin    *store.Admin
	merchant merchant.ID
	client   *merchantClient
	wallets  []string
	oracle   *oracle
	register *register
	load     *load
	checker  *checker

	patience int // by which limits of time are multiplied, for a machine that does other things too
}

// newWorld builds one in a folder, with a load of so many clients. A world that has begun has to be closed.
func newWorld(ctx context.Context, program, dir string, clients int, seed uint64, settings map[string]string) (_ *world, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	w := &world{dir: dir, patience: 1, config: embedded.Config{Dir: filepath.Join(dir, postgresFolder), DieWithParent: true, Settings: settings}}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.cluster, err = embedded.Start(ctx, w.config); err != nil {
		return nil, err
	}
	if err := w.buildWays(ctx); err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx, w.dsn(nodeCount), slog.Default()); err != nil {
		return nil, err
	}
	for n := range nodeCount {
		node, err := newNode(ctx, program, dir, fmt.Sprint("node-", n), w.proxies[n], w.dsn(n))
		if err != nil {
			return nil, err
		}
		w.nodes = append(w.nodes, node)
	}
	if err := w.begin(ctx, w.nodes...); err != nil {
		return nil, err
	}
	if err := w.makeMerchant(ctx, clients); err != nil {
		return nil, err
	}
	if w.oracle, err = newOracle(w.oraclePath()); err != nil {
		return nil, err
	}
	w.register = newRegister()
	if w.checker, err = newChecker(w, w.register); err != nil {
		return nil, err
	}
	w.load = newLoad(w, clients, rand.New(rand.NewPCG(seed, 0)))
	return w, nil
}

// limit is a limit of time in this world.
func (w *world) limit(of time.Duration) time.Duration { return of * time.Duration(w.patience) }

func (w *world) oraclePath() string { return filepath.Join(w.dir, "oracle.jsonl") }

// buildWays makes the proxies in front of the database, and opens ours.
func (w *world) buildWays(ctx context.Context) error {
	host, err := hostOf(w.cluster)
	if err != nil {
		return err
	}
	for range nodeCount + 1 {
		p, err := faultproxy.Listen(ctx, host)
		if err != nil {
			return err
		}
		w.proxies = append(w.proxies, p)
	}
	if w.db, err = connector.Open(w.dsn(nodeCount), connector.Options{Settings: map[string]string{"application_name": "soak"}}); err != nil {
		return err
	}
	w.admin, err = store.OpenAdmin(w.dsn(nodeCount))
	return err
}

func hostOf(c *embedded.Cluster) (string, error) {
	u, err := url.Parse(c.DSN())
	return u.Host, err
}

// dsn is the database by one of the ways.
func (w *world) dsn(way int) string {
	u, _ := url.Parse(w.cluster.DSN()) // it has been parsed before
	u.Host = w.proxies[way].Address
	return u.String()
}

// begin starts nodes, and waits until they are ready.
func (w *world) begin(ctx context.Context, nodes ...*node) error {
	for _, n := range nodes {
		if err := n.begin(); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		if err := n.awaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// killDatabase ends the server and its processes at once.
func (w *world) killDatabase() error { return w.cluster.Kill() }

// startDatabase starts the server again, which recovers.
func (w *world) startDatabase(ctx context.Context) error {
	cluster, err := embedded.Start(ctx, w.config)
	if err != nil {
		return err
	}
	w.cluster = cluster
	host, err := hostOf(cluster)
	for _, p := range w.proxies {
		p.Forward(host)
	}
	return err
}

// charged is what the merchant pays for payments: all of some of the smallest.
var charged = fees.FeePlan{BasisPoints: 290, FixedMinorUnits: 30}

// makeMerchant makes a merchant with wallets that are full, and with something of its own.
func (w *world) makeMerchant(ctx context.Context, clients int) error {
	m, err := w.admin.CreateMerchant(ctx, "Soak & Co.")
	if err != nil {
		return err
	}
	w.merchant = m.ID
	if err := w.admin.SetFeePlan(ctx, m.ID, currency, &charged); err != nil {
		return err
	}
	secret, hash := auth.NewSecret()
	err = w.admin.CreateCredential(ctx, auth.Credential{
		ClientID: "soak", Merchant: m.ID, SecretHash: hash, Scopes: auth.AllScopes, Quota: quota.Plenty,
		CreatedAt: time.Now().UTC(), Name: "soak",
	})
	if err != nil {
		return err
	}
	var addresses []string
	for _, n := range w.nodes {
		addresses = append(addresses, n.address())
	}
	w.client = newMerchantClient(addresses, "soak", secret, clients)
	for n := range walletCount {
		wallet, err := w.makeWallet(ctx, strconv.Itoa(n))
		if err != nil {
			return fmt.Errorf("making a wallet: %w", err)
		}
		w.wallets = append(w.wallets, wallet)
	}
	if _, err := w.make(ctx, mutation("createPayment", ofPayment), map[string]any{
		"idempotencyKey": preparing + "the-merchant", "reference": preparing + "the-merchant" + sold, "amount": usd(part), "confirm": true,
		"source": map[string]any{"accountId": w.wallets[0]},
	}); err != nil {
		return fmt.Errorf("paying the merchant: %w", err)
	}
	return nil
}

// preparing is what the keys and references begin with by which a world is made ready.
const preparing = "preparing-"

func (w *world) makeWallet(ctx context.Context, name string) (string, error) {
	customer, err := w.make(ctx, mutation("createCustomer", `object: customer { id }`), map[string]any{
		"idempotencyKey": preparing + "customer-" + name, "name": name,
	})
	if err != nil {
		return "", err
	}
	wallet, err := w.make(ctx, mutation("openAccount", `object: account { id }`), map[string]any{
		"idempotencyKey": preparing + "account-" + name, "customerId": customer, "currency": currency,
	})
	if err != nil {
		return "", err
	}
	_, err = w.make(ctx, mutation("depositFunds", ofTransaction), map[string]any{
		"idempotencyKey": preparing + "deposit-" + name, "accountId": wallet, "amount": usd(funds), "reason": preparing + name,
	})
	return wallet, err
}

func (w *world) make(ctx context.Context, mutation string, input map[string]any) (id string, err error) {
	var data struct{ Made made }
	if err := w.client.ask(ctx, 0, mutation, map[string]any{"input": input}, &data); err != nil {
		return "", err
	}
	if data.Made.Object == nil {
		return "", errors.New(data.Made.Code + ": " + data.Made.Message)
	}
	return data.Made.Object.ID, nil
}

// close ends everything. The folder stays.
func (w *world) close() {
	for _, n := range w.nodes {
		n.kill()
	}
	if w.oracle != nil {
		_ = w.oracle.close()
	}
	if w.db != nil {
		_ = w.db.Close()
	}
	if w.admin != nil {
		_ = w.admin.Close()
	}
	for _, p := range w.proxies {
		p.Close()
	}
	if w.cluster != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		_ = w.cluster.Stop(ctx)
	}
}
