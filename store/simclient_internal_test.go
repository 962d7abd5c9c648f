package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

// ask is a command that a client gives, to any node.
type ask func(ctx context.Context, n *simNode, key string) (id string, replayed bool, err error)

// asked is a key with what was answered to it.
type asked struct {
	key     string
	ask     ask
	what    string
	poison  bool
	first   string // the first answer that stands: an object's identifier, or a refusal
	fresh   int    // answers that are no replays
	in      int    // requests that are under way
	unknown bool   // of one the outcome is not known
}

func dollars(n int) money.Input { return money.Input{Amount: fmt.Sprint(n), Currency: "USD"} }

// client gives commands one after the other, each until its answer stands, or until it has had enough.
func (w *world) client(n int) {
	defer func() { w.working-- }()
	for c := 0; !w.calm; c++ {
		a := w.think(fmt.Sprintf("client-%02d-command-%03d", n, c))
		w.asked = append(w.asked, a)
		for range w.Rand.IntN(10) / 9 { // somebody has pressed twice
			w.working++
			w.outside.Go(func() { defer func() { w.working-- }(); w.insist(a) })
		}
		w.insist(a)
		if w.Rand.IntN(10) == 0 {
			w.confuse(a)
		}
		w.pause(3 * time.Second)
	}
}

// think makes a command.
func (w *world) think(key string) *asked {
	one, other := w.Rand.IntN(len(w.wallets)), w.Rand.IntN(len(w.wallets)-1)
	from, to := w.wallets[one], w.wallets[(one+1+other)%len(w.wallets)]
	amount := dollars(1 + w.Rand.IntN(9))
	a := &asked{key: key}
	switch w.Rand.IntN(18) {
	case 0, 1, 2:
		a.what, a.ask = "transferFunds", transfers(from, to, amount)
	case 3:
		a.what, a.ask = "placeHold", holds(from, amount)
	case 4:
		a.what, a.ask = "releaseHold", releases(pick(w, w.holds))
	case 5:
		status := []ledger.Status{ledger.Active, ledger.Active, ledger.Frozen}[w.Rand.IntN(3)]
		a.what, a.ask = "setAccountStatus", func(ctx context.Context, n *simNode, key string) (string, bool, error) {
			s, err := n.ledger.SetAccountStatus(ctx, simPrincipal, ledger.SetAccountStatusInput{
				IdempotencyKey: key, AccountID: from, Status: status, Reason: "because",
			})
			return idOf(s.Account), s.Replayed, err
		}
	case 6:
		a.what, a.ask, a.poison = "a poison", transfers(from, to, amount), true
		a.key = poisonKey + key
		if w.Rand.IntN(2) == 0 {
			a.ask = panics
		}
	case 7, 8:
		a.what, a.ask = "reverseTransfer", reverses(pick(w, w.transfers))
	case 9, 10, 11:
		a.what, a.ask = w.thinkOfPaying(from, to, amount)
	default:
		a.what, a.ask = w.thinkOfPayment(amount)
	}
	return a
}

// pick is any of what is known, or nothing.
func pick[T ~string](w *world, from []T) T {
	if len(from) == 0 {
		return "pay_nothing"
	}
	return from[w.Rand.IntN(len(from))]
}

func idOf[T interface {
	comparable
	NodeID() string
}](object T) string {
	var none T
	if object == none {
		return ""
	}
	return object.NodeID()
}

func transfers(from, to ledger.AccountID, amount money.Input) ask {
	return func(ctx context.Context, n *simNode, key string) (string, bool, error) {
		s, err := n.ledger.TransferFunds(ctx, simPrincipal, ledger.TransferFundsInput{
			IdempotencyKey: key, FromAccountID: from, ToAccountID: to, Amount: amount, Reference: &key,
		})
		return idOf(s.Transaction), s.Replayed, err
	}
}

func holds(from ledger.AccountID, amount money.Input) ask {
	return func(ctx context.Context, n *simNode, key string) (string, bool, error) {
		s, err := n.ledger.PlaceHold(ctx, simPrincipal, ledger.PlaceHoldInput{IdempotencyKey: key, AccountID: from, Amount: amount, Reference: &key})
		return idOf(s.Transaction), s.Replayed, err
	}
}

func releases(id ledger.HoldID) ask {
	return func(ctx context.Context, n *simNode, key string) (string, bool, error) {
		s, err := n.ledger.ReleaseHold(ctx, simPrincipal, ledger.ReleaseHoldInput{IdempotencyKey: key, HoldID: id, Reason: "because"})
		return idOf(s.Transaction), s.Replayed, err
	}
}

func reverses(id ledger.TransactionID) ask {
	return func(ctx context.Context, n *simNode, key string) (string, bool, error) {
		s, err := n.ledger.ReverseTransfer(ctx, simPrincipal, ledger.ReverseTransferInput{IdempotencyKey: key, TransactionID: id, Reason: key})
		return idOf(s.Transaction), s.Replayed, err
	}
}

// panics has a defect in its decision.
func panics(ctx context.Context, n *simNode, key string) (string, bool, error) {
	_, err := Committer[merchant.Batch](n.store).Commit(ctx, command.Command[merchant.Batch]{
		Envelope: command.Envelope{Principal: simPrincipal, Operation: "panics", Key: key},
		Decide:   func(merchant.Batch) (command.Object, error) { panic("a defect") },
	})
	return "", false, err
}

// insist asks until the answer stands. Some give up before.
func (w *world) insist(a *asked) {
	for patience := 1 + w.Rand.IntN(30); patience > 0 && w.wrong == nil; patience-- {
		if w.try(a, a.ask) {
			return
		}
		w.pause(2 * time.Second)
	}
}

// reply is what comes back of a request.
type reply struct {
	id       string
	replayed bool
	err      error
}

// errSilent says that a node does not answer, because it is frozen or dead.
var errSilent = errors.New("no answer")

// send asks a node. A client waits longer than its request, but not for ever.
func (w *world) send(n int, a *asked, ask ask) (r reply) {
	node := w.nodes[n]
	most := 100*time.Millisecond + time.Duration(w.Rand.Int64N(int64(12*time.Second)))
	harmed, done, got := w.seen.Killed+w.seen.Frozen, make(chan struct{}), &reply{}
	isWell := !node.gone && !node.frozen
	ctx, cancel := context.WithDeadline(context.Background(), node.host.Now().Add(most))
	defer cancel()
	node.host.Go(func() {
		got.id, got.replayed, got.err = ask(ctx, node, a.key)
		close(done)
	})
	a.in++
	come := w.outside.Wait(min(most, callerPatience)+4*time.Second, done) // a replay's object is read, which may take a while
	a.in--
	switch {
	case come != clock.TimeUp:
		return *got
	case isWell && harmed == w.seen.Killed+w.seen.Frozen:
		w.fail("%s has waited for %v in vain, at a node that is well", a.key, most)
	}
	return reply{err: errSilent}
}

// try asks any node once, and says whether the answer stands.
func (w *world) try(a *asked, ask ask) bool {
	n, begin := w.Rand.IntN(len(w.nodes)), w.Elapsed()
	got := w.send(n, a, ask)
	id, err := got.id, got.err
	w.log.Info("answered", "key", a.key, "what", a.what, "node", n, "took", w.Elapsed()-begin, "id", id, "replayed", got.replayed, "error", err)
	var refusal answer.Refusal
	var expired answer.IdempotencyKeyExpired
	switch {
	case errors.As(err, &expired):
		w.mayExpire(a, expired)
		return true
	case errors.As(err, &refusal) && refusal.Code() == answer.CodeIdempotencyInProgress, errors.Is(err, command.ErrOutcomeUnknown),
		errors.Is(err, errSilent):
		a.unknown = true
		w.seen.Unknown++
		return false
	case errors.Is(err, command.ErrUnavailable), errors.Is(err, command.ErrRateLimited):
		w.seen.Unavailable++
		if _, known := w.db.shelves[simMerchant].records[key{"", a.key}]; known && a.in == 0 && !a.unknown && a.first == "" {
			w.fail("%s was answered to be undone, and is done", a.key)
		}
		return false
	case errors.Is(err, command.ErrInternal) && a.poison:
		w.seen.Poisoned++
		return true
	case err != nil && refusal == nil, a.poison:
		w.fail("%s (%s) was answered %q, %v", a.key, a.what, id, err)
		return true
	case refusal != nil:
		frozen, err := json.Marshal(refusal)
		if err != nil {
			w.fail("%s: %v", a.key, err)
		}
		id = fmt.Sprintf("%s %s", refusal.Code(), frozen)
		w.seen.Refused++
		if state, ok := refusal.(payment.InvalidState); ok && strings.HasPrefix(state.Reason, "Its time was up") {
			w.seen.Late++
		}
	}
	w.stands(a, id, got.replayed)
	return true
}

// mayExpire checks that a key that is refused for its age has it: in some runs more than a month passes. It may be that of this very request, whose answer
// was lost, so that its client has learned nothing.
func (w *world) mayExpire(a *asked, refusal answer.IdempotencyKeyExpired) {
	s := w.db.shelves[simMerchant]
	r, known := s.records[key{"", a.key}]
	old, now := r.createdAt.Add(command.KeyLifetime), w.db.host.Now().Add(w.db.setBack)
	if !known || !r.createdAt.Equal(refusal.FirstSeenAt) || now.Before(old) {
		w.fail("%s is refused as of %v, and has a record: %v, of %v", a.key, refusal.FirstSeenAt, known, r.createdAt)
	}
	a.unknown = true
	w.seen.Old++
}

// stands compares an answer with the first one.
func (w *world) stands(a *asked, got string, replayed bool) {
	w.seen.Answered++
	if replayed {
		w.seen.Replayed++
	} else if !strings.Contains(got, "{") { // what refuses does not say whether it was replayed
		a.fresh++
	}
	switch {
	case a.first != "" && got != a.first:
		w.fail("%s (%s) was answered %s, and now %s", a.key, a.what, a.first, got)
	case a.fresh > 1:
		w.fail("%s (%s) was done twice: %s", a.key, a.what, got)
	case a.first == "":
		w.learn(got)
	}
	a.first = got
}

// learn keeps what later commands can name.
func (w *world) learn(id string) {
	switch {
	case strings.HasPrefix(id, "pay_"):
		w.payments = append(w.payments, payment.ID(id))
	case strings.HasPrefix(id, "txn_"):
		made, of := ledger.HoldID(answer.Derive(answer.HoldPrefix, id, 0)), ledger.TransactionID(id)
		switch s := w.db.shelves[simMerchant]; {
		case s.holds[made].ID != "":
			w.holds = append(w.holds, made)
		case s.posted[of] != nil && s.posted[of].Kind == ledger.Transfer:
			w.transfers = append(w.transfers, of)
		}
	}
}

// confuse asks for something else with a key that is known.
func (w *world) confuse(a *asked) {
	if a.first == "" {
		return
	}
	other := &asked{key: a.key, what: "another request with the key of " + a.what}
	got := w.send(w.Rand.IntN(len(w.nodes)), other, transfers(w.wallets[0], w.wallets[1], dollars(1_000_000)))
	err := got.err
	var reused answer.IdempotencyKeyReused
	if !errors.As(err, &reused) && !errors.As(err, new(answer.IdempotencyKeyExpired)) && !errors.Is(err, command.ErrOutcomeUnknown) &&
		!errors.Is(err, command.ErrUnavailable) && !errors.Is(err, answer.IdempotencyInProgress{}) && !errors.Is(err, errSilent) {
		w.fail("%s is given for %s: %q, %v", a.key, other.what, got.id, err)
	}
}

// askAgain asks for all that was asked for, now that there is no trouble: what stands is answered again, and what was said to be undone was
// not done.
func (w *world) askAgain() {
	defer func() { w.working-- }()
	for _, a := range w.asked {
		_, known := w.db.shelves[simMerchant].records[key{"", a.key}]
		switch {
		case a.in > 0:
			w.fail("%s waits for ever", a.key)
		case a.poison && known:
			w.fail("%s is a poison, and was done", a.key)
		case a.first != "" && !known:
			w.fail("%s was answered %s, and is lost", a.key, a.first)
		case a.first == "" && !a.unknown && known:
			w.fail("%s was answered to be undone, and is done", a.key)
		}
		for try := 0; !w.try(a, a.ask); try++ {
			if try > 3 || w.wrong != nil {
				w.fail("%s gets no answer in peace", a.key)
				return
			}
		}
	}
}
