package plane

import (
	"context"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/x/ringdht/internal/workers"
)

// A call that waits for a node's handlers must fail inside one of them: it would wait for
// itself. Close takes no context that could tell, and Go does not tell which goroutine
// runs. A goroutine can read its own stack, though. So each owner of planes has a number,
// and handlers and callbacks are called through a chain of functions that stand for the
// digits of the number, to base 4. [Inside] reads the number from the stack. Most processes
// have one node, and so a chain of one.
//
// Rejected: goroutine labels, which goroutines that a handler starts inherit, and these may
// wait; and the goroutine's number in a stack trace, which each goroutine that calls
// handlers would have to look up first.

// owners is the last number given.
var owners atomic.Uint64

// NewOwner returns a number for [Config].Owner that no other owner in this process has.
func NewOwner() uint64 { return owners.Add(1) }

// Inside reports whether its caller runs in a handler, or a callback, of a plane of this
// owner. A goroutine that a handler has started does not.
func Inside(owner uint64) bool {
	var digits [4]uintptr // where the code of each begins
	for i, f := range []func(call, uint64) workers.Span{digit0, digit1, digit2, digit3} {
		digits[i] = reflect.ValueOf(f).Pointer()
	}
	pcs := make([]uintptr, 64)
	n := runtime.Callers(2, pcs)
	for n == len(pcs) {
		pcs = make([]uintptr, 2*len(pcs))
		n = runtime.Callers(2, pcs)
	}
	found := uint64(0)
	frames := runtime.CallersFrames(pcs[:n])
	for {
		f, more := frames.Next() // innermost first, so the highest digit first
		if d := slices.Index(digits[:], f.Entry); d >= 0 {
			found = found<<2 + uint64(d)
		}
		if !more {
			return found != 0 && found == owner
		}
	}
}

// OwnerOf is the owner of the handler whose context it is, or 0.
func OwnerOf(ctx context.Context) uint64 {
	if p, ok := ctx.Value(handlerKey{}).(*Plane); ok {
		return p.Owner
	}
	return 0
}

// call is what runs inside: handlers for what is due, or the callback.
type call struct {
	p           *Plane
	ctx         context.Context
	in          *inbound     // the stream, or nil for casts
	undelivered *Undelivered // the callback, if it is set
}

// inside makes a call with the digits of a number on the stack, the lowest outermost. It
// must not be inlined: a digit would then be found twice.
//
//go:noinline
func (c call) inside(number uint64) workers.Span {
	rest := number >> 2
	switch {
	case number == 0 && c.undelivered != nil:
		c.p.OnUndelivered(*c.undelivered)
		return workers.Span{}
	case number == 0 && c.in == nil:
		return c.p.deliverCasts(c.ctx)
	case number == 0:
		return c.p.deliverStream(c.ctx, c.in)
	case number&3 == 0:
		return digit0(c, rest)
	case number&3 == 1:
		return digit1(c, rest)
	case number&3 == 2:
		return digit2(c, rest)
	}
	return digit3(c, rest)
}

//go:noinline
func digit0(c call, rest uint64) workers.Span { return c.inside(rest) }

//go:noinline
func digit1(c call, rest uint64) workers.Span { return c.inside(rest) }

//go:noinline
func digit2(c call, rest uint64) workers.Span { return c.inside(rest) }

//go:noinline
func digit3(c call, rest uint64) workers.Span { return c.inside(rest) }

// withoutDigits leaves the calls that stand for digits out of a stack, as
// [runtime/debug.Stack] prints it, two lines for each call: they explain no panic.
func withoutDigits(stack string) string {
	here := reflect.TypeFor[call]().PkgPath()
	var b strings.Builder
	skip := false // the second line
	for line := range strings.Lines(stack) {
		mark := strings.HasPrefix(line, here+".digit") || strings.HasPrefix(line, here+".call.inside(")
		if !mark && !skip {
			b.WriteString(line)
		}
		skip = mark
	}
	return b.String()
}
