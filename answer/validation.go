package answer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of what clients send as text, in characters. The schema's descriptions repeat them.
const (
	MaxNameLength          = 200
	MaxReferenceLength     = 200
	MaxReasonLength        = 500
	MaxMetadataKeys        = 50
	MaxMetadataKeyLength   = 40
	MaxMetadataValueLength = 500
)

// Metadata is what a client keeps with an object for its own use: at most 50 strings by name.
type Metadata map[string]string

// ValidationFailed refuses input that cannot be right whatever the state of the merchant is. It lists everything that is wrong
// with the input at once, and is not recorded under the key.
type ValidationFailed struct {
	Violations []Violation
}

// Violation is one thing that is wrong with the input.
type Violation struct {
	Path    []string
	Code    ViolationCode
	Message string
}

// ViolationCode is the machine-readable name of a rule for input.
type ViolationCode string

// The rules for input.
const (
	Required        ViolationCode = "REQUIRED"
	TooLong         ViolationCode = "TOO_LONG"
	TooMany         ViolationCode = "TOO_MANY"
	NotPositive     ViolationCode = "NOT_POSITIVE"
	OutOfRange      ViolationCode = "OUT_OF_RANGE"
	TooManyDigits   ViolationCode = "TOO_MANY_DIGITS"
	UnknownCurrency ViolationCode = "UNKNOWN_CURRENCY"
	MalformedNumber ViolationCode = "MALFORMED_NUMBER"
	SameAccount     ViolationCode = "SAME_ACCOUNT"
)

// Code is VALIDATION_FAILED.
func (ValidationFailed) Code() Code { return CodeValidationFailed }

// Message lists the violations as one sentence.
func (r ValidationFailed) Message() string {
	parts := make([]string, len(r.Violations))
	for i, violation := range r.Violations {
		parts[i] = strings.Join(violation.Path, ".") + ": " + violation.Message
	}
	return strings.Join(parts, " ")
}

func (r ValidationFailed) Error() string { return r.Message() }

// Path leads to the first violation.
func (r ValidationFailed) Path() []string { return r.Violations[0].Path }

// Retryable is false: the same input stays wrong.
func (ValidationFailed) Retryable() bool { return false }

// Violations collects what is wrong with an input. The zero value is ready.
type Violations struct {
	list []Violation
}

// Add notes one violation; path is written with dots: "input.amount".
func (v *Violations) Add(path string, code ViolationCode, format string, args ...any) {
	v.list = append(v.list, Violation{Path: strings.Split(path, "."), Code: code, Message: fmt.Sprintf(format, args...)})
}

// Text checks the length of a text in characters.
func (v *Violations) Text(path, text string, most int) {
	if utf8.RuneCountInString(text) > most {
		v.Add(path, TooLong, "Use at most %d characters.", most)
	}
}

// Metadata checks the number and the lengths of metadata.
func (v *Violations) Metadata(path string, m Metadata) {
	if len(m) > MaxMetadataKeys {
		v.Add(path, TooMany, "Use at most %d keys.", MaxMetadataKeys)
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		value := m[key]
		if key == "" {
			v.Add(path, Required, "A key has at least one character.")
		}
		if utf8.RuneCountInString(key) > MaxMetadataKeyLength {
			v.Add(path, TooLong, "A key has at most %d characters.", MaxMetadataKeyLength)
		}
		if utf8.RuneCountInString(value) > MaxMetadataValueLength {
			v.Add(path, TooLong, "A value has at most %d characters.", MaxMetadataValueLength)
		}
	}
}

// Err is nil, or a ValidationFailed with everything that was noted.
func (v *Violations) Err() error {
	if len(v.list) == 0 {
		return nil
	}
	return ValidationFailed{Violations: v.list}
}
