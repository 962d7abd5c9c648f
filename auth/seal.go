package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// Errors of cursors.
var (
	// ErrCursorInvalid says that a text is no cursor of ours, or one for another list, filter, order or merchant, or of another history.
	ErrCursorInvalid = errors.New("this cursor is not good here")
	// ErrCursorExpired says that a cursor was good here once, and is too old.
	ErrCursorExpired = errors.New("this cursor is too old: begin anew")
)

// CursorDays is for how many days a cursor is good.
const CursorDays = 400

const (
	epochLength = 2 // bytes
	keptKeys    = 8 // of days, in memory
)

// Sealer makes texts that a client can keep and bring back, but neither read nor change nor use elsewhere: AES-256-GCM with a random
// nonce (NIST SP 800-38D), whose additional data says what the text is good for. Each day has a key of its own, by HKDF (RFC 5869), so that
// no key seals more than its random nonces allow (2^32 texts; SP 800-38D, section 8.3), and old ones retire.
type Sealer struct {
	secret []byte
	now    func() time.Time
	mu     sync.Mutex
	keys   map[uint16]cipher.AEAD
}

// NewSealer takes a secret of 32 bytes that all nodes share.
func NewSealer(secret []byte) (*Sealer, error) {
	if len(secret) != 32 {
		return nil, errors.New("auth: a sealer needs a secret of 32 bytes")
	}
	return &Sealer{secret: secret, now: time.Now, keys: map[uint16]cipher.AEAD{}}, nil
}

// today counts days since 1970.
func (s *Sealer) today() uint16 { return uint16(s.now().Unix() / (24 * 60 * 60)) }

// key is a day's.
func (s *Sealer) key(day uint16) cipher.AEAD {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[day]; k != nil {
		return k
	}
	if len(s.keys) == keptKeys {
		clear(s.keys)
	}
	secret, _ := hkdf.Key(sha256.New, s.secret, nil, "paygraph cursor "+string(binary.BigEndian.AppendUint16(nil, day)), 32)
	block, _ := aes.NewCipher(secret) // neither fails for a key of 32 bytes
	k, _ := cipher.NewGCMWithRandomNonce(block)
	s.keys[day] = k
	return k
}

// Seal hides a content that is good for one purpose.
func (s *Sealer) Seal(purpose string, content []byte) string {
	day := s.today()
	return base64.RawURLEncoding.EncodeToString(s.key(day).Seal(binary.BigEndian.AppendUint16(nil, day), nil, content, []byte(purpose)))
}

// Open returns what was sealed for the same purpose. Errors: ErrCursorInvalid, ErrCursorExpired.
func (s *Sealer) Open(purpose, text string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sealed) < epochLength {
		return nil, ErrCursorInvalid
	}
	day := binary.BigEndian.Uint16(sealed)
	content, err := s.key(day).Open(nil, nil, sealed[epochLength:], []byte(purpose))
	if err != nil {
		return nil, ErrCursorInvalid
	}
	if int(day)+CursorDays < int(s.today()) {
		return nil, ErrCursorExpired
	}
	return content, nil
}
