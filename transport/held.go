package transport

import "unique"

// refusal is why the socket does not take an operation of so many bytes, with so many more of documents, nil where it does. mu is held.
func (s *socket) refusal(size, document int) *requestError {
	switch {
	case s.farewell != nil:
		return refuse(newError(s.farewell.refusal, "%s", s.farewell.reason))
	case len(s.operations) >= maxOperations || s.held+size > maxHeld || s.documents+document > maxDocuments:
		return tooMuchHeld()
	}
	return nil
}

func tooMuchHeld() *requestError {
	return refuse(newError(rateLimited, "a socket has at most %d operations at once, of %d bytes together, and of %d in their documents: "+
		"end one, or open another", maxOperations, maxHeld, maxDocuments))
}

// found has a document that was named by its identifier count as one that was sent.
func (s *socket) found(r *running, text string) *requestError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := r.document; s.operations[r.id] == r && was.Value() != text {
		r.document = unique.Make(text)
		document := s.only(r)
		if s.documents+document > maxDocuments {
			r.document = was
			return tooMuchHeld()
		}
		s.documents += document
	}
	return nil
}

// forget frees an operation's identifier. It is false where that has been done: nothing more is said of the operation. mu is held.
func (s *socket) forget(r *running) bool {
	if r == nil || s.operations[r.id] != r {
		return false
	}
	delete(s.operations, r.id)
	s.held -= r.size
	s.documents -= s.only(r)
	return true
}

// only is how many bytes of a document no other operation on the socket has. mu is held.
func (s *socket) only(r *running) int {
	for _, other := range s.operations {
		if other != r && other.document == r.document {
			return 0
		}
	}
	return min(len(r.document.Value()), s.handler.engine.config.Limits.Text)
}
