package command_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/paygraph/paygraph/command"
)

type thing struct{}

func (*thing) NodeID() string { return "thing" }

// TestAnObjectThatCannotBeRead has been made all the same: no error of the database may say that nothing was done.
func TestAnObjectThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{command.ErrUnavailable, command.ErrRateLimited, command.ErrInternal, context.DeadlineExceeded, context.Canceled} {
		_, err := command.Resolve(command.Result{ObjectID: "thing", Replayed: true}, nil, func(string) (*thing, error) {
			return nil, fmt.Errorf("reading: %w", cause)
		})
		if !errors.Is(err, command.ErrOutcomeUnknown) || errors.Is(err, cause) {
			t.Errorf("%v became %v", cause, err)
		}
	}
}

// TestAnObjectIsReadForReplaysOnly keeps what the command left, and its error, as they are.
func TestAnObjectIsReadForReplaysOnly(t *testing.T) {
	t.Parallel()
	made := &thing{}
	read := func(id string) (*thing, error) {
		if id != "thing" {
			t.Errorf("%s is read", id)
		}
		return &thing{}, nil
	}
	if got, err := command.Resolve(command.Result{ObjectID: "other", Object: made}, nil, read); got != made || err != nil {
		t.Errorf("got %p, %v, want %p", got, err, made)
	}
	if got, err := command.Resolve(command.Result{ObjectID: "thing", Replayed: true}, nil, read); got == nil || err != nil {
		t.Errorf("a replay: %v, %v", got, err)
	}
	if _, err := command.Resolve(command.Result{ObjectID: "other"}, command.ErrUnavailable, read); !errors.Is(err, command.ErrUnavailable) {
		t.Errorf("an error became %v", err)
	}
}
