package store

// Forget empties the memory of transactions, as if others had taken all its room.
func (s *Store) Forget() { s.posted.meet("nobody") }

// Server is the server whose transactions are in memory.
func (s *Store) Server() string { return s.posted.server }
