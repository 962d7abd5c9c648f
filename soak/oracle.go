package soak

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
)

// line is what the clients' oracle file says, each time about one key, or that the time of payments is up.
type line struct {
	Key     string         `json:"key,omitempty"`
	Kind    string         `json:"kind,omitempty"`    // what is going to be asked for
	Input   map[string]any `json:"input,omitempty"`   // with it
	Unknown string         `json:"unknown,omitempty"` // why nobody knows what became of it
	Answer  *acknowledged  `json:"answer,omitempty"`  // what the client knows from now on
	Due     bool           `json:"due,omitempty"`     // the clock jumps beyond the time of every payment that waits
}

// acknowledged is what the gateway has answered for good: an object, or a refusal.
type acknowledged struct {
	Object  string `json:"object,omitempty"`
	Refusal string `json:"refusal,omitempty"`
}

// oracle is a file that is only appended to. It says what was asked before it is asked, and what was answered.
type oracle struct {
	file *os.File

	mu      sync.Mutex
	waiting []byte        // not yet on the disk
	synced  chan struct{} // closed when what waits now is
	err     error         // after which nothing is written any more
	wake    chan struct{}
	closed  bool
	ended   chan struct{}
}

func newOracle(path string) (*oracle, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	o := &oracle{file: file, synced: make(chan struct{}), wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go o.write()
	return o, nil
}

// note appends a line. The channel is closed when it is on the disk.
func (o *oracle) note(l line) (synced <-chan struct{}) {
	text, err := json.Marshal(l)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil && o.err == nil {
		o.err = err
	}
	o.waiting = append(append(o.waiting, text...), '\n')
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return o.synced
}

// write brings what waits to the disk, again and again, all of it at once.
func (o *oracle) write() {
	defer close(o.ended)
	for range o.wake {
		o.mu.Lock()
		text, synced := o.waiting, o.synced
		o.waiting, o.synced = nil, make(chan struct{})
		o.mu.Unlock()
		_, err := o.file.Write(text)
		if err == nil {
			err = o.file.Sync()
		}
		if err != nil {
			o.mu.Lock()
			o.err = err
			o.mu.Unlock()
		}
		close(synced)
	}
}

// close waits until everything is on the disk. Nobody may note anything more.
func (o *oracle) close() error {
	o.mu.Lock()
	closed := o.closed
	o.closed = true
	o.mu.Unlock()
	if !closed {
		close(o.wake)
		<-o.ended
		_ = o.file.Close()
	}
	return o.err
}

// readOracle reads an oracle file from the beginning.
func readOracle(path string, visit func(line)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("line %d of the oracle: %w", n, err)
		}
		visit(l)
	}
	return lines.Err()
}
