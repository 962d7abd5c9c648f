package auth

import (
	"net/http"
	"strconv"
)

// The paths that an Issuer serves, under its URL.
const (
	TokenPath    = "/oauth2/token"
	MetadataPath = "/.well-known/oauth-authorization-server" // RFC 8414, section 3
	KeySetPath   = "/.well-known/jwks.json"
)

// metadata is what a client needs to know of the issuer (RFC 8414, section 2).
type metadata struct {
	Issuer        string   `json:"issuer"`
	TokenEndpoint string   `json:"token_endpoint"`
	KeySet        string   `json:"jwks_uri"`
	Scopes        Scopes   `json:"scopes_supported"`
	ResponseTypes []string `json:"response_types_supported"` // required; none, since nobody is sent to a login page
	GrantTypes    []string `json:"grant_types_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	Algorithms    []string `json:"token_endpoint_auth_signing_alg_values_supported"`
}

// Handler serves TokenPath, MetadataPath and KeySetPath. All URLs in its answers come from the configuration, none from a request.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(TokenPath, i.serveToken)
	mux.HandleFunc("GET "+MetadataPath, i.serveMetadata)
	mux.HandleFunc("GET "+KeySetPath, i.serveKeySet)
	return mux
}

func (i *Issuer) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	var algorithms []string
	for _, a := range clientAlgorithms {
		algorithms = append(algorithms, a.String())
	}
	cacheable(w)
	writeJSON(w, http.StatusOK, metadata{
		Issuer:        i.config.Issuer,
		TokenEndpoint: i.config.Issuer + TokenPath,
		KeySet:        i.config.Issuer + KeySetPath,
		Scopes:        AllScopes,
		ResponseTypes: []string{},
		GrantTypes:    []string{"client_credentials"},
		AuthMethods:   []string{"client_secret_basic", "client_secret_post", "private_key_jwt"},
		Algorithms:    algorithms,
	})
}

// serveKeySet shows the public keys, also those that do not sign yet or no longer (RFC 7517, section 5).
func (i *Issuer) serveKeySet(w http.ResponseWriter, r *http.Request) {
	keys, err := i.keyring.get(r.Context())
	if err != nil { // whoever asked has gone
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	cacheable(w)
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(keys.set) // the client may be gone
}

func cacheable(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(int(keySetMaxAge.Seconds())))
}
