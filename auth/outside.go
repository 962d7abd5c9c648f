package auth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/paygraph/paygraph/answer"
)

// When an outside issuer's keys are read again, and how long they count while it cannot be reached.
const (
	outsideAge      = 5 * time.Minute
	outsideRetry    = 10 * time.Second
	outsideTimeout  = 3 * time.Second
	outsideGoodFor  = 24 * time.Hour // of the last reading: a key that was withdrawn meanwhile would count for ever
	outsideMaxBytes = 256 << 10      // of a document
	outsideMaxKeys  = 32
	maxSubject      = 255 // OpenID Connect Core, section 2
	discoveryPath   = "/.well-known/openid-configuration"
)

// Outside is an OpenID Connect provider of somebody else's, whose access tokens are taken as those of merchants' staff: which of them, for which
// merchant, and what they allow.
type Outside struct {
	Name       string   `json:"name"`                 // stands before its subjects in the log: "acme" makes "acme:248289761001"
	Issuer     string   `json:"issuer"`               // as its tokens and its metadata have it (iss)
	Audience   string   `json:"audience"`             // what its tokens must be for (aud): what the provider calls this API
	TokenType  string   `json:"tokenType,omitempty"`  // what typ must be; empty: at+jwt (RFC 9068). Many providers say JWT
	Algorithms []string `json:"algorithms,omitempty"` // with which it may sign; empty: RS256

	// Either all its tokens are for one merchant, or a claim says for which, by a name that Merchants translates.
	Merchant      answer.MerchantID            `json:"merchant,omitempty"`
	MerchantClaim []string                     `json:"merchantClaim,omitempty"` // the names on the way to it: ["org", "id"] in {"org": {"id": …}}
	Merchants     map[string]answer.MerchantID `json:"merchants,omitempty"`

	// A claim lists roles: as an array, as words parted by spaces, or as the names of an object. Those that Roles does not have allow nothing.
	RoleClaim []string          `json:"roleClaim"`
	Roles     map[string]Scopes `json:"roles"`
}

// ErrAway says that an outside issuer could not be asked for its keys: a token of its may be good.
var ErrAway = errors.New("the issuer of the token cannot be asked for its keys: try again")

// ErrOutside says that a text describes no outside issuers. It is wrapped with the reason, for people.
var ErrOutside = errors.New("these are no outside issuers")

// ParseOutside reads outside issuers: a JSON array of them. Error: ErrOutside.
func ParseOutside(text []byte) (all []Outside, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOutside, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: there is something after the array", ErrOutside)
	}
	names := map[string]bool{}
	for n, o := range all {
		err := o.check()
		if err == nil && (names[o.Name] || names[o.Issuer]) {
			err = errors.New("another one has its name or its issuer")
		}
		if err != nil {
			return nil, fmt.Errorf("%w: number %d, %q: %w", ErrOutside, n+1, cmp.Or(o.Name, o.Issuer), err)
		}
		names[o.Name], names[o.Issuer] = true, true
	}
	return all, nil
}

// check says what is wrong with a description, for people.
func (o *Outside) check() error {
	var mistakes []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			mistakes = append(mistakes, fmt.Errorf(format, args...))
		}
	}
	wrong(!visible(o.Name, 32) || strings.Contains(o.Name, ":"), "its name must be 1 to 32 of ASCII's printable characters, and no colon")
	wrong(!safe(o.Issuer), "issuer: want an https URL without query (http for this machine only)")
	wrong(o.Audience == "", "audience: it must be given, or every token of the issuer's would be taken, whatever it is for")
	for _, name := range o.Algorithms {
		_, ok := find(clientAlgorithms, name)
		wrong(!ok, "algorithms: %s is none of %s", name, clientAlgorithms)
	}
	byClaim := len(o.MerchantClaim) > 0 && len(o.Merchants) > 0
	wrong((o.Merchant != "") == byClaim || len(o.MerchantClaim) > 0 != (len(o.Merchants) > 0), "want either merchant, or merchantClaim and merchants")
	wrong(len(o.RoleClaim) == 0 || len(o.Roles) == 0, "roleClaim and roles must be given: without them its tokens allow nothing")
	for role, scopes := range o.Roles {
		for _, scope := range scopes {
			wrong(!AllScopes.Has(scope), "roles: %s has the scope %q, which is none of: %s", role, scope, AllScopes)
			wrong(scope == SessionsWrite, "roles: %s has the scope %s: sessions of customers are made by a backend, whose credential they go with", role, scope)
		}
	}
	return errors.Join(mistakes...)
}

// safe says whether what is read from a URL comes from whom the URL names.
func safe(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return false
	}
	here := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && here
}

// provider is an outside issuer with its keys.
type provider struct {
	Outside
	config     *Config
	client     *http.Client
	algorithms map[string]jwa.SignatureAlgorithm
	tokenType  string
	keys       remembered[jwk.Set]
}

// providers are the outside issuers by what their tokens have as iss. Nobody is asked for keys yet.
func (c *Config) providers() (map[string]*provider, error) {
	all := map[string]*provider{}
	for _, o := range c.Outside {
		if err := o.check(); err != nil {
			return nil, err
		}
		if o.Issuer == c.Issuer || all[o.Issuer] != nil {
			return nil, fmt.Errorf("outside issuer %s: it is one already", o.Issuer)
		}
		p := &provider{
			Outside: o, config: c, tokenType: strings.ToLower(cmp.Or(o.TokenType, tokenType)), algorithms: map[string]jwa.SignatureAlgorithm{},
			client: clientThatStays(http.DefaultTransport),
			keys: remembered[jwk.Set]{
				what: "the keys of " + o.Issuer, age: outsideAge, retry: outsideRetry, timeout: outsideTimeout, goodFor: outsideGoodFor,
				now: c.Now, log: c.Log,
			},
		}
		p.keys.load = p.read
		for _, name := range o.Algorithms {
			p.algorithms[name], _ = find(clientAlgorithms, name)
		}
		if len(o.Algorithms) == 0 {
			p.algorithms[algorithm.String()] = algorithm
		}
		all[o.Issuer] = p
	}
	return all, nil
}

// read finds the provider's keys by its metadata (OpenID Connect Discovery, section 4).
func (p *provider) read(ctx context.Context) (jwk.Set, error) {
	text, err := fetch(ctx, p.client, strings.TrimSuffix(p.Issuer, "/")+discoveryPath)
	if err != nil {
		return nil, err
	}
	var about struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(text, &about); err != nil {
		return nil, fmt.Errorf("its metadata: %w", err)
	}
	if about.Issuer != p.Issuer { // section 4.3: it must be exactly that
		return nil, fmt.Errorf("its metadata are those of %q", about.Issuer)
	}
	client, err := p.clientFor(about.Keys)
	if err != nil {
		return nil, err
	}
	if text, err = fetch(ctx, client, about.Keys); err != nil {
		return nil, err
	}
	given, err := jwk.Parse(text, jwk.WithIgnoreParseError(true)) // keys of kinds that jwx does not know are no business of ours
	if err != nil {
		return nil, fmt.Errorf("its keys: %w", err)
	}
	if given.Len() > outsideMaxKeys {
		return nil, fmt.Errorf("it has %d keys, and more than %d are not read", given.Len(), outsideMaxKeys)
	}
	set := jwk.NewSet()
	for n := range given.Len() {
		key, _ := given.Key(n)
		if _, _, err := publicKey(key); err != nil { // a secret that both sides know is none
			continue
		}
		if err := set.AddKey(key); err != nil {
			return nil, fmt.Errorf("its keys: %w", err)
		}
	}
	if set.Len() == 0 {
		return nil, errors.New("it has no public key for signatures")
	}
	return set, nil
}

// clientFor is how keys are fetched from where the metadata say they are: over TLS, and from the issuer's own host or one in the internet. Whoever can write the
// metadata is not to have the gateway ask for things in the gateway's own network.
func (p *provider) clientFor(keys string) (*http.Client, error) {
	u, err := url.Parse(keys)
	issuer, _ := url.Parse(p.Issuer) // it was checked
	switch {
	case err != nil || !safe(keys) || u.Scheme == "http" && issuer.Scheme != "http":
		return nil, fmt.Errorf("its keys are not at a https URL: %q", keys)
	case u.Hostname() == issuer.Hostname():
		return p.client, nil
	}
	return strangers, nil
}

// strangers is a client for hosts in the internet, whatever address their names have when it connects.
var strangers = clientThatStays(&http.Transport{
	DialContext: (&net.Dialer{Timeout: outsideTimeout, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !inInternet(to.Addr()) {
			return fmt.Errorf("%s is not in the internet, and not the issuer's own host", to.Addr())
		}
		return nil
	}}).DialContext,
	TLSHandshakeTimeout: outsideTimeout, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
})

// inInternet says whether an address can be reached by everybody.
func inInternet(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// special are addresses that lead elsewhere than they seem to: those that providers share among customers (RFC 6598), of tests of networks (RFC 2544), of
// protocols (RFC 6890), of no use yet (RFC 1112), of sites (RFC 3879), and those of IPv4 within IPv6 (RFC 6052, RFC 8215, RFC 3056, RFC 4380).
var special = []netip.Prefix{
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("fec0::/10"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("2001::/32"),
}

// clientThatStays follows no redirection.
func clientThatStays(by http.RoundTripper) *http.Client {
	return &http.Client{Transport: by, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// fetch reads a document from where it says, and nowhere else: no redirection is followed.
func fetch(ctx context.Context, client *http.Client, from string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", from, response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, outsideMaxBytes+1))
	if err == nil && len(text) > outsideMaxBytes {
		err = fmt.Errorf("%s has more than %d bytes", from, outsideMaxBytes)
	}
	return text, err
}

// verify checks an access token of this provider's as the gateway's own are. Errors: ErrUnauthenticated, ErrAway.
func (p *provider) verify(ctx context.Context, token string) (Principal, error) {
	header, err := headerOf(token)
	if err != nil {
		return Principal{}, err
	}
	if typ, _ := header.Type(); strings.TrimPrefix(strings.ToLower(typ), "application/") != p.tokenType {
		return Principal{}, unauthenticated("its typ is not " + p.tokenType)
	}
	named, _ := header.Algorithm()
	chosen, ok := p.algorithms[named.String()]
	if !ok {
		return Principal{}, unauthenticated("its issuer does not sign with its alg")
	}
	kid, _ := header.KeyID()
	key, err := p.find(ctx, kid)
	if err != nil {
		return Principal{}, err
	}
	if own, ok := key.Algorithm(); ok && own.String() != chosen.String() {
		return Principal{}, unauthenticated("its key is for another alg")
	}
	parsed, err := jwt.ParseString(token,
		jwt.WithKey(chosen, key), // refuses a key of another kind, and a header with crit
		jwt.WithIssuer(p.Issuer),
		jwt.WithAudience(p.Audience),
		jwt.WithClock(jwt.ClockFunc(p.config.Now)),
		jwt.WithAcceptableSkew(clockSkew),
		jwt.WithRequiredClaim(jwt.ExpirationKey),
		jwt.WithRequiredClaim(jwt.IssuedAtKey),
	)
	if errors.Is(err, jwt.TokenExpiredError()) {
		return Principal{}, ErrEnded
	}
	if err != nil {
		return Principal{}, unauthenticated(err.Error())
	}
	begin, _ := parsed.IssuedAt()
	if end, _ := parsed.Expiration(); end.Sub(begin) > MaxTTL {
		return Principal{}, unauthenticated("it is good for longer than " + MaxTTL.String())
	}
	if parsed.Has("at_hash") || parsed.Has("c_hash") { // OpenID Connect Core, sections 3.1.3.6 and 3.3.2.11; nonce is in some providers' access tokens, too
		return Principal{}, unauthenticated("it is an ID token, which says who has signed in, and not what may be done")
	}
	return p.principal(parsed, kid)
}

// find returns the key of a token. One that is not known may be new.
func (p *provider) find(ctx context.Context, kid string) (jwk.Key, error) {
	var key jwk.Key
	found, err := p.keys.search(ctx, func(set jwk.Set) (is bool) {
		key, is = set.LookupKeyID(kid)
		return is && kid != ""
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	case !found:
		return nil, unauthenticated("its key is not known")
	}
	return key, nil
}

// outsideKey names a key of an outside issuer's.
type outsideKey struct {
	issuer *provider // nil: none
	kid    string
}

// there says whether the issuer has the key still: who withdraws one believes nothing more that was signed with it. Errors: ErrUnauthenticated, ErrAway.
func (k outsideKey) there(ctx context.Context) error {
	if k.issuer == nil {
		return nil
	}
	set, err := k.issuer.keys.get(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	if _, ok := set.LookupKeyID(k.kid); !ok {
		return unauthenticated("its issuer has withdrawn its key")
	}
	return nil
}

// principal translates the claims of a verified token.
func (p *provider) principal(token jwt.Token, kid string) (Principal, error) {
	subject, _ := token.Subject()
	if !visible(subject, maxSubject) {
		return Principal{}, unauthenticated("it has no sub, or one that is too long or not ASCII")
	}
	who := Principal{Kind: Staff, Subject: p.Name + ":" + subject, Merchant: p.Merchant, signedBy: outsideKey{p, kid}}
	who.Expires, _ = token.Expiration()
	if who.Merchant == "" {
		name, _ := claim(token, p.MerchantClaim).(string)
		if who.Merchant = p.Merchants[name]; who.Merchant == "" {
			return Principal{}, unauthenticated("it is for no merchant that is known")
		}
	}
	var scopes Scopes
	for _, role := range words(claim(token, p.RoleClaim)) {
		scopes = append(scopes, p.Roles[role]...)
	}
	who.Scopes = AllScopes.and(scopes)
	return who, nil
}

// claim follows names into a token's claims, nil where there is nothing.
func claim(token jwt.Token, names []string) (value any) {
	if token.Get(names[0], &value) != nil {
		return nil
	}
	for _, name := range names[1:] {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// words are what a claim lists: an array's texts, a text's words, or an object's names, without those that are false or null.
func words(value any) (all []string) {
	switch value := value.(type) {
	case string:
		return strings.Fields(value)
	case []any:
		for _, v := range value {
			if word, ok := v.(string); ok {
				all = append(all, word)
			}
		}
	case map[string]any:
		for word, is := range value {
			if is != nil && is != false {
				all = append(all, word)
			}
		}
	}
	return all
}
