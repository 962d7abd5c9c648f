package store

import "github.com/paygraph/paygraph/store/connector"

// send writes everything that the batch has decided by one statement, and commits it. Nothing of it is written where the head has another stamp
// than the batch found, or assumed.
func (s *session) send(b *batch, stamp int64) error {
	s.arguments = append(s.arguments[:0], b.id(), b.t, b.head.sequence, b.head.hash[:], stamp, b.head.stamp)
	of := b.shape()
	for n := range changes {
		if of[n] == 0 {
			continue
		}
		c := &changes[n]
		columns := s.arrays(n)
		for i := range c.count(b) {
			c.write(b, i, &row{columns: columns})
			if of[n] != manyRows {
				s.arguments = takeRow(s.arguments, columns)
			}
		}
		if of[n] == manyRows {
			for i := range columns {
				s.arguments = append(s.arguments, columns[i].wire())
			}
		}
	}
	if s.texts[of] == "" {
		s.texts[of] = statement(of)
	}
	if b.assumed {
		return connector.ExecAlone(s.conn, commitDeadline, s.texts[of], s.arguments...)
	}
	return connector.ExecAndCommit(s.conn, commitDeadline, s.texts[of], s.arguments...)
}

// takeRow appends the values of the row that was written last, a parameter each.
func takeRow(arguments []any, columns []array) []any {
	for i := range columns {
		arguments = append(arguments, columns[i].last())
	}
	return arguments
}

// arrays are the emptied arrays for the columns of a change.
func (s *session) arrays(n int) []array {
	columns := s.columns[n]
	if columns == nil {
		columns = make([]array, len(changes[n].columns))
		for i, c := range changes[n].columns {
			columns[i].oid = c.oid
		}
		s.columns[n] = columns
	}
	for i := range columns {
		columns[i].reset()
	}
	return columns
}
