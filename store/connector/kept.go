package connector

import (
	"context"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// kept holds the statements that a session keeps prepared, the least recently used of which makes room for a new one.
type kept struct {
	texts *simplelru.LRU[string, *statement]
}

func newKept(size int) *kept {
	if size == 0 {
		return nil
	}
	texts, _ := simplelru.NewLRU(size, func(_ string, old *statement) { _ = old.Close() })
	return &kept{texts}
}

// statement is the prepared statement of a text; where it has to be prepared first, that is a round trip of its own.
func (k *kept) statement(ctx context.Context, s *session, text string) (*statement, error) {
	if known, ok := k.texts.Get(text); ok {
		return known, nil
	}
	made, err := s.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	k.texts.Add(text, made.(*statement))
	return made.(*statement), nil
}
