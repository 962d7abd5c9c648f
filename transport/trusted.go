package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"golang.org/x/sync/singleflight"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/merchant"
)

// What a node remembers of documents that are named by an identifier.
const (
	// TrustedAge is how long a node goes on as before after a document was uploaded or retired.
	TrustedAge = 10 * time.Second

	trustedGoodFor = 5 * time.Minute // while the store is away
	trustedTimeout = 5 * time.Second
	trustedBytes   = 32 << 20 // of texts that merchants trust, and of identifiers that nobody knows
	automaticBytes = 16 << 20 // of texts that clients have registered
	toldBytes      = 1 << 20  // of names of documents that the log has
	entryBytes     = 256      // of an entry beside its text and identifier
)

// notFoundMessage is what urql's client knows the error by; Apollo's knows the code, too.
const notFoundMessage = "PersistedQueryNotFound"

// CheckDocument parses and validates a document as a request's is, with the default limits. nil: it may be run.
func CheckDocument(schema *ast.Schema, text string) gqlerror.List {
	limits := DefaultLimits
	in := inputs{types: schema.Types, nesting: limits.InputNesting}
	if _, refused := newLibrary(schema, &limits, &in).read(text); refused != nil {
		return refused.errors
	}
	return nil
}

// named is a document's identifier, which is a merchant's alone.
type named struct {
	merchant answer.MerchantID
	id       string
}

// texts are documents by their names: those that were used last, up to a number of bytes.
type texts struct {
	most int

	mu    sync.Mutex
	kept  *simplelru.LRU[named, entry]
	bytes int
}

// entry is a text, or an empty one where there is none of this name, and when that was found out.
type entry struct {
	text string
	at   time.Time
}

func newTexts(most int) *texts {
	t := &texts{most: most}
	t.kept, _ = simplelru.NewLRU(most/entryBytes, func(n named, e entry) { t.bytes -= weightOf(n, e) })
	return t
}

func weightOf(n named, e entry) int { return len(n.id) + len(e.text) + entryBytes }

func (t *texts) get(n named) (entry, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.kept.Get(n)
}

func (t *texts) put(n named, e entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept.Remove(n)
	t.kept.Add(n, e)
	t.bytes += weightOf(n, e)
	for t.bytes > t.most {
		t.kept.RemoveOldest()
	}
}

// documents finds those that requests name.
type documents struct {
	find      func(context.Context, answer.MerchantID, string) (string, error)
	trusted   *texts
	automatic *texts // that clients have registered themselves (automatic persisted queries)
	told      *texts // that the log has: their names alone
	asking    singleflight.Group
}

func newDocuments(find func(context.Context, answer.MerchantID, string) (string, error)) *documents {
	return &documents{find: find, trusted: newTexts(trustedBytes), automatic: newTexts(automaticBytes), told: newTexts(toldBytes)}
}

// known is what a merchant trusts under a name, empty where it trusts nothing, if that need not be asked for.
func (d *documents) known(n named) (text string, known bool) {
	remembered, there := d.trusted.get(n)
	return remembered.text, n.merchant == "" || there && remembered.isNew()
}

// ask asks for it, and goes by what was known for a while where the store is away.
func (d *documents) ask(ctx context.Context, n named) (text string, err error) {
	begin := time.Now()
	found, err, _ := d.asking.Do(string(n.merchant)+" "+n.id, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), trustedTimeout)
		defer cancel()
		text, err := d.find(ctx, n.merchant, n.id)
		if err == nil {
			d.trusted.put(n, entry{text, begin})
		}
		return text, err
	})
	if err != nil {
		if known, _ := d.trusted.get(n); known.text != "" && time.Since(known.at) < trustedGoodFor {
			return known.text, nil
		}
	}
	text, _ = found.(string)
	return text, err
}

// isNew says whether an entry counts without a question.
func (e entry) isNew() bool { return time.Since(e.at) < TrustedAge }

// tells says whether the log is to have a document, which it has once in TrustedAge.
func (d *documents) tells(n named) bool {
	if known, ok := d.told.get(n); ok && known.isNew() {
		return false
	}
	d.told.put(n, entry{at: time.Now()})
	return true
}

// find makes a plan of a request, whose document may be named by an identifier, if the principal may run it.
func (e *engine) find(ctx context.Context, p *auth.Principal, r *request) (*plan, *requestError) {
	unknown, refused := e.resolve(ctx, p, r)
	if refused != nil {
		return nil, refused
	}
	plan, refused := e.plan(p, r)
	if refused != nil {
		return nil, refused
	}
	if unknown {
		e.tell(ctx, p, merchant.DocumentIDOf(r.query), plan.operation.Name)
	}
	if r.automatic && p.Documents != auth.OnlyTrusted && p.Kind != auth.Anonymous { // now that it is known to be a good one
		e.documents.automatic.put(named{p.Merchant, r.document}, entry{text: r.query})
	}
	return plan, nil
}

// tell has the log say that a document is run that is not trusted, unless it has just done so.
func (e *engine) tell(ctx context.Context, p *auth.Principal, id, operation string) {
	if e.documents.tells(named{p.Merchant, id}) {
		e.config.Log.InfoContext(ctx, "a document that is not trusted", "requestId", RequestID(ctx), "clientId", p.Subject,
			"document", id, "operation", operation)
	}
}

// resolve finds the text of a request, and says whether it is one to tell of: one that is not trusted, under a credential that runs it all the same.
func (e *engine) resolve(ctx context.Context, p *auth.Principal, r *request) (unknown bool, refused *requestError) {
	free := p.Documents == "" || p.Documents == auth.AnyDocument
	switch {
	case r.document == "" && free:
		return false, nil
	case r.document != "" && r.query == "":
		return e.byName(ctx, p, r)
	case r.document != "":
		hash := merchant.DocumentHash(r.document)
		if text := (&merchant.Document{Text: r.query}); !bytes.Equal(hash, text.Hash()) {
			return false, refuse(newError(DocumentMismatch, "the identifier is not that of the document"))
		}
	}
	if free {
		return false, nil
	}
	text, refused := e.lookUp(ctx, p, r, merchant.DocumentIDOf(r.query))
	switch {
	case refused != nil:
		return false, refused
	case text != "":
		return false, nil
	case p.Documents == auth.LogDocument:
		return true, nil
	}
	return false, refuse(newError(Forbidden, "this credential runs documents that its merchant trusts alone"))
}

// lookUp finds the text that a principal's merchant trusts under a name. Where it has to be asked for, that has to be paid for first.
func (e *engine) lookUp(ctx context.Context, p *auth.Principal, r *request, id string) (string, *requestError) {
	n := named{p.Merchant, id}
	if text, known := e.documents.known(n); known {
		return text, nil
	}
	if refused := e.advance(p, r, leastCharge); refused != nil {
		return "", refused
	}
	text, err := e.documents.ask(ctx, n)
	if err != nil {
		return "", e.refuseUnknown(ctx, err)
	}
	return text, nil
}

// byName finds a text by its identifier, and says whether it is one to tell of, which a client has registered.
func (e *engine) byName(ctx context.Context, p *auth.Principal, r *request) (unknown bool, refused *requestError) {
	text, refused := e.lookUp(ctx, p, r, r.document)
	if refused != nil {
		return false, refused
	}
	if text == "" && r.automatic && p.Documents != auth.OnlyTrusted {
		registered, _ := e.documents.automatic.get(named{p.Merchant, r.document})
		text, unknown = registered.text, p.Documents == auth.LogDocument
	}
	if text == "" {
		return false, refuse(newError(DocumentNotFound, notFoundMessage))
	}
	r.query, r.automatic = text, false
	return unknown, nil
}

// persisted is Apollo's extension of a request.
const persisted = "persistedQuery"

// name reads by which identifier a request names its document: documentId (GraphQL over HTTP, appendix A), extensions.persistedQuery.sha256Hash, as Apollo's links
// send it, and doc_id or id, as networks of Relay do. Beside a text only a digest is a name: clients send others along with it. Its error holds nothing of the request.
func (r *request) name(text bool, ids ...*string) error {
	if extension, ok := r.extensions[persisted]; ok {
		members, _ := extension.(map[string]any)
		hash, _ := members["sha256Hash"].(string)
		if fmt.Sprint(members["version"]) != "1" || hash == "" {
			return fmt.Errorf("extensions.%s has version 1 and a sha256Hash", persisted)
		}
		ids, r.automatic = append(ids, &hash), merchant.DocumentHash(hash) != nil
	}
	for _, id := range ids {
		switch {
		case id == nil || *id == "" || text && merchant.DocumentHash(*id) == nil:
		case !merchant.IsDocumentID(*id):
			return fmt.Errorf("of letters, digits and -._~: the identifier of a document has 1 to %d", merchant.MaxDocumentID)
		case r.document != "" && r.document != canonical(*id):
			return errors.New("the request names two documents")
		default:
			r.document = canonical(*id)
		}
	}
	return nil
}

// canonical writes a hash in one way, whoever sends it.
func canonical(id string) string {
	if merchant.DocumentHash(id) != nil && !strings.HasPrefix(id, "sha256:") {
		return "sha256:" + id
	}
	return id
}
