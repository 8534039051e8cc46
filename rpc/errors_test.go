package rpc

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// A call whose context ended since another call failed has an outcome of its own.
func TestCauseIsNoVerdict(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fmt.Errorf("the other call: %w", notHandled("x", 1, errors.New("gone"))))
	err := unknown("m", 7, contextError(ctx))
	if errors.Is(err, ErrNotHandled) || !errors.Is(err, ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
