// Package answer holds the shapes that every domain answers with: identifiers, refusals, outcomes and pages. It is a leaf.
package answer

import (
	"encoding/hex"
	"errors"
	"strings"
)

// UUID is the 16 bytes that the database keeps for an identifier.
type UUID [16]byte

// String is the UUID in RFC 9562's hexadecimal form, as PostgreSQL reads and prints it.
func (u UUID) String() string {
	var text [36]byte
	hex.Encode(text[0:8], u[0:4])
	hex.Encode(text[9:13], u[4:6])
	hex.Encode(text[14:18], u[6:8])
	hex.Encode(text[19:23], u[8:10])
	hex.Encode(text[24:36], u[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// Prefix is the word before the underscore of an identifier; it names the kind of object.
type Prefix string

// The prefixes of the objects that exist.
const (
	MerchantPrefix    Prefix = "mer"
	CustomerPrefix    Prefix = "cus"
	AccountPrefix     Prefix = "acc"
	PaymentPrefix     Prefix = "pay"
	TransactionPrefix Prefix = "txn"
	EntryPrefix       Prefix = "ent"
	EventPrefix       Prefix = "evt"
	HoldPrefix        Prefix = "hol"
	CapturePrefix     Prefix = "cap"
	RefundPrefix      Prefix = "ref"
)

// ErrNotAnID is returned for text that is no identifier. To a client such text is the same as an identifier that never was.
var ErrNotAnID = errors.New("not an identifier")

// Crockford's base 32 in lower case, which TypeID 0.3 uses.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

const encodedLength = 26

var digitOf = func() (table [256]byte) {
	for i := range table {
		table[i] = 0xff
	}
	for i := range alphabet {
		table[alphabet[i]] = byte(i)
	}
	return table
}()

// Encode writes a UUID as a TypeID: the prefix, an underscore, and 26 characters of base 32 (TypeID specification 0.3).
func Encode(prefix Prefix, u UUID) string {
	text := make([]byte, 0, len(prefix)+1+encodedLength)
	text = append(text, prefix...)
	text = append(text, '_')
	// 130 bits hold the 128, two zero bits first: five bits a character from the left.
	var window uint32
	bits := 2
	for _, b := range u {
		window = window<<8 | uint32(b)
		bits += 8
		for bits >= 5 {
			bits -= 5
			text = append(text, alphabet[window>>bits&31])
		}
	}
	return string(text)
}

// Derive is Encode of the UUID of an identifier with another last byte. It touches the two characters that have this byte; id has to be an
// identifier.
func Derive(prefix Prefix, id string, last byte) string {
	text := make([]byte, 0, len(prefix)+1+encodedLength)
	text = append(append(append(text, prefix...), '_'), id[len(id)-encodedLength:]...)
	n := len(text)
	text[n-2] = alphabet[digitOf[text[n-2]]&^7|last>>5]
	text[n-1] = alphabet[last&31]
	return string(text)
}

// Decode reads a TypeID with the prefix that is expected, and returns ErrNotAnID for anything else.
func Decode(prefix Prefix, id string) (UUID, error) {
	var u UUID
	if len(id) != len(prefix)+1+encodedLength || !strings.HasPrefix(id, string(prefix)) || id[len(prefix)] != '_' {
		return u, ErrNotAnID
	}
	text := id[len(prefix)+1:]
	if text[0] > '7' {
		return u, ErrNotAnID
	}
	window := uint32(0)
	bits, at := -2, 0
	for i := range len(text) {
		digit := digitOf[text[i]]
		if digit == 0xff {
			return UUID{}, ErrNotAnID
		}
		window = window<<5 | uint32(digit)
		bits += 5
		if bits >= 8 {
			bits -= 8
			u[at] = byte(window >> bits)
			at++
		}
	}
	return u, nil
}

// PrefixOf returns what stands before the last underscore of an identifier.
func PrefixOf(id string) Prefix {
	return Prefix(id[:max(0, strings.LastIndexByte(id, '_'))])
}

// MerchantID names a merchant, the tenant: "mer_" and a UUIDv7. It stands in this leaf, since principals and events name their
// merchant, and the package merchant builds on them.
type MerchantID string

// Scan reads a uuid as database drivers give it: 16 bytes, or the hexadecimal form (sql.Scanner).
func (u *UUID) Scan(value any) error {
	text, ok := value.(string)
	if bytes, isBytes := value.([]byte); isBytes {
		if len(bytes) == len(u) {
			copy(u[:], bytes)
			return nil
		}
		text, ok = string(bytes), true
	}
	bytes, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if !ok || err != nil || len(bytes) != len(u) {
		return ErrNotAnID
	}
	copy(u[:], bytes)
	return nil
}
