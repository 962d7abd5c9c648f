// Package scalar reads and writes the schema's scalars. They check form only; what needs a second value, such as the digits of a
// currency, is for the domain. It stands apart because the generated code imports it.
package scalar

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/money"
)

// Limits of an idempotency key, in characters.
const (
	MinKeyLength = 16
	MaxKeyLength = 255
)

// FormError says what is wrong with the form of a value.
type FormError string

func (e FormError) Error() string { return string(e) }

func formError(text string) error { return FormError(text) }

func formErrorf(format string, args ...any) error { return FormError(fmt.Sprintf(format, args...)) }

var errText = formError("text must be valid UTF-8 without the character U+0000")

// MarshalString writes a text.
func MarshalString(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalString reads a text that the database can keep: no U+0000, no invalid UTF-8.
func UnmarshalString(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", formError("this is not a string")
	}
	if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		return "", errText
	}
	return s, nil
}

// MarshalID writes an identifier.
func MarshalID(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalID reads an identifier. GraphQL lets clients write one as a whole number too (section 3.5.5); here such a one is unknown.
func UnmarshalID(v any) (string, error) {
	switch n := v.(type) {
	case int64:
		return strconv.FormatInt(n, 10), nil
	case json.Number:
		return n.String(), nil
	}
	return UnmarshalString(v)
}

// MarshalIdempotencyKey writes a key.
func MarshalIdempotencyKey(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalIdempotencyKey reads 16 to 255 printable ASCII characters.
func UnmarshalIdempotencyKey(v any) (string, error) {
	s, ok := v.(string)
	if !ok || len(s) < MinKeyLength || len(s) > MaxKeyLength {
		return "", formErrorf("an idempotency key has %d to %d printable ASCII characters", MinKeyLength, MaxKeyLength)
	}
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return "", formError("an idempotency key has printable ASCII characters only, and no spaces")
		}
	}
	return s, nil
}

// MarshalDecimal writes a decimal number.
func MarshalDecimal(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalDecimal reads a decimal number as a string; a number of JSON may have lost digits already.
func UnmarshalDecimal(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", formError(`a decimal number is written as a string: "12.50"`)
	}
	if err := money.CheckSyntax(s); err != nil {
		return "", formErrorf(`%v: write it as "12.50"`, err)
	}
	return s, nil
}

// MarshalBigInt writes a whole number as a string.
func MarshalBigInt(n int64) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		var room [24]byte
		_, _ = w.Write(append(strconv.AppendInt(append(room[:0], '"'), n, 10), '"'))
	})
}

// UnmarshalBigInt reads a whole number from a string.
func UnmarshalBigInt(v any) (int64, error) {
	s, ok := v.(string)
	if !ok {
		return 0, formError(`a BigInt is written as a string: "9007199254740993"`)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, formError("a BigInt is a whole number of at most 64 bits")
	}
	return n, nil
}

// MarshalDateTime writes a time in UTC with microseconds.
func MarshalDateTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		var room [32]byte
		_, _ = w.Write(append(appendDateTime(append(room[:0], '"'), t.UTC()), '"'))
	})
}

// appendDateTime writes 2006-01-02T15:04:05.000000Z. Its numbers are written by hand: lists have many times, and a layout is read each time.
func appendDateTime(b []byte, t time.Time) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = append(appendDigits(b, year, 4), '-')
	b = append(appendDigits(b, int(month), 2), '-')
	b = append(appendDigits(b, day, 2), 'T')
	b = append(appendDigits(b, hour, 2), ':')
	b = append(appendDigits(b, minute, 2), ':')
	b = append(appendDigits(b, second, 2), '.')
	return append(appendDigits(b, t.Nanosecond()/1000, 6), 'Z')
}

// appendDigits writes a number that is not negative with leading zeros.
func appendDigits(b []byte, n, digits int) []byte {
	b = append(b, "000000"[:digits]...)
	for i := len(b) - 1; n > 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return b
}

// UnmarshalDateTime reads a time with its offset (RFC 3339).
func UnmarshalDateTime(v any) (time.Time, error) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, formError("a DateTime is a string as RFC 3339 has it")
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, formError(`a DateTime is written as "2026-11-24T09:30:00Z"`)
	}
	if year := t.UTC().Year(); year < 1 || year > 9999 {
		return time.Time{}, formError("a DateTime lies in the years 1 to 9999")
	}
	return t.UTC(), nil
}

// MarshalDate writes a day.
func MarshalDate(t time.Time) graphql.Marshaler {
	return graphql.MarshalString(t.Format(time.DateOnly))
}

// UnmarshalDate reads a day.
func UnmarshalDate(v any) (time.Time, error) {
	s, _ := v.(string)
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}, formError(`a Date is written as "2026-11-24"`)
	}
	return t, nil
}

// MarshalMetadata writes an object of strings; without any, null.
func MarshalMetadata(m answer.Metadata) graphql.Marshaler {
	if len(m) == 0 {
		return graphql.Null
	}
	return graphql.MarshalAny(map[string]string(m))
}

// UnmarshalMetadata reads an object of strings.
func UnmarshalMetadata(v any) (answer.Metadata, error) {
	object, ok := v.(map[string]any)
	if !ok {
		return nil, formError("metadata is an object of strings")
	}
	metadata := make(answer.Metadata, len(object))
	for name, value := range object {
		text, err := UnmarshalString(value)
		if err != nil {
			return nil, formErrorf("metadata is an object of strings: %v", err)
		}
		if name, err = UnmarshalString(name); err != nil {
			return nil, err
		}
		metadata[name] = text
	}
	return metadata, nil
}

// MarshalScope writes a scope as the schema's enum has it.
func MarshalScope(s auth.Scope) graphql.Marshaler {
	return graphql.MarshalString(strings.ToUpper(strings.ReplaceAll(string(s), ":", "_")))
}

// UnmarshalScope reads a scope as the schema's enum has it.
func UnmarshalScope(v any) (auth.Scope, error) {
	s, _ := v.(string)
	return auth.ScopeOfEnum(s), nil
}
