package answer

import "time"

// Slice says which part of a list a store is to find.
type Slice struct {
	After     *UUID // the object after which to begin; nil: from the beginning
	Limit     int
	Direction Direction
}

// Direction is the direction of a list, by the time of creation.
type Direction string

// The directions of a list.
const (
	Ascending  Direction = "ASC"
	Descending Direction = "DESC"
)

// OrderField is what a list is ordered by.
type OrderField string

// CreatedAt orders by the time of creation, which is also the order of identifiers.
const CreatedAt OrderField = "CREATED_AT"

// OrderBy is the order of a list.
type OrderBy struct {
	Field     OrderField
	Direction Direction
}

// TimeRange is a span of time: from is in it, to is not; nil is open.
type TimeRange struct {
	From *time.Time
	To   *time.Time
}

// MetadataFilter is a pair that an object's metadata must hold.
type MetadataFilter struct {
	Key   string
	Value string
}
