package soak

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/paygraph/paygraph/answer"
)

// register knows of every key what was asked, what was answered and what its effects are. It is made of the oracle's lines, and of what the database has.
type register struct {
	mu      sync.Mutex
	fates   map[string]*fate
	due     bool     // the time of every payment is up that waited at some moment
	fresh   []string // keys that were acknowledged since takeFresh
	wrongs  []string // what must not be
	lost    int      // acknowledged commands without their effect
	doubled int      // keys with an effect that happened twice
}

// fate is what became of a key. It is small, since there are millions.
type fate struct {
	kind    int8
	tooMuch bool // was asked for
	known   bool
	refused bool
	effects [len(sources)]uint8 // by source
	object  answer.UUID         // that was answered
	found   answer.UUID         // that the database has
}

func newRegister() *register { return &register{fates: map[string]*fate{}} }

// apply takes a line of the oracle, and says whether it is a first answer.
func (r *register) apply(l line) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.fates[l.Key]
	switch {
	case l.Due:
		r.due = true
	case l.Kind != "":
		kind := slices.IndexFunc(kinds, func(k *kind) bool { return k.name == l.Kind })
		r.fates[l.Key] = &fate{kind: int8(kind), tooMuch: isTooMuch(l.Input)}
	case l.Answer != nil && f == nil:
		r.wrong("%s was answered, and never asked", l.Key)
	case l.Answer != nil:
		object, err := decode(l.Answer.Object)
		if f.known && (f.object != object || f.refused != (l.Answer.Refusal != "")) || err != nil {
			r.wrong("%s was answered differently before: %+v (%v)", l.Key, *l.Answer, err)
		}
		if first = !f.known; first {
			f.known, f.object, f.refused = true, object, l.Answer.Refusal != ""
			r.fresh = append(r.fresh, l.Key)
			r.expect(l.Key, f, l.Answer.Refusal)
		}
	}
	return first
}

// tooLate is the refusal to do anything with a payment whose time is up.
const tooLate = "INVALID_STATE"

// expect holds an answer against what has to come: a client asks for nothing that cannot be done, but for too much, and what it comes too late for.
func (r *register) expect(key string, f *fate, refusal string) {
	k, want := kinds[f.kind], ""
	if f.tooMuch {
		want = k.refusal
	}
	if late := r.due && k.waits && refusal == tooLate; refusal != want && !late {
		r.wrong("%s (%s) was answered with %s, and not with %s", key, k.name, cmp.Or(refusal, "a success"), cmp.Or(want, "a success"))
	}
}

// decode is the UUID of an identifier; of none it is zero.
func decode(id string) (answer.UUID, error) {
	if id == "" {
		return answer.UUID{}, nil
	}
	return answer.Decode(answer.Prefix(id[:3]), id)
}

// takeFresh returns the keys that were acknowledged since it was called last.
func (r *register) takeFresh() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.fresh
	r.fresh = nil
	return taken
}

// found takes an effect that the database has, of a source.
func (r *register) found(source int, key string, object answer.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.fates[key]
	if f == nil {
		r.wrong("%s has an effect (%s), and was never asked", key, sources[source].name)
		return
	}
	f.effects[source]++
	f.found = object
	if f.effects[source] > 1 {
		r.doubled++
		r.wrong("DOUBLED: %s has %d effects (%s)", key, f.effects[source], sources[source].name)
	}
}

// judge holds what was acknowledged of a key against its effects.
func (r *register) judge(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.fates[key]
	for n, s := range sources {
		want := uint8(0)
		if !f.refused && slices.Contains(kinds[f.kind].effects, s) {
			want = 1
		}
		if f.effects[n] < want {
			r.lost++
			r.wrong("LOST: %s was acknowledged (%s), and has no effect (%s)", key, f.object, s.name)
		} else if f.effects[n] > want && f.effects[n] == 1 { // more is noted already
			r.wrong("%s has an effect (%s), and should have none", key, s.name)
		}
	}
	if !f.refused && f.found != f.object {
		r.wrong("%s was answered with %s, and has made %s", key, f.object, f.found)
	}
}

// record holds the gateway's record of a key against what was acknowledged.
func (r *register) record(key string, object answer.UUID, refused bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.fates[key]; f.object != object || f.refused != refused {
		r.wrong("the record of %s says %s, refused %v; its client was answered %s, refused %v", key, object, refused, f.object, f.refused)
	}
}

// mostWrongs are remembered.
const mostWrongs = 100

// note notes what must not be, and was found elsewhere.
func (r *register) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong(format, args...)
}

// wrong notes what must not be. The register is locked.
func (r *register) wrong(format string, args ...any) {
	if len(r.wrongs) < mostWrongs {
		r.wrongs = append(r.wrongs, fmt.Sprintf(format, args...))
	}
}
