package answer

// Limits of a page, which the schema's descriptions repeat.
const (
	DefaultPageSize = 20
	MaxPageSize     = 100
)

// Node is an object that can be found by its identifier alone.
type Node any

// Page is a part of a list, with what a client needs to ask for the next part (Relay's cursor connections). Cursors are made when
// they are asked for.
type Page[T any] struct {
	Items    []T
	More     bool           // there are more objects after these
	Resumed  bool           // there are objects before these
	CursorOf func(T) string // the place of an object in the list
	Standing *string        // the place to go on from where the page is empty; nil: none
}

// Edge is one object in a page, with the cursor after which the next page would begin.
type Edge[T any] struct {
	Cursor string
	Node   T
}

// PageInfo says where a page stands in its list.
type PageInfo struct {
	HasNextPage     bool
	HasPreviousPage bool
	StartCursor     *string
	EndCursor       *string
}

// Cut makes a page of what was found when one object more was asked for than the page has.
func Cut[T any](found []T, first int, resumed bool, cursorOf func(T) string) *Page[T] {
	return &Page[T]{Items: found[:min(first, len(found))], More: len(found) > first, Resumed: resumed, CursorOf: cursorOf}
}

// Nodes are the objects of the page.
func (p *Page[T]) Nodes() []T { return p.Items }

// Edges are the objects of the page with their cursors.
func (p *Page[T]) Edges() []Edge[T] {
	edges := make([]Edge[T], len(p.Items))
	for i, item := range p.Items {
		edges[i] = Edge[T]{p.CursorOf(item), item}
	}
	return edges
}

// PageInfo says where the page stands.
func (p *Page[T]) PageInfo() PageInfo {
	info := PageInfo{HasNextPage: p.More, HasPreviousPage: p.Resumed, EndCursor: p.Standing}
	if n := len(p.Items); n > 0 {
		start, end := p.CursorOf(p.Items[0]), p.CursorOf(p.Items[n-1])
		info.StartCursor, info.EndCursor = &start, &end
	}
	return info
}

// Or is what a pointer points to, or the zero value for nil.
func Or[T any](pointer *T) T {
	if pointer == nil {
		var zero T
		return zero
	}
	return *pointer
}
