package resolvers

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
)

// ErrBadUserInput wraps what is wrong with the form of an argument.
var ErrBadUserInput = errors.New("bad input")

// cursors makes and reads the cursors of one list: they are good for this list, merchant, filter and order only.
type cursors struct {
	sealer  *auth.Sealer
	purpose string
}

func (r *Resolver) cursors(p auth.Principal, list string, bound ...any) cursors {
	purpose := list + " of " + string(p.Merchant)
	if p.Kind == auth.Customer {
		purpose += " for " + p.Customer
	}
	if len(bound) > 0 {
		text, _ := json.Marshal(bound) // filters are structs of texts and times
		purpose += " " + string(text)
	}
	return cursors{r.Cursors, purpose}
}

func (c cursors) seal(content []byte) string { return c.sealer.Seal(c.purpose, content) }

// open is what was sealed: so many bytes. Errors: auth.ErrCursorInvalid, auth.ErrCursorExpired.
func (c cursors) open(text string, length int) ([]byte, error) {
	content, err := c.sealer.Open(c.purpose, text)
	if err == nil && len(content) != length {
		err = auth.ErrCursorInvalid
	}
	return content, err
}

// ofID is the cursor of an object in a list that is ordered by identifiers.
func (c cursors) ofID(prefix answer.Prefix, id string) string {
	u, _ := answer.Decode(prefix, id)
	return c.seal(u[:])
}

// ofNumber is the cursor of an object in a list that is ordered by numbers.
func (c cursors) ofNumber(n int64) string {
	return c.seal(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// id reads the cursor of a list by identifiers; nil for none. Errors: those of open.
func (c cursors) id(after *string) (*answer.UUID, error) {
	if after == nil {
		return nil, nil
	}
	content, err := c.open(*after, len(answer.UUID{}))
	if err != nil {
		return nil, err
	}
	u := answer.UUID(content)
	return &u, nil
}

// number reads the cursor of a list by numbers, or gives the number for none. Errors: those of open.
func (c cursors) number(after *string, none int64) (int64, error) {
	if after == nil {
		return none, nil
	}
	content, err := c.open(*after, 8)
	if err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(content)), nil
}

// checkFirst says whether a page can have this size.
func checkFirst(first int32) error {
	if first < 1 || first > answer.MaxPageSize {
		return fmt.Errorf("%w: first is a number from 1 to %d", ErrBadUserInput, answer.MaxPageSize)
	}
	return nil
}

// rootPage is a page of a list of the merchant's: find gets the part of it, with one object more than the page has.
func rootPage[T any](c cursors, first int32, after *string, order answer.OrderBy, cursorOf func(T) string, find func(answer.Slice) ([]T, error)) (*answer.Page[T], error) {
	if err := checkFirst(first); err != nil {
		return nil, err
	}
	from, err := c.id(after)
	if err != nil {
		return nil, err
	}
	found, err := find(answer.Slice{After: from, Limit: int(first) + 1, Direction: order.Direction})
	if err != nil {
		return nil, err
	}
	return answer.Cut(found, int(first), after != nil, cursorOf), nil
}
