package store

import (
	"strconv"
	"strings"
	"testing"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/merchant"
)

// TestAHintFitsIntoANotification names merchants as long as they fit into what NOTIFY takes, and else says that there are many.
func TestAHintFitsIntoANotification(t *testing.T) {
	t.Parallel()
	named := 0
	for n := 1; n <= 400; n += 7 {
		h := &hints{node: "NODE", heads: map[merchant.ID]int64{}, wake: make(chan struct{}, 1)}
		for i := range n {
			m := merchant.ID(answer.Encode(answer.MerchantPrefix, answer.UUID{14: byte(i >> 8), 15: byte(i)}))
			h.note(m, int64(i)+1e15)
			h.note(m, int64(i)) // an older one says nothing new
		}
		payload := h.payload()
		if len(payload) >= 8_000 {
			t.Fatalf("%d merchants make %d bytes", n, len(payload))
		}
		if n >= 300 {
			if payload != "NODE *" {
				t.Errorf("%d merchants: %.80s", n, payload)
			}
			continue
		}
		if payload == "NODE *" {
			continue
		}
		named = n
		words := strings.Fields(payload)
		if len(words) != 1+2*n {
			t.Errorf("%d merchants: %d words", n, len(words))
		}
		for i := 1; i < len(words); i += 2 {
			u, err := answer.Decode(answer.MerchantPrefix, words[i])
			if want := 1e15 + int(u[14])<<8 + int(u[15]); err != nil || words[i+1] != strconv.Itoa(want) {
				t.Errorf("%s has %s, want %d", words[i], words[i+1], want)
			}
		}
		if h.payload() != "NODE" {
			t.Error("what was said is said again")
		}
	}
	if named < 100 {
		t.Errorf("only %d merchants are named", named)
	}
}
