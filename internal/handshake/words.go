package handshake

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// Pause waits, unless ctx ends first, and then says why.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ReasonOf is an error's text without what differs each time, such as ports: by it one
// tells whether a reason has changed.
func ReasonOf(err error) string {
	if err == nil {
		return ""
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return Brief(op.Op + ": " + op.Err.Error())
	}
	return Brief(err.Error())
}

func DrawID(n uint64) uint64 {
	if n == 0 {
		return rand.Uint64()
	}
	return rand.Uint64N(n)
}

// MaxReminders is how often a member is asked the same again when it comes back without an
// answer. A connection that ends by chance does not do so many times in a row, but a
// member that cannot read the question hangs up on it each time, and the run must end.
const MaxReminders = 4

// Brief cuts what a node says to what is worth keeping of it: the registry may have to
// remember thousands of such texts.
func Brief(text string) string {
	const most = 500
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + " …"
}

// Some lists a few of many.
func Some(all []string) string {
	const few = 3
	if len(all) <= few {
		return strings.Join(all, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(all[:few], "; "), len(all)-few)
}
