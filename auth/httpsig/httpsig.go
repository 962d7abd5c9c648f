// Package httpsig makes and checks the signatures of HTTP requests (RFC 9421) over a digest of their bodies (RFC 9530): the part of the two that a payment
// API needs. Keys are Ed25519's or HMAC's; components are those that are derived from the request line and header fields, without parameters of their own.
// Whatever else there is in a signature is refused, and never passed over.
package httpsig

import (
	"cmp"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// The header fields of a signed request.
const (
	InputField     = "Signature-Input"
	SignatureField = "Signature"
	DigestField    = "Content-Digest"
)

// Limits of what is read.
const (
	MaxField      = 4096 // bytes of Signature-Input, and of each of the others
	MaxComponents = 32
)

// MinSecret is the fewest bytes of an HMAC key: its hash has as many (RFC 2104, section 3).
const MinSecret = sha256.Size

// ErrSignature says that a request is not signed as it should be. It is wrapped with the reason, for whoever has signed it.
var ErrSignature = errors.New("the signature is not accepted")

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrSignature}, args...)...)
}

// Algorithm is how a key signs (RFC 9421, section 6.2).
type Algorithm string

// The algorithms.
const (
	HMAC    Algorithm = "hmac-sha256"
	Ed25519 Algorithm = "ed25519"
)

// Key signs or checks. A key has one algorithm, and a signature that names another one is refused.
type Key struct {
	ID      string
	secret  []byte             // HMAC's
	public  ed25519.PublicKey  // to check
	private ed25519.PrivateKey // to sign; nil where it only checks
}

// NewHMAC is a key that both sides have, of at least MinSecret bytes. Shorter ones check and sign nothing.
func NewHMAC(id string, secret []byte) Key { return Key{ID: id, secret: secret} }

// NewPublic is a key that checks.
func NewPublic(id string, public ed25519.PublicKey) Key { return Key{ID: id, public: public} }

// NewPrivate is a key that signs and checks.
func NewPrivate(id string, private ed25519.PrivateKey) Key {
	public, _ := private.Public().(ed25519.PublicKey)
	return Key{ID: id, public: public, private: private}
}

// Algorithm is the key's.
func (k Key) Algorithm() Algorithm {
	if k.public != nil {
		return Ed25519
	}
	return HMAC
}

func (k Key) sign(base []byte) ([]byte, error) {
	switch {
	case k.private != nil:
		return ed25519.Sign(k.private, base), nil
	case len(k.secret) >= MinSecret:
		mac := hmac.New(sha256.New, k.secret)
		mac.Write(base)
		return mac.Sum(nil), nil
	}
	return nil, errors.New("the key cannot sign")
}

func (k Key) verify(base, signature []byte) bool {
	switch {
	case k.public != nil:
		return len(k.public) == ed25519.PublicKeySize && ed25519.Verify(k.public, base, signature)
	case len(k.secret) >= MinSecret:
		mac, _ := k.sign(base)
		return hmac.Equal(mac, signature)
	}
	return false
}

// Signature is what a request says of its signature.
type Signature struct {
	Components []string  // what it covers
	Created    time.Time // zero: it does not say
	Expires    time.Time // zero: it does not say
	KeyID      string
	Nonce      string
	Algorithm  Algorithm // "": it does not say

	params    string // @signature-params
	signature []byte
}

// Covers says whether the signature is also over a component.
func (s *Signature) Covers(component string) bool { return slices.Contains(s.Components, component) }

// Signed says whether a request has a signature, good or not.
func Signed(h http.Header) bool { return len(h[InputField]) > 0 || len(h[SignatureField]) > 0 }

// Parse reads the one signature of a request. Error: ErrSignature.
func Parse(h http.Header) (*Signature, error) {
	inputs, err := dictionary(h, InputField)
	if err != nil {
		return nil, err
	}
	signatures, err := dictionary(h, SignatureField)
	if err != nil {
		return nil, err
	}
	if labels := inputs.Names(); len(labels) != 1 || !slices.Equal(labels, signatures.Names()) {
		return nil, bad("want one signature, with the same label in %s and in %s", InputField, SignatureField)
	}
	label := inputs.Names()[0]
	member, _ := inputs.Get(label)
	list, ok := member.(httpsfv.InnerList)
	if !ok {
		return nil, bad("%s is no list of components", InputField)
	}
	s := &Signature{}
	if err := s.components(list); err != nil {
		return nil, err
	}
	if err := s.parameters(list.Params); err != nil {
		return nil, err
	}
	if s.params, err = httpsfv.Marshal(httpsfv.List{list}); err != nil {
		return nil, bad("%s: %v", InputField, err)
	}
	value, _ := signatures.Get(label)
	item, _ := value.(httpsfv.Item)
	if s.signature, ok = item.Value.([]byte); !ok || len(item.Params.Names()) > 0 {
		return nil, bad("%s is no byte sequence", SignatureField)
	}
	if !strings.Contains(h.Get(SignatureField), base64.StdEncoding.EncodeToString(s.signature)) {
		return nil, bad("%s has bits that its bytes do not have", SignatureField) // two texts for one signature
	}
	return s, nil
}

// dictionary reads a header field as a Dictionary (RFC 8941).
func dictionary(h http.Header, name string) (*httpsfv.Dictionary, error) {
	size := 0
	for _, line := range h[name] {
		size += len(line)
	}
	if size == 0 || size > MaxField {
		return nil, bad("%s is missing, or longer than %d bytes", name, MaxField)
	}
	d, err := httpsfv.UnmarshalDictionary(h[name])
	if err != nil {
		return nil, bad("%s cannot be read: %v", name, err)
	}
	return d, nil
}

func (s *Signature) components(list httpsfv.InnerList) error {
	if len(list.Items) > MaxComponents {
		return bad("it covers more than %d components", MaxComponents)
	}
	for _, item := range list.Items {
		name, ok := item.Value.(string)
		switch {
		case !ok || name == "":
			return bad("a component is named by a string")
		case len(item.Params.Names()) > 0:
			return bad("the component %q has parameters, which are not known here", name)
		case s.Covers(name):
			return bad("the component %q is there twice", name)
		}
		s.Components = append(s.Components, name)
	}
	return nil
}

// parameters reads those of RFC 9421, section 2.3. The tag is the application's, which this one does not look at.
func (s *Signature) parameters(p *httpsfv.Params) error {
	for _, name := range p.Names() {
		value, _ := p.Get(name)
		text, isText := value.(string)
		seconds, isNumber := value.(int64)
		switch name {
		case "created":
			s.Created = time.Unix(seconds, 0)
		case "expires":
			s.Expires = time.Unix(seconds, 0)
		case "keyid":
			s.KeyID = text
		case "nonce":
			s.Nonce = text
		case "alg":
			s.Algorithm = Algorithm(text)
		case "tag":
		default:
			return bad("the parameter %s is not known here", name)
		}
		if number := name == "created" || name == "expires"; number && (!isNumber || seconds <= 0) || !number && !isText {
			return bad("the parameter %s has the wrong type, or no value that it could have", name)
		}
	}
	return nil
}

// Target is where a request went to, as its sender sees it.
type Target struct {
	Scheme    string // "https", also where a proxy has taken TLS away
	Authority string // host, and port where there is one; empty: the request's own
}

// Verify checks a signature over a request with a key. It looks at neither times, nonce nor what must be covered. Error: ErrSignature.
func (s *Signature) Verify(r *http.Request, to Target, key Key) error {
	if s.KeyID != key.ID || s.Algorithm != "" && s.Algorithm != key.Algorithm() {
		return bad("keyid %q with alg %q is not the key %q with %s", s.KeyID, s.Algorithm, key.ID, key.Algorithm())
	}
	base, err := base(r, to, s.Components, s.params)
	if err != nil {
		return err
	}
	if !key.verify(base, s.signature) {
		return bad("it is not that of the key %q over what it covers", key.ID)
	}
	return nil
}

// base is what is signed (RFC 9421, section 2.5).
func base(r *http.Request, to Target, components []string, params string) ([]byte, error) {
	var b strings.Builder
	for _, name := range components {
		value, err := component(r, to, name)
		if err != nil {
			return nil, err
		}
		b.WriteString(`"` + name + `": ` + value + "\n")
	}
	b.WriteString(`"@signature-params": ` + params)
	return []byte(b.String()), nil
}

// component is the value of one (RFC 9421, sections 2.1 and 2.2).
func component(r *http.Request, to Target, name string) (string, error) {
	switch name {
	case "@method":
		return r.Method, nil
	case "@authority":
		return to.authority(r), nil
	case "@scheme":
		return strings.ToLower(to.Scheme), nil
	case "@target-uri":
		return strings.ToLower(to.Scheme) + "://" + to.authority(r) + requestURI(r), nil
	case "@request-target":
		return requestURI(r), nil
	case "@path":
		if path := r.URL.EscapedPath(); path != "" {
			return path, nil
		}
		return "/", nil
	case "@query":
		return "?" + r.URL.RawQuery, nil
	case "host": // net/http takes it out of the fields
		return hostOf(r), nil
	}
	if strings.HasPrefix(name, "@") || name != strings.ToLower(name) {
		return "", bad("the component %q is not known here", name)
	}
	lines, ok := r.Header[http.CanonicalHeaderKey(name)]
	if !ok {
		return "", bad("it covers the field %s, which the request does not have", name)
	}
	trimmed := make([]string, len(lines))
	for i, line := range lines {
		trimmed[i] = strings.Trim(line, " \t\r\n")
	}
	return strings.Join(trimmed, ", "), nil
}

// hostOf is whom a request is for, at its server and at its client.
func hostOf(r *http.Request) string { return cmp.Or(r.Host, r.URL.Host) }

// requestURI is what stands in the request line, at its server as it came.
func requestURI(r *http.Request) string { return cmp.Or(r.RequestURI, r.URL.RequestURI()) }

// authority is a host in lower case, without the port that the scheme has anyway (RFC 9421, section 2.2.3).
func (to Target) authority(r *http.Request) string {
	host, scheme := strings.ToLower(cmp.Or(to.Authority, hostOf(r))), strings.ToLower(to.Scheme)
	if name, port, err := net.SplitHostPort(host); err == nil && (scheme == "https" && port == "443" || scheme == "http" && port == "80") {
		if strings.Contains(name, ":") {
			return "[" + name + "]"
		}
		return name
	}
	return host
}

// CheckDigest holds a body against each digest of it that is known here (RFC 9530), of which there must be one. Error: ErrSignature.
func CheckDigest(h http.Header, body []byte) error {
	digests, err := dictionary(h, DigestField)
	if err != nil {
		return err
	}
	known := false
	for _, name := range digests.Names() {
		var want []byte
		switch name {
		case "sha-256":
			sum := sha256.Sum256(body)
			want = sum[:]
		case "sha-512":
			sum := sha512.Sum512(body)
			want = sum[:]
		default:
			continue // RFC 9530, section 5: those that are insecure, or not known, do not count
		}
		member, _ := digests.Get(name)
		item, _ := member.(httpsfv.Item)
		if is, ok := item.Value.([]byte); !ok || subtle.ConstantTimeCompare(is, want) != 1 {
			return bad("%s is not that of the body", DigestField)
		}
		known = true
	}
	if !known {
		return bad("%s has neither sha-256 nor sha-512", DigestField)
	}
	return nil
}

// Sign adds a digest of the body and a signature to a request, over Components and with the times and the nonce of s. The body itself is left alone, and so
// are Algorithm and KeyID, which are the key's.
func Sign(r *http.Request, to Target, body []byte, key Key, s Signature) error {
	sum := sha256.Sum256(body)
	r.Header.Set(DigestField, "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
	list := httpsfv.InnerList{Params: httpsfv.NewParams()}
	for _, name := range s.Components {
		list.Items = append(list.Items, httpsfv.NewItem(name))
	}
	for _, at := range []struct {
		name string
		time time.Time
	}{{"created", s.Created}, {"expires", s.Expires}} {
		if !at.time.IsZero() {
			list.Params.Add(at.name, at.time.Unix())
		}
	}
	list.Params.Add("keyid", key.ID)
	if s.Nonce != "" {
		list.Params.Add("nonce", s.Nonce)
	}
	params, err := httpsfv.Marshal(httpsfv.List{list})
	if err != nil {
		return err
	}
	over, err := base(r, to, s.Components, params)
	if err != nil {
		return err
	}
	signature, err := key.sign(over)
	if err != nil {
		return err
	}
	r.Header.Set(InputField, "sig="+params)
	r.Header.Set(SignatureField, "sig=:"+base64.StdEncoding.EncodeToString(signature)+":")
	return nil
}
