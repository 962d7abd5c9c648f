package command

import (
	"strconv"
	"strings"
	"time"

	"github.com/paygraph/paygraph/answer"
)

// TimerKind says what is to be done when a timer is due.
type TimerKind string

// PaymentExpires ends a payment that nobody has confirmed, or whose authorised money nobody has taken.
const PaymentExpires TimerKind = "PAYMENT_EXPIRES"

// Object is the prefix of the objects that timers of this kind are for.
func (TimerKind) Object() answer.Prefix { return answer.PaymentPrefix }

// Timer is something that is to happen to an object later. The commit that needs one writes it as a row, and the commit that serves it
// takes the row away, or by one that makes it unnecessary. A timer whose object has moved on all the same does nothing when it is due.
type Timer struct {
	Kind     TimerKind
	ObjectID string
	DueAt    time.Time
}

// Key is the idempotency key of the command that serves the timer: whoever comes second finds that it has been served.
func (t Timer) Key() string {
	return "timer:" + t.ObjectID + ":" + string(t.Kind) + ":" + strconv.FormatInt(t.DueAt.UnixMicro(), 10)
}

// IsTimerKey says whether a key is that of a timer of an object.
func IsTimerKey(key, objectID string) bool {
	parts := strings.Split(key, ":")
	micros, err := strconv.ParseInt(parts[len(parts)-1], 10, 64)
	return err == nil && len(parts) == 4 && key == Timer{TimerKind(parts[2]), objectID, time.UnixMicro(micros)}.Key()
}

// Due is a timer with its merchant.
type Due struct {
	Merchant answer.MerchantID
	Timer
}
