package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
)

// ErrCursorInvalid says that a text is no cursor of ours, or one for another list, filter, order or merchant.
var ErrCursorInvalid = errors.New("this cursor is not good here")

// Sealer makes texts that a client can keep and bring back, but neither read nor change nor use elsewhere: AES-256-GCM with a random
// nonce (NIST SP 800-38D), whose additional data says what the text is good for.
type Sealer struct {
	aead cipher.AEAD
}

// NewSealer takes a key of 32 bytes that all nodes share.
func NewSealer(key []byte) (*Sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &Sealer{aead}, err
}

// Seal hides a content that is good for one purpose.
func (s *Sealer) Seal(purpose string, content []byte) string {
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, content, []byte(purpose)))
}

// Open returns what was sealed for the same purpose, or ErrCursorInvalid.
func (s *Sealer) Open(purpose, text string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, ErrCursorInvalid
	}
	content, err := s.aead.Open(nil, nil, sealed, []byte(purpose))
	if err != nil {
		return nil, ErrCursorInvalid
	}
	return content, nil
}
