package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
)

// verdict is what an answer amounts to.
type verdict struct {
	good    bool
	unclear bool   // whether it was done cannot be told from the answer
	reason  string // why it is not good
}

// traffic is a kind of request. Its methods are called by many clients at once.
type traffic interface {
	// next writes the next request over what the buffer holds.
	next(r *rand.Rand, buffer []byte) []byte
	// judge says whether an answer is what was asked for.
	judge(status int, body []byte) verdict
}

const createPayment = `mutation Pay($input: CreatePaymentInput!) {
  createPayment(input: $input) {
    __typename
    ... on CreatePaymentSuccess { replayed payment { id status version captured { amount currency } } }
    ... on UserError { code message path }
  }
}`

// template is the bytes of a request, in which a few places change from one to the next. What fills them has always the same
// length, as keys and identifiers have.
type template struct {
	request       []byte
	key, from, to int // where they begin
}

// keyLength is that of a UUID, which clients use as idempotency keys.
const keyLength = 36

func paymentTemplate(address string, t *tenant) (*template, error) {
	length := len(t.accounts[0])
	key, from, to := strings.Repeat("K", keyLength), strings.Repeat("F", length), strings.Repeat("T", length)
	request, err := graphQL(address, t.token, createPayment, map[string]any{"input": map[string]any{
		"idempotencyKey":       key,
		"amount":               map[string]string{"amount": paidAmount, "currency": currency},
		"source":               map[string]string{"accountId": from},
		"destinationAccountId": to,
		"confirm":              true,
	}})
	p := &template{request, bytes.Index(request, []byte(key)), bytes.Index(request, []byte(from)), bytes.Index(request, []byte(to))}
	for _, account := range t.accounts {
		if len(account) != length {
			return nil, fmt.Errorf("account identifiers of different lengths: %s and %s", t.accounts[0], account)
		}
	}
	return p, err
}

// fill writes the request of a payment with a fresh key.
func (p *template) fill(r *rand.Rand, buffer []byte, from, to string) []byte {
	buffer = append(buffer[:0], p.request...)
	freshKey(r, buffer[p.key:p.key+keyLength])
	copy(buffer[p.from:], from)
	copy(buffer[p.to:], to)
	return buffer
}

// freshKey writes a random UUID. Random keys fall all over the index, as clients' do.
func freshKey(r *rand.Rand, text []byte) {
	var bits [16]byte
	for i := range 2 {
		v := r.Uint64()
		for j := range 8 {
			bits[8*i+j] = byte(v >> (8 * j))
		}
	}
	bits[6], bits[8] = bits[6]&0x0f|0x40, bits[8]&0x3f|0x80
	at := 0
	for i, n := range []int{4, 2, 2, 2, 6} {
		if i > 0 {
			text[at] = '-'
			at++
		}
		at += hex.Encode(text[at:], bits[:n])
		copy(bits[:], bits[n:])
	}
}

// payments is traffic of payments from one account to another.
type payments struct {
	// choose says which merchant pays, and between which of its accounts.
	choose func(r *rand.Rand) (t *tenant, from, to int)
}

func (p payments) next(r *rand.Rand, buffer []byte) []byte {
	t, from, to := p.choose(r)
	return t.payment.fill(r, buffer, t.accounts[from], t.accounts[to])
}

// two chooses two different accounts out of n.
func two(r *rand.Rand, n int) (int, int) {
	from, to := r.IntN(n), r.IntN(n-1)
	if to >= from {
		to++
	}
	return from, to
}

// uniform is payments between any two accounts of one merchant.
func uniform(t *tenant) traffic {
	return payments{func(r *rand.Rand) (*tenant, int, int) {
		from, to := two(r, len(t.accounts))
		return t, from, to
	}}
}

// hot is payments of one merchant that all touch its first account: half of them take from it, half give to it.
func hot(t *tenant) traffic {
	return payments{func(r *rand.Rand) (*tenant, int, int) {
		other := 1 + r.IntN(len(t.accounts)-1)
		if r.IntN(2) == 0 {
			return t, 0, other
		}
		return t, other, 0
	}}
}

// manyMerchants is payments of any of many merchants.
func manyMerchants(all []*tenant) traffic {
	return payments{func(r *rand.Rand) (*tenant, int, int) {
		t := all[r.IntN(len(all))]
		from, to := two(r, len(t.accounts))
		return t, from, to
	}}
}

var (
	succeeded = []byte(`"status":"SUCCEEDED"`)
	executed  = []byte(`"replayed":false`)
)

func (payments) judge(status int, body []byte) verdict {
	if status == http.StatusOK && bytes.Contains(body, succeeded) && bytes.Contains(body, executed) {
		return verdict{good: true}
	}
	var data struct {
		CreatePayment *struct {
			Typename      string `json:"__typename"`
			Code, Message string
			Replayed      bool
			Payment       struct{ Status string }
		}
	}
	if v := dissect(status, body, &data); v.reason != "" {
		return v
	}
	made := data.CreatePayment
	switch {
	case made == nil:
		return verdict{unclear: true, reason: fmt.Sprintf("HTTP %d: %s", status, excerpt(body))}
	case made.Typename != "CreatePaymentSuccess":
		return verdict{reason: fmt.Sprintf("%s: %s %s", made.Typename, made.Code, made.Message)}
	case made.Payment.Status != "SUCCEEDED" || made.Replayed:
		return verdict{reason: fmt.Sprintf("payment %s, replayed %v", made.Payment.Status, made.Replayed)}
	default:
		return verdict{good: true} // JSON that is written in another way than usual
	}
}

// dissect decodes the data of an answer that is not as usual, or gives the reason why there is none.
func dissect(status int, body []byte, data any) verdict {
	answer := struct {
		Data   any
		Errors []struct {
			Message    string
			Extensions struct{ Code string }
		}
	}{Data: data}
	if err := json.Unmarshal(body, &answer); err != nil {
		return verdict{unclear: true, reason: fmt.Sprintf("HTTP %d, not the JSON of GraphQL: %s", status, excerpt(body))}
	}
	if len(answer.Errors) == 0 {
		return verdict{}
	}
	first := answer.Errors[0]
	return verdict{
		unclear: first.Extensions.Code == "OUTCOME_UNKNOWN",
		reason:  fmt.Sprintf("HTTP %d, %s: %s", status, first.Extensions.Code, first.Message),
	}
}

// historyPasses is how many rings of payments are made: each gives an account two transactions, one with either neighbour.
const historyPasses = 10

// makeHistory has all accounts pay each other in rings, in a new random order for each ring.
func (b *bench) makeHistory(ctx context.Context, t *tenant) error {
	n := len(t.accounts)
	rings := make([][]int, historyPasses)
	for i := range rings {
		rings[i] = rand.Perm(n)
	}
	return b.each(ctx, makers, historyPasses*n, func(c *conn, i int) error {
		ring, at := rings[i/n], i%n
		return b.pay(c, t, ring[at], ring[(at+1)%n])
	})
}

// pay makes one payment that must succeed.
func (b *bench) pay(c *conn, t *tenant, from, to int) error {
	status, body, err := c.roundTrip(t.payment.fill(newRandom(), nil, t.accounts[from], t.accounts[to]))
	if err != nil {
		b.unclear.Add(1)
		return err
	}
	v := payments{}.judge(status, body)
	if v.unclear {
		b.unclear.Add(1)
	}
	if !v.good {
		return errors.New(v.reason)
	}
	b.succeeded.Add(1)
	return nil
}
