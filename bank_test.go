package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestReadersAlwaysFindTheSameSum is Jepsen's bank test: money moves between wallets and the merchant, through two processes whose backends
// are ended, and whoever asks for all balances in one query finds that none is missing and none is too much.
func TestReadersAlwaysFindTheSameSum(t *testing.T) {
	t.Parallel()
	p := newTwins(t)
	b := &bank{twins: p, succeeded: map[string]*atomic.Int64{}}
	for _, name := range []string{"transferFunds", "createPayment", "capturePayment", "refundPayment"} {
		b.succeeded[name] = &atomic.Int64{}
	}
	for n := range 6 {
		b.wallets = append(b.wallets, p.clients[n%2].newWallet(t, fmt.Sprintf("%d.00", 10+n)))
		b.sum += int64(10+n) * 100
	}
	b.command(p.clients[0], "createPayment", "payment { id }", map[string]any{ // opens the merchant's own account
		"idempotencyKey": "bank-of-nobody-000000", "amount": usd(1), "source": map[string]any{"accountId": b.wallets[0]}, "confirm": true,
	})
	for _, a := range p.clients[0].accounts(t) {
		b.all = append(b.all, a.ID)
		if a.Kind == "CUSTOMER_WALLET" || a.Kind == "MERCHANT_AVAILABLE" {
			b.parties = append(b.parties, a.ID)
		}
	}
	ended, enough := p.endBackends()
	var all sync.WaitGroup
	end := time.Now().Add(8 * time.Second)
	for n := range 8 {
		all.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				b.move(p.clients[(n+i)%2], fmt.Sprintf("bank-of-client-%d-%06d", n, i))
			}
		})
	}
	for n := range 4 {
		all.Go(func() {
			for i := n; time.Now().Before(end); i++ {
				b.read(p.clients[i%2], i%3)
			}
		})
	}
	all.Wait()
	enough()
	backends := ended.Load()
	t.Logf("%d, %d and %d reads, %d unknown outcomes, %d backends ended",
		b.reads[0].Load(), b.reads[1].Load(), b.reads[2].Load(), b.unknown.Load(), backends)
	for form := range b.reads {
		if b.reads[form].Load() < 10 || backends < enoughBackends {
			t.Errorf("form %d was answered %d times only, with %d backends ended", form, b.reads[form].Load(), backends)
		}
	}
	for name, n := range b.succeeded {
		if t.Logf("%s: %d", name, n.Load()); n.Load() == 0 {
			t.Errorf("%s has never succeeded", name)
		}
	}
	output(t, p.database, "verify")
}

// bank is wallets among which money moves.
type bank struct {
	*twins
	wallets   []string
	parties   []string // those that transfers may name: with the merchant's own
	all       []string // with the merchant's own
	sum       int64
	reads     [3]atomic.Int64 // by form
	unknown   atomic.Int64
	succeeded map[string]*atomic.Int64
}

// move moves some money: by a transfer, perhaps from or to the merchant, or by a payment that goes to another wallet or to the merchant, at once or later, and partly back.
func (b *bank) move(c *client, key string) {
	cents := 2 + rand.IntN(300)
	if rand.IntN(2) == 0 {
		places := rand.Perm(len(b.parties))
		b.command(c, "transferFunds", "transaction { id }", map[string]any{
			"idempotencyKey": key, "fromAccountId": b.parties[places[0]], "toAccountId": b.parties[places[1]], "amount": usd(cents),
		})
		return
	}
	places := rand.Perm(len(b.wallets))
	from, to := b.wallets[places[0]], b.wallets[places[1]]
	input := map[string]any{"idempotencyKey": key, "amount": usd(cents), "source": map[string]any{"accountId": from}, "confirm": true}
	if rand.IntN(4) > 0 {
		input["destinationAccountId"] = to
	}
	if rand.IntN(2) == 0 {
		input["captureMethod"] = "MANUAL"
	}
	id := b.command(c, "createPayment", "payment { id }", input).Payment.ID
	if id == "" {
		return
	}
	b.command(c, "capturePayment", "capture { id }", map[string]any{
		"idempotencyKey": key + "-capture", "paymentId": id, "amount": usd(1 + cents/2), "final": rand.IntN(2) == 0,
	})
	b.command(c, "refundPayment", "refund { id }", map[string]any{"idempotencyKey": key + "-refund", "paymentId": id, "amount": usd(1)})
	b.command(c, "refundPayment", "refund { id }", map[string]any{"idempotencyKey": key + "-refund-all", "paymentId": id})
}

func (b *bank) command(c *client, name, selection string, input map[string]any) answered {
	a, err := c.command(name, selection, input)
	switch {
	case err != nil:
		b.unknown.Add(1)
	case a.Code == "":
		b.succeeded[name].Add(1)
	case a.Code == "VALIDATION_FAILED" || a.Code == "NOT_FOUND":
		b.t.Errorf("%s: %s", name, a.Code)
	}
	return a
}

type minorUnits struct{ MinorUnits string }

type bankAccount struct {
	Kind    string
	Balance struct{ Posted, Available, PendingOut minorUnits }
}

const bankFields = `kind balance { posted { minorUnits } available { minorUnits } pendingOut { minorUnits } }`

// forms are the ways to ask for all balances in one query.
func (b *bank) forms() []string {
	single := "{"
	for n, id := range b.all {
		single += fmt.Sprintf(" a%d: account(id: %q) { %s }", n, id, bankFields)
	}
	ids, _ := json.Marshal(b.all)
	return []string{
		`{ accounts(first: 100) { nodes { ` + bankFields + ` } } }`, single + " }",
		fmt.Sprintf(`{ nodes(ids: %s) { ... on Account { %s } } }`, ids, bankFields),
	}
}

// read asks in one of the forms, and adds up.
func (b *bank) read(c *client, form int) {
	data := map[string]json.RawMessage{}
	errs, err := c.ask(b.forms()[form], nil, &data)
	if err != nil || len(errs) > 0 {
		return // it was not answered, and will be asked again
	}
	b.reads[form].Add(1)
	var sum int64
	for _, a := range balances(b.t, data) {
		posted, available, pending := number(a.Balance.Posted), number(a.Balance.Available), number(a.Balance.PendingOut)
		if a.Kind == "CUSTOMER_WALLET" || a.Kind == "MERCHANT_AVAILABLE" {
			sum += posted
			if available != posted-pending || available < 0 || pending < 0 {
				b.t.Errorf("of %d posted %d are available and %d pending", posted, available, pending)
			}
		}
	}
	if sum != b.sum {
		b.t.Errorf("asked %s, the sum is %d, want %d", b.forms()[form], sum, b.sum)
	}
}

// balances are all that were answered, in whichever form.
func balances(t *testing.T, data map[string]json.RawMessage) (found []bankAccount) {
	for field, text := range data {
		var one bankAccount
		var list struct{ Nodes []bankAccount }
		var err error
		switch field {
		case "accounts":
			err = json.Unmarshal(text, &list)
			found = append(found, list.Nodes...)
		case "nodes":
			err = json.Unmarshal(text, &list.Nodes)
			found = append(found, list.Nodes...)
		default:
			err = json.Unmarshal(text, &one)
			found = append(found, one)
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	return found
}

func number(m minorUnits) int64 {
	n, _ := strconv.ParseInt(m.MinorUnits, 10, 64)
	return n
}
