package event

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// State is a JSON object in the making: the bytes that an event keeps of an object. Numbers are strings, because JSON's readers
// do not agree on large ones; what may be personal stands in it as a salted hash. The order of the fields is the order of the
// calls, so that the same object always gives the same bytes.
type State []byte

// Text adds a text field; an empty text is left out.
func (s State) Text(name, text string) State {
	if text == "" {
		return s
	}
	return appendText(s.name(name), text)
}

// Int adds a number, as a string.
func (s State) Int(name string, n int64) State {
	s = append(s.name(name), '"')
	return append(strconv.AppendInt(s, n, 10), '"')
}

// Time adds a time in UTC with microseconds, the form that DateTime has in the API.
func (s State) Time(name string, t time.Time) State {
	s = append(s.name(name), '"')
	return append(t.UTC().AppendFormat(s, "2006-01-02T15:04:05.000000Z"), '"')
}

// Salted adds the hash of a text that may be personal; an empty text is left out. Without the salt, which stays with the object
// and can be erased with it, the hash tells nothing.
func (s State) Salted(name string, salt []byte, text string) State {
	if text == "" {
		return s
	}
	sum := sha256.Sum256(slices.Concat(salt, []byte(name), []byte{0}, []byte(text)))
	return s.Text(name, hex.EncodeToString(sum[:16]))
}

// SaltedMap adds the hash of texts by name, in the order of their names; an empty map is left out.
func (s State) SaltedMap(name string, salt []byte, texts map[string]string) State {
	if len(texts) == 0 {
		return s
	}
	var all []byte
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		all = appendText(appendText(all, key), texts[key])
	}
	return s.Salted(name, salt, string(all))
}

// List adds a list of objects.
func (s State) List(name string, objects []State) State {
	s = append(s.name(name), '[')
	for i, object := range objects {
		if i > 0 {
			s = append(s, ',')
		}
		s = append(s, object.Close()...)
	}
	return append(s, ']')
}

// Object adds an object.
func (s State) Object(name string, object State) State {
	return append(s.name(name), object.Close()...)
}

// Close ends the object and returns its bytes. Nothing is added afterwards.
func (s State) Close() []byte {
	if len(s) == 0 {
		return []byte("{}")
	}
	return append(s, '}')
}

func (s State) name(name string) State {
	if len(s) == 0 {
		s = append(s, '{')
	} else {
		s = append(s, ',')
	}
	return append(append(append(s, '"'), name...), '"', ':')
}

const hexDigits = "0123456789abcdef"

// appendText writes a JSON string: as short as RFC 8785 (section 3.2.2.2) wants it, so that any JCS library makes the same bytes.
func appendText(s []byte, text string) []byte {
	s = append(s, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			s = append(s, '\\', byte(r))
		case r >= 0x20:
			s = utf8.AppendRune(s, r)
		case r == '\b':
			s = append(s, '\\', 'b')
		case r == '\t':
			s = append(s, '\\', 't')
		case r == '\n':
			s = append(s, '\\', 'n')
		case r == '\f':
			s = append(s, '\\', 'f')
		case r == '\r':
			s = append(s, '\\', 'r')
		default:
			s = append(s, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		}
	}
	return append(s, '"')
}
