package merchant_test

import (
	"strings"
	"testing"

	"github.com/paygraph/paygraph/merchant"
)

// TestManifests has each form that tools write, and what is wrong with others.
func TestManifests(t *testing.T) {
	t.Parallel()
	const hash = "7ebae5f9cf79d7c4bb0e6a1f8a9c1a3fb3b2ef6e3d2b0d2a1f9a2a2d3c4b5a69" // of nothing that is here
	text := "{ viewer { kind } }"
	own := merchant.DocumentIDOf(text)
	for name, row := range map[string]struct{ manifest, want string }{
		"Apollo's":                           {`{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"a","name":"Who","type":"query","body":"` + text + `"}]}`, "a Who"},
		"Relay's":                            {`{"b":"` + text + `","a":"{ __typename }"}`, "a  b "},
		"Relay's with a document format":     {`{"format":"` + text + `"}`, "its format is"},
		"by its hash":                        {`{"` + own + `":"` + text + `"}`, own + " "},
		"by its hash without a prefix":       {`{"` + strings.TrimPrefix(own, "sha256:") + `":"` + text + `"}`, strings.TrimPrefix(own, "sha256:") + " "},
		"by another's hash":                  {`{"sha256:` + hash + `":"` + text + `"}`, "is not the SHA-256"},
		"by another's hash without a prefix": {`{"` + hash + `":"` + text + `"}`, "is not the SHA-256"},
		"by half a hash":                     {`{"sha256:7eba":"` + text + `"}`, "is no SHA-256"},
		"by a name with a space":             {`{"a b":"` + text + `"}`, "is no identifier"},
		"of another version":                 {`{"format":"apollo-persisted-query-manifest","version":2,"operations":[]}`, "version 2"},
		"of another format":                  {`{"format":"their-manifest","version":1}`, "their-manifest"},
		"two by one name":                    {`{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"a","body":"{a}"},{"id":"a","body":"{b}"}]}`, "stands for two"},
		"nothing":                            {`{}`, "0 documents"},
		"no JSON":                            {`query`, "neither"},
		"a list":                             {`["{ a }"]`, "neither"},
		"texts that are none":                {`{"a":{"text":"{ a }"}}`, "neither"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			documents, err := merchant.ParseManifest([]byte(row.manifest))
			got := ""
			for _, d := range documents {
				got += d.ID + " " + d.Name + " "
			}
			got = strings.TrimSuffix(got, " ")
			if err != nil {
				got = err.Error()
			}
			if got != row.want && (err == nil || !strings.Contains(got, row.want)) {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}
