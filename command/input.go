package command

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"maps"
	"slices"
	"strconv"

	"github.com/paygraph/paygraph/money"
)

// Input is what a key stands for: the values by path, without those that are absent, null or the default. Paths are in the
// order in which the operation lists them.
type Input []Value

// Value is one value of an input, by its path: "input.reference".
type Value struct {
	Path string
	Text string
}

// Text adds a text; an empty one counts as absent.
func (in Input) Text(path, text string) Input {
	if text == "" {
		return in
	}
	return append(in, Value{path, text})
}

// Maybe adds a text that may be null.
func (in Input) Maybe(path string, text *string) Input {
	if text == nil {
		return in
	}
	return in.Text(path, *text)
}

// True adds a flag whose default is false.
func (in Input) True(path string, flag bool) Input {
	if !flag {
		return in
	}
	return append(in, Value{path, "true"})
}

// False adds a flag whose default is true.
func (in Input) False(path string, flag bool) Input {
	if flag {
		return in
	}
	return append(in, Value{path, "false"})
}

// Number adds a number that may be null.
func (in Input) Number(path string, n *int32) Input {
	if n == nil {
		return in
	}
	return append(in, Value{path, strconv.FormatInt(int64(*n), 10)})
}

// MaybeMoney adds an amount that may be null.
func (in Input) MaybeMoney(path string, raw *money.Input, parsed money.Amount) Input {
	if raw == nil {
		return in
	}
	return in.Money(path, *raw, parsed)
}

// Money adds an amount, which counts as minor units: "1.50" and "1.5" are the same request, where both are well formed.
func (in Input) Money(path string, raw money.Input, parsed money.Amount) Input {
	if parsed.Currency == "" {
		return append(in, Value{path, raw.Amount + " " + raw.Currency})
	}
	return append(in, Value{path, strconv.FormatInt(parsed.MinorUnits, 10) + string(parsed.Currency)})
}

// Map adds texts by name, in the order of their names.
func (in Input) Map(path string, texts map[string]string) Input {
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		in = append(in, Value{path + "." + name, texts[name]})
	}
	return in
}

// Fingerprint keeps 8 bytes for each value of an input, so that a request can be compared with an earlier one under the same key
// without keeping what it said: a path, a zero byte, and the first 8 bytes of HMAC-SHA-256 over path and value, again and again.
type Fingerprint []byte

const digestLength = 8

// Fingerprinter makes fingerprints under a secret that all nodes share. It is not safe for concurrent use.
type Fingerprinter struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

// NewFingerprinter uses the secret as HMAC's key.
func NewFingerprinter(secret []byte) *Fingerprinter {
	return &Fingerprinter{mac: hmac.New(sha256.New, secret)}
}

// Of makes the fingerprint of an input.
func (f *Fingerprinter) Of(in Input) Fingerprint {
	size := 0
	for _, value := range in {
		size += len(value.Path) + 1 + digestLength
	}
	print := make(Fingerprint, 0, size)
	for _, value := range in {
		f.mac.Reset()
		f.mac.Write([]byte(value.Path))
		f.mac.Write([]byte{0})
		f.mac.Write([]byte(value.Text))
		print = append(append(print, value.Path...), 0)
		print = append(print, f.mac.Sum(f.sum[:0])[:digestLength]...)
	}
	return print
}

// Conflicts lists the paths at which two inputs differ, in the order of the later one, and then those that only the earlier has.
// It is empty for the same input.
func (f Fingerprint) Conflicts(later Fingerprint) []string {
	earlier := map[string]string{}
	var order, conflicts []string
	f.each(func(path, digest string) {
		earlier[path] = digest
		order = append(order, path)
	})
	later.each(func(path, digest string) {
		if earlier[path] != digest {
			conflicts = append(conflicts, path)
		}
		delete(earlier, path)
	})
	for _, path := range order {
		if _, left := earlier[path]; left {
			conflicts = append(conflicts, path)
		}
	}
	return conflicts
}

func (f Fingerprint) each(visit func(path, digest string)) {
	for len(f) > 0 {
		end := slices.Index(f, 0)
		if end < 0 || len(f) < end+1+digestLength {
			return
		}
		visit(string(f[:end]), string(f[end+1:end+1+digestLength]))
		f = f[end+1+digestLength:]
	}
}
