package store

import (
	"github.com/paygraph/paygraph/answer"
)

// nullUUID is a uuid column that may be null.
type nullUUID struct {
	answer.UUID
	valid bool
}

// Scan reads a uuid column.
func (n *nullUUID) Scan(value any) error {
	n.valid = value != nil
	if !n.valid {
		return nil
	}
	return n.UUID.Scan(value)
}

// maybe is the identifier in a column that may be null.
func maybe[ID ~string](prefix answer.Prefix, n nullUUID) *ID {
	if !n.valid {
		return nil
	}
	id := ID(answer.Encode(prefix, n.UUID))
	return &id
}
