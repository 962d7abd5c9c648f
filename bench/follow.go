package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/paygraph/paygraph/answer"
)

const (
	accountActivity = `subscription ($id: ID!, $after: Cursor) { accountActivity(accountId: $id, after: $after) {
  cursor sequence entry { id amount { amount currency } runningBalance { amount } } } }`
	paymentStatus  = `subscription ($id: ID!) { paymentStatus(paymentId: $id) { cursor sequence snapshot status occurredAt } }`
	preparePayment = `mutation ($input: CreatePaymentInput!) { createPayment(input: $input) {
  __typename ... on CreatePaymentSuccess { payment { id status } } ... on UserError { code message } } }`
	confirmPayment = `mutation Confirm($input: ConfirmPaymentInput!) {
  confirmPayment(input: $input) {
    __typename
    ... on ConfirmPaymentSuccess { replayed payment { id status version captured { amount currency } } }
    ... on UserError { code message path }
  }
}`

	streamOperation  = "s" // identifiers of operations on a socket
	prepareOperation = "p"
)

// followAccount is a subscriber of one account, who listens to the end.
func followAccount(id string) func(*audience, *socket) error {
	begin, err := operation(streamOperation, accountActivity, map[string]string{"id": id})
	return func(a *audience, s *socket) error {
		if err != nil {
			return err
		}
		if err := s.send(begin); err != nil {
			return err
		}
		numbers := order{}
		return s.listen(func(message []byte) error {
			first := !numbers.begun
			if err := numbers.take(message); err != nil {
				a.complain("%v", err)
				return nil
			}
			if first {
				a.begun.Add(1)
				return nil
			}
			committed, err := bookedAt(textOf(message, `entry":{"id`))
			if err == nil {
				a.arrived(committed)
			}
			return err
		})
	}
}

// take reads the number of an item.
func (o *order) take(message []byte) error {
	if !isNext(message, streamOperation) {
		return errors.New("instead of an item: " + excerpt(message))
	}
	number, err := strconv.ParseInt(textOf(message, "sequence"), 10, 64)
	if err != nil {
		return errors.New("an item without a number: " + excerpt(message))
	}
	return o.next(number)
}

// bookedAt is when an entry was booked, to the millisecond: its identifier is a UUIDv7 (RFC 9562, section 5.7) of that time.
func bookedAt(entry string) (time.Time, error) {
	u, err := answer.Decode(answer.EntryPrefix, entry)
	return time.UnixMilli(int64(binary.BigEndian.Uint64(u[:8]) >> 16)), err
}

// payers are subscribers each of whom prepares a payment, follows it until it is complete, and begins again.
type payers struct {
	t     *tenant
	ready chan string // payments whose subscribers wait for them to be confirmed, who waits longest first
}

func newPayers(t *tenant, n int) *payers { return &payers{t, make(chan string, n)} }

func (p *payers) follow(a *audience, s *socket) error {
	for random := newRandom(); ; {
		id, err := p.prepare(s, random)
		if err != nil {
			return err
		}
		if err := p.one(a, s, id); err != nil {
			return err
		}
	}
}

// prepare makes a payment that is yet to be confirmed, over the subscriber's own socket.
func (p *payers) prepare(s *socket, random *rand.Rand) (id string, err error) {
	key := make([]byte, keyLength)
	freshKey(random, key)
	from, to := two(random, len(p.t.accounts))
	begin, err := operation(prepareOperation, preparePayment, map[string]any{"input": map[string]any{
		"idempotencyKey": string(key), "amount": map[string]string{"amount": paidAmount, "currency": currency},
		"source": map[string]string{"accountId": p.t.accounts[from]}, "destinationAccountId": p.t.accounts[to],
	}})
	if err != nil {
		return "", err
	}
	if err := s.send(begin); err != nil {
		return "", err
	}
	message, err := s.receive()
	if err != nil {
		return "", err
	}
	text := excerpt(message)
	if id = textOf(message, `payment":{"id`); id == "" || textOf(message, "status") != "REQUIRES_CONFIRMATION" {
		return "", errors.New("createPayment was answered " + text)
	}
	if message, err = s.receive(); err == nil && !isComplete(message, prepareOperation) {
		err = errors.New("after the answer to createPayment: " + excerpt(message))
	}
	return id, err
}

// one follows one payment: as it is, then its confirmation, then the end, and nothing else.
func (p *payers) one(a *audience, s *socket, id string) error {
	begin, err := operation(streamOperation, paymentStatus, map[string]string{"id": id})
	if err != nil {
		return err
	}
	if err := s.send(begin); err != nil {
		return err
	}
	numbers := order{}
	for _, status := range []string{"REQUIRES_CONFIRMATION", "SUCCEEDED"} {
		message, err := s.receive()
		if err != nil {
			return err
		}
		first := !numbers.begun
		if err := numbers.take(message); err != nil {
			return err
		}
		if got := textOf(message, "status"); got != status {
			return fmt.Errorf("status %s instead of %s", got, status)
		}
		if first {
			a.begun.Add(1)
			p.ready <- id
			continue
		}
		committed, err := time.Parse(time.RFC3339Nano, textOf(message, "occurredAt"))
		if err != nil {
			return err
		}
		a.arrived(committed)
	}
	message, err := s.receive()
	if err == nil && !isComplete(message, streamOperation) {
		err = errors.New("instead of complete: " + excerpt(message))
	}
	if err == nil {
		a.ended.Add(1)
	}
	return err
}

// confirmations is traffic that confirms prepared payments.
type confirmations struct {
	ctx     context.Context // with its end nobody prepares payments any more
	ready   <-chan string
	request []byte
	key, id int // where they begin
}

func (p *payers) confirmations(ctx context.Context, address string) (*confirmations, error) {
	key, id := strings.Repeat("K", keyLength), answer.Encode(answer.PaymentPrefix, answer.UUID{})
	request, err := graphQL(address, p.t.token, confirmPayment, map[string]any{"input": map[string]string{"idempotencyKey": key, "paymentId": id}})
	return &confirmations{ctx, p.ready, request, bytes.Index(request, []byte(key)), bytes.Index(request, []byte(id))}, err
}

func (c *confirmations) next(r *rand.Rand, buffer []byte) []byte {
	buffer = append(buffer[:0], c.request...)
	freshKey(r, buffer[c.key:c.key+keyLength])
	select {
	case id := <-c.ready:
		copy(buffer[c.id:], id)
	case <-c.ctx.Done():
	}
	return buffer
}

func (*confirmations) judge(status int, body []byte) verdict {
	if status == http.StatusOK && bytes.Contains(body, succeeded) && bytes.Contains(body, executed) {
		return verdict{good: true}
	}
	if v := dissect(status, body, nil); v.reason != "" {
		return v
	}
	return verdict{reason: fmt.Sprintf("HTTP %d: %s", status, excerpt(body))}
}
