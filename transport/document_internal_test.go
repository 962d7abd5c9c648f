package transport

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/paygraph/paygraph/transport/internal/testschema"
)

func testLibrary(limits Limits) *library {
	limits = limits.withDefaults()
	schema := testschema.New(&testschema.Resolver{}).Schema()
	return newLibrary(schema, &limits, &inputs{types: schema.Types, nesting: limits.InputNesting})
}

func (l *library) mustHave(t *testing.T, text string) *document {
	t.Helper()
	d, refused := l.document(text)
	if refused != nil {
		t.Fatalf("%s: %v", text, refused.errors)
	}
	return d
}

func TestDocumentsAreKept(t *testing.T) {
	t.Parallel()
	l := testLibrary(Limits{CachedDocuments: 2, CachedText: 100})
	a, b, c, long := "query A { hello }", "query B { hello }", "query C { hello }", "{ hello }"+strings.Repeat(" ", 100)
	first := l.mustHave(t, a)
	if l.mustHave(t, a) != first {
		t.Error("the same text was read twice")
	}
	l.mustHave(t, b)
	l.mustHave(t, a)
	l.mustHave(t, c)
	if l.kept.Len() != 2 || !l.kept.Contains(a) || l.kept.Contains(b) {
		t.Errorf("kept are %q, want what was used last", l.kept.Keys())
	}
	if l.mustHave(t, long); l.kept.Contains(long) {
		t.Error("a long text was kept")
	}
	if _, refused := l.document("{ nothing }"); refused == nil || l.kept.Contains("{ nothing }") {
		t.Error("a text that was refused was kept")
	}
}

// TestADocumentThatIsUsedIsSharedThoughItIsNotKept: a socket counts the text of many operations once.
func TestADocumentThatIsUsedIsSharedThoughItIsNotKept(t *testing.T) {
	t.Parallel()
	l := testLibrary(Limits{CachedDocuments: 1, CachedText: 100})
	long, short, others := "{ hello }"+strings.Repeat(" ", 100), "query A { hello }", "query B { hello }"
	used := []*plan{&l.mustHave(t, long).plans[0], &l.mustHave(t, short).plans[0]}
	l.mustHave(t, others)
	runtime.GC()
	if &l.mustHave(t, long).plans[0] != used[0] || &l.mustHave(t, short).plans[0] != used[1] {
		t.Error("a document that is used was read again")
	}
	if !l.kept.Contains(short) {
		t.Error("what is used again is not kept")
	}
	runtime.KeepAlive(used)
	for range 100 {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
		l.mu.Lock()
		left := len(l.used)
		l.mu.Unlock()
		if left == 1 { // the one that is kept
			return
		}
	}
	t.Error("a document is remembered that nobody uses")
}

func TestDocumentsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	l := testLibrary(Limits{CachedBytes: 10 * weightOfByte * 100})
	for i := range 1000 {
		text := fmt.Sprintf("query Q%04d { hello }", i)
		text += strings.Repeat(" ", 100-len(text))
		l.mustHave(t, text)
		if l.kept.Len() > 10 || l.weight != l.kept.Len()*100*weightOfByte {
			t.Fatalf("%d documents of together %d bytes", l.kept.Len(), l.weight)
		}
	}
	if l.kept.Len() != 10 {
		t.Errorf("%d documents, want 10", l.kept.Len())
	}
}

func TestDocumentsAreReadAtTheSameTime(t *testing.T) {
	t.Parallel()
	l := testLibrary(Limits{CachedDocuments: 3})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				if d := l.mustHave(t, fmt.Sprintf("query Q%d { hello }", i%5)); d.plans[0].operation.Name != fmt.Sprintf("Q%d", i%5) {
					t.Error("another document")
				}
			}
		})
	}
	wg.Wait()
	if l.kept.Len() != 3 || l.weight != 3*len("query Q0 { hello }")*weightOfByte {
		t.Errorf("%d documents of together %d bytes", l.kept.Len(), l.weight)
	}
}

// TestWeightOfDocuments compares the estimate with what the garbage collector sees. It is not parallel, so that nothing else
// allocates.
func TestWeightOfDocuments(t *testing.T) {
	for name, body := range map[string]string{
		"a mutation": `($input: CreatePaymentInput!) {
  createPayment(input: $input) { id reference amount }
}`,
		"fields and nothing else":   ` { payment(id:1) {` + strings.Repeat("id ", 500) + `} }`,
		"literals and nothing else": ` { numbers(ns:[` + strings.Repeat("1 ", 1000) + `]) }`,
		"a query":                   ` { payments(first:5) { id amount reference a:parent{id amount} b:parent{id amount} c:children{id} } numbers(ns:[1 2 3 4 5]) }`,
	} {
		const n = 100
		l := testLibrary(Limits{CachedDocuments: n, CachedBytes: 1 << 30})
		before := heap()
		for i := range n {
			l.mustHave(t, fmt.Sprintf("%s Q%d%s", map[bool]string{true: "mutation", false: "query"}[strings.Contains(body, "create")], i, body))
		}
		took, estimated := int(heap()-before)/n, l.weight/n
		t.Logf("%s of %d bytes takes %d bytes, estimated %d", name, len(body), took, estimated)
		if took > estimated || took < estimated/10 {
			t.Errorf("%s takes %d bytes, estimated %d", name, took, estimated)
		}
		runtime.KeepAlive(l)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestParserErrorsLoseLiterals(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		`Unexpected String "4111"`:                      `Unexpected String`,
		`Unexpected BlockString "41\n11"`:               `Unexpected BlockString`,
		"Unexpected Comment \"41\n11\"":                 `Unexpected Comment`,
		`Unexpected Name "hello"`:                       `Unexpected Name "hello"`,
		`Expected "on", found Int "4111"`:               `Expected "on", found Int`,
		"Invalid character escape sequence: \\x4111 \n": `Invalid character escape sequence`,
		`Unexpected <Invalid>`:                          `Unexpected character, or a string that is malformed`,
	} {
		if got := parseError(&gqlerror.Error{Message: message}).Message; got != want {
			t.Errorf("%s became %s, want %s", message, got, want)
		}
	}
	if got := parseError(errors.New("4111")); strings.Contains(got.Message, "4111") || got.Extensions["code"] != ParseFailed {
		t.Error(got)
	}
}

// FuzzLoneSurrogate compares the scan of escapes with utf16.
func FuzzLoneSurrogate(f *testing.F) {
	for _, seed := range []string{`\ud83c\udfc3`, `\ud83c`, `\udfc3\ud83c`, `\\ud83c`, `\ud83c\\udfc3`, `\ud83cx\udfc3`, `\u00e9`, `\`, `\u`, `\ud83c\n`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var units []uint16 // what the text means; anything that is no surrogate is x
		for i := 0; i < len(text); {
			unit, size := uint16('x'), 1
			if text[i] == '\\' {
				size = 2
				var n uint16
				if i+6 <= len(text) && text[i+1] == 'u' && isHex(text[i+2:i+6]) {
					if _, err := fmt.Sscanf(text[i+2:i+6], "%04x", &n); err == nil {
						size = 6
						if utf16.IsSurrogate(rune(n)) {
							unit = n
						}
					}
				}
			}
			units = append(units, unit)
			i += size
		}
		want := strings.ContainsRune(string(utf16.Decode(units)), '\ufffd')
		if got := hasLoneSurrogate([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	})
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdefABCDEF") == "" }
