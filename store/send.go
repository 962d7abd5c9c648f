package store

import "github.com/paygraph/paygraph/store/connector"

// send writes everything that the batch has decided by one statement, and commits it. The head's row is there: it is locked.
func (w *writer) send(b *batch, stamp int64) error {
	w.arguments = append(w.arguments[:0], b.id(), b.t, b.head.sequence, b.head.hash[:], stamp)
	mask := uint32(0)
	for n := range changes {
		c := &changes[n]
		rows := c.count(b)
		if rows == 0 {
			continue
		}
		mask |= 1 << n
		columns := w.arrays(n)
		for i := range rows {
			c.write(b, i, &row{columns: columns})
		}
		for i := range columns {
			w.arguments = append(w.arguments, columns[i].wire())
		}
	}
	if w.texts[mask] == "" {
		w.texts[mask] = statement(mask)
	}
	return connector.ExecAndCommit(w.conn, commitDeadline, w.texts[mask], w.arguments...)
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
