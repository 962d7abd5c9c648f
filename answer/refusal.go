package answer

import (
	"fmt"
	"time"
)

// Code is the machine-readable name of a refusal, as the schema's ErrorCode has it.
type Code string

// The codes of refusals, each beside the type that carries it.
const (
	CodeValidationFailed      Code = "VALIDATION_FAILED"
	CodeNotFound              Code = "NOT_FOUND"
	CodeVersionConflict       Code = "VERSION_CONFLICT"
	CodeInvalidState          Code = "INVALID_STATE"
	CodeExceedsCapturable     Code = "AMOUNT_EXCEEDS_CAPTURABLE"
	CodeExceedsRefundable     Code = "AMOUNT_EXCEEDS_REFUNDABLE"
	CodeNotReversible         Code = "NOT_REVERSIBLE"
	CodeInsufficientFunds     Code = "INSUFFICIENT_FUNDS"
	CodeAccountNotActive      Code = "ACCOUNT_NOT_ACTIVE"
	CodeAccountNotEmpty       Code = "ACCOUNT_NOT_EMPTY"
	CodeBalanceOutOfRange     Code = "BALANCE_OUT_OF_RANGE"
	CodeCurrencyMismatch      Code = "CURRENCY_MISMATCH"
	CodeHoldNotOpen           Code = "HOLD_NOT_OPEN"
	CodeHoldOfPayment         Code = "HOLD_OF_PAYMENT"
	CodeIdempotencyKeyReused  Code = "IDEMPOTENCY_KEY_REUSED"
	CodeIdempotencyKeyExpired Code = "IDEMPOTENCY_KEY_EXPIRED"
	CodeIdempotencyInProgress Code = "IDEMPOTENCY_IN_PROGRESS"
)

// Refusal is the gateway's own no: a Go error that is part of the contract, a member of a mutation's result union. Nothing
// changed but the record of the idempotency key. Its exported fields are what is frozen under that key, so they have stable names.
type Refusal interface {
	error
	Code() Code
	Message() string
	// Path leads to the argument that caused the refusal: "input", "amount". Nil where no single one did.
	Path() []string
	// Retryable says whether the same request with the same key may yet succeed.
	Retryable() bool
}

// Outcome is a member of a mutation's result union: a success, which its domain defines, or a Refusal.
type Outcome interface{}

// Recorded is a base for refusals that read state: they are recorded under the key, so that the same request gets the same
// answer until the key expires, and a new attempt needs a new key. At is the path to the argument.
type Recorded struct {
	At []string `json:"at,omitempty"`
}

// Path leads to the argument that caused the refusal.
func (r Recorded) Path() []string { return r.At }

// Retryable is false: the answer is recorded.
func (Recorded) Retryable() bool { return false }

// NotFound refuses an identifier that the principal cannot see: it never was, is another merchant's, or is of another kind.
type NotFound struct {
	Recorded
	ResourceID string `json:"resourceId"`
}

// Code is NOT_FOUND.
func (NotFound) Code() Code { return CodeNotFound }

// Message says which identifier was not found.
func (r NotFound) Message() string { return fmt.Sprintf("There is no %s here.", r.ResourceID) }

func (r NotFound) Error() string { return r.Message() }

// VersionConflict refuses to change an object that has changed since the client read it.
type VersionConflict struct {
	Recorded
	ResourceID      string `json:"resourceId"`
	ExpectedVersion int32  `json:"expectedVersion"` // the client's
	CurrentVersion  int32  `json:"currentVersion"`  // the object's
}

// Code is VERSION_CONFLICT.
func (VersionConflict) Code() Code { return CodeVersionConflict }

// Message says which version was expected, and which there is.
func (r VersionConflict) Message() string {
	return fmt.Sprintf("It has version %d by now, and %d was expected: look at it again.", r.CurrentVersion, r.ExpectedVersion)
}

func (r VersionConflict) Error() string { return r.Message() }

// CheckVersion refuses where the client expects another version; nil expects nothing.
func CheckVersion(id string, expected *int32, current int32) error {
	if expected == nil || *expected == current {
		return nil
	}
	return VersionConflict{Recorded{At: []string{"input", "expectedVersion"}}, id, *expected, current}
}

// IdempotencyKeyReused refuses a key that has been used for another request.
type IdempotencyKeyReused struct {
	ConflictingPaths  []string
	OriginalOperation string
	FirstSeenAt       time.Time
}

// Code is IDEMPOTENCY_KEY_REUSED.
func (IdempotencyKeyReused) Code() Code { return CodeIdempotencyKeyReused }

// Message says what the key was used for.
func (r IdempotencyKeyReused) Message() string {
	return fmt.Sprintf("This idempotency key was used at %s for %s with other input. Use a new key for a new request.",
		r.FirstSeenAt.Format("2006-01-02T15:04:05Z"), r.OriginalOperation)
}

func (r IdempotencyKeyReused) Error() string { return r.Message() }

// Path leads to the key.
func (IdempotencyKeyReused) Path() []string { return []string{"input", "idempotencyKey"} }

// Retryable is false: the key stays taken.
func (IdempotencyKeyReused) Retryable() bool { return false }

// IdempotencyKeyExpired refuses a key whose request was so long ago that it is answered no more. It is not done again either.
type IdempotencyKeyExpired struct {
	FirstSeenAt time.Time
}

// Code is IDEMPOTENCY_KEY_EXPIRED.
func (IdempotencyKeyExpired) Code() Code { return CodeIdempotencyKeyExpired }

// Message says when the key was used.
func (r IdempotencyKeyExpired) Message() string {
	return fmt.Sprintf("This idempotency key was used at %s, too long ago for its request to be answered again, and nothing was done. "+
		"Use a new key for a new request.", r.FirstSeenAt.Format("2006-01-02T15:04:05Z"))
}

func (r IdempotencyKeyExpired) Error() string { return r.Message() }

// Path leads to the key.
func (IdempotencyKeyExpired) Path() []string { return []string{"input", "idempotencyKey"} }

// Retryable is false: the key stays taken.
func (IdempotencyKeyExpired) Retryable() bool { return false }

// IdempotencyInProgress tells that another request with the same key was unfinished when this one's time was up.
type IdempotencyInProgress struct{}

// Code is IDEMPOTENCY_IN_PROGRESS.
func (IdempotencyInProgress) Code() Code { return CodeIdempotencyInProgress }

// Message says what to do.
func (IdempotencyInProgress) Message() string {
	return "Another request with this idempotency key is still being worked on. Ask again with the same key."
}

func (r IdempotencyInProgress) Error() string { return r.Message() }

// Path leads to the key.
func (IdempotencyInProgress) Path() []string { return []string{"input", "idempotencyKey"} }

// Retryable is true: the other request will finish.
func (IdempotencyInProgress) Retryable() bool { return true }
