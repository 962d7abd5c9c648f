package merchant

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Document is a GraphQL document that a merchant trusts its clients to run.
type Document struct {
	ID        string // by which clients name it; unique for the merchant
	Name      string // of its operation, for people; empty: it was not told
	Text      string
	CreatedAt time.Time
	RetiredAt *time.Time // nil: it is trusted
}

// Hash is the SHA-256 of the text, by which clients can name it as well.
func (d *Document) Hash() []byte {
	sum := sha256.Sum256([]byte(d.Text))
	return sum[:]
}

// Limits of a manifest.
const (
	MaxDocuments  = 10_000
	MaxDocumentID = 256 // bytes
)

// documentID is what GraphQL over HTTP, appendix A, allows.
var documentID = regexp.MustCompile(`^[A-Za-z0-9._~:-]{1,256}$`)

// IsDocumentID says whether clients can name a document by an identifier.
func IsDocumentID(id string) bool { return documentID.MatchString(id) }

// hashPrefix begins an identifier that is a document's SHA-256 in hexadecimal (GraphQL over HTTP, appendix A).
const hashPrefix = "sha256:"

// DocumentHash is the SHA-256 that an identifier stands for, with its prefix or without, as Apollo's and Relay's tools write it. nil: it stands for none.
func DocumentHash(id string) []byte {
	digits := strings.TrimPrefix(id, hashPrefix)
	if len(digits) != 2*sha256.Size || strings.ToLower(digits) != digits {
		return nil
	}
	hash, err := hex.DecodeString(digits)
	if err != nil {
		return nil
	}
	return hash
}

// DocumentIDOf is the identifier that every text has: its hash.
func DocumentIDOf(text string) string {
	d := Document{Text: text}
	return hashPrefix + hex.EncodeToString(d.Hash())
}

// apolloFormat is the format of a manifest by Apollo's tools (generate-persisted-query-manifest).
const apolloFormat = "apollo-persisted-query-manifest"

// ParseManifest reads a list of documents as tools write it: Apollo's, which says its format, or Relay's, an object of texts by their identifiers. The
// documents are not looked at. Errors say which one is wrong.
func ParseManifest(text []byte) ([]Document, error) {
	var apollo struct {
		Format     json.RawMessage
		Version    int
		Operations []struct{ ID, Name, Body string }
	}
	var documents []Document
	if err := json.Unmarshal(text, &apollo); err == nil && len(apollo.Format) > 0 {
		if string(apollo.Format) != `"`+apolloFormat+`"` || apollo.Version != 1 {
			return nil, fmt.Errorf("its format is %s, version %d, and not %s, version 1", apollo.Format, apollo.Version, apolloFormat)
		}
		for _, o := range apollo.Operations {
			documents = append(documents, Document{ID: o.ID, Name: o.Name, Text: o.Body})
		}
	} else {
		var relay map[string]string
		if err := json.Unmarshal(text, &relay); err != nil {
			return nil, errors.New("it is neither a manifest of Apollo's nor an object of texts by their identifiers, as Relay's compiler writes it")
		}
		for _, id := range slices.Sorted(maps.Keys(relay)) {
			documents = append(documents, Document{ID: id, Text: relay[id]})
		}
	}
	if len(documents) == 0 || len(documents) > MaxDocuments {
		return nil, fmt.Errorf("it has %d documents, and not 1 to %d", len(documents), MaxDocuments)
	}
	return documents, checkDocuments(documents)
}

func checkDocuments(documents []Document) error {
	texts := map[string]string{}
	for _, d := range documents {
		if !IsDocumentID(d.ID) {
			return fmt.Errorf("%q is no identifier of a document: of letters, digits and -._~: there are 1 to %d", d.ID, MaxDocumentID)
		}
		if hash := DocumentHash(d.ID); hash != nil && !bytes.Equal(hash, d.Hash()) {
			return fmt.Errorf("%s is not the SHA-256 of its document", d.ID)
		} else if hash == nil && strings.HasPrefix(d.ID, hashPrefix) {
			return fmt.Errorf("%s is no SHA-256", d.ID)
		}
		if text, again := texts[d.ID]; again && text != d.Text {
			return fmt.Errorf("%s stands for two documents", d.ID)
		}
		texts[d.ID] = d.Text
	}
	return nil
}
