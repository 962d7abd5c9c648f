package ledger

// Activity is an entry on an account, or where the account stands when a subscription begins.
type Activity struct {
	AccountID AccountID
	Sequence  int64 // the entry's number in the account; in a snapshot, the last entry's
	Snapshot  bool
	Last      *Entry // the entry with the number, or nil where there is none yet
}

// Entry is what happened; nil in a snapshot.
func (a *Activity) Entry() *Entry {
	if a.Snapshot {
		return nil
	}
	return a.Last
}
