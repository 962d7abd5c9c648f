package store

import "github.com/paygraph/paygraph/store/connector"

// send writes everything that the batch has decided by one statement, and commits it. Nothing of it is written where the head has another stamp
// than the batch found, or assumed.
func (w *writer) send(b *batch, stamp int64) error {
	w.arguments = append(w.arguments[:0], b.id(), b.t, b.head.sequence, b.head.hash[:], stamp, b.head.stamp)
	of := b.shape()
	for n := range changes {
		if of[n] == 0 {
			continue
		}
		c := &changes[n]
		columns := w.arrays(n)
		for i := range c.count(b) {
			c.write(b, i, &row{columns: columns})
			if of[n] != manyRows {
				w.arguments = takeRow(w.arguments, columns)
			}
		}
		if of[n] == manyRows {
			for i := range columns {
				w.arguments = append(w.arguments, columns[i].wire())
			}
		}
	}
	if w.texts[of] == "" {
		w.texts[of] = statement(of)
	}
	if b.assumed {
		return connector.ExecAlone(w.conn, commitDeadline, w.texts[of], w.arguments...)
	}
	return connector.ExecAndCommit(w.conn, commitDeadline, w.texts[of], w.arguments...)
}

// takeRow appends the values of the row that was written last, a parameter each.
func takeRow(arguments []any, columns []array) []any {
	for i := range columns {
		arguments = append(arguments, columns[i].last())
	}
	return arguments
}

// arrays are the emptied arrays for the columns of a change.
func (w *writer) arrays(n int) []array {
	columns := w.columns[n]
	if columns == nil {
		columns = make([]array, len(changes[n].columns))
		for i, c := range changes[n].columns {
			columns[i].oid = c.oid
		}
		w.columns[n] = columns
	}
	for i := range columns {
		columns[i].reset()
	}
	return columns
}
