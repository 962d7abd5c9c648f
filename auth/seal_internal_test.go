package auth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"testing"
	"time"
)

func TestSealer(t *testing.T) {
	t.Parallel()
	if _, err := NewSealer(make([]byte, 31)); err == nil {
		t.Error("a secret of 31 bytes is taken")
	}
	node := func(secret byte, now *time.Time) *Sealer {
		s, err := NewSealer(bytes.Repeat([]byte{secret}, 32))
		if err != nil {
			t.Fatal(err)
		}
		s.now = func() time.Time { return *now }
		return s
	}
	today := time.Date(2026, 11, 26, 23, 59, 59, 0, time.UTC)
	now := today
	one, other, stranger := node(1, &now), node(1, &now), node(2, &now)
	text := one.Seal("log of mer_1", []byte("content"))
	if again := one.Seal("log of mer_1", []byte("content")); again == text {
		t.Error("the same content is sealed to the same text")
	}
	for _, c := range []struct {
		name, purpose string
		by            *Sealer
		days          int
		want          error
	}{
		{"at once", "log of mer_1", one, 0, nil},
		{"by another node", "log of mer_1", other, 0, nil},
		{"by a node whose clock is behind", "log of mer_1", other, -1, nil},
		{"on the last day", "log of mer_1", other, CursorDays, nil},
		{"a day later", "log of mer_1", other, CursorDays + 1, ErrCursorExpired},
		{"long after", "log of mer_1", one, 3 * CursorDays, ErrCursorExpired},
		{"for another purpose", "log of mer_2", one, 0, ErrCursorInvalid},
		{"for another purpose, and too old", "log of mer_2", one, CursorDays + 1, ErrCursorInvalid},
		{"with another secret", "log of mer_1", stranger, 0, ErrCursorInvalid},
	} {
		now = today.AddDate(0, 0, c.days)
		if got, err := c.by.Open(c.purpose, text); !errors.Is(err, c.want) || err == nil && string(got) != "content" {
			t.Errorf("%s: %q, %v, want %v", c.name, got, err, c.want)
		}
	}
	now = today
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(sealed) {
		flipped := slices.Clone(sealed)
		flipped[bit/8] ^= 1 << (bit % 8)
		if got, err := one.Open("log of mer_1", base64.RawURLEncoding.EncodeToString(flipped)); !errors.Is(err, ErrCursorInvalid) {
			t.Errorf("bit %d: %q, %v", bit, got, err)
		}
	}
	for length := range len(text) {
		if got, err := one.Open("log of mer_1", text[:length]); !errors.Is(err, ErrCursorInvalid) {
			t.Errorf("%d characters: %q, %v", length, got, err)
		}
	}
	if len(one.keys) > keptKeys {
		t.Errorf("%d keys are kept", len(one.keys))
	}
}
