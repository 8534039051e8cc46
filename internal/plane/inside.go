package plane

import (
	"context"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
)

// What waits for a node's handlers must not be called by one of them: it would wait for
// itself. Close has no context that could say so, and Go does not tell which goroutine
// runs. What a goroutine can read is the chain of its own calls. So each owner of planes
// has a number, and handlers and callbacks are called through functions that stand for
// the digits of it: a stack that has them is that of a handler of this owner.
//
// Rejected: labels of goroutines, which are inherited by those that a handler starts, and
// these may wait; and the number that a stack trace begins with, which each goroutine that
// calls handlers would have to look up first.

// owners counts the numbers that were given.
var owners atomic.Uint64

// NewOwner returns a number for [Config].Owner that no other owner in this process has.
func NewOwner() uint64 { return owners.Add(1) }

// Inside says whether it is called by a handler, or a callback, of a plane of this
// owner. A goroutine that a handler has started is not inside.
func Inside(owner uint64) bool {
	digits := digits()
	pcs := make([]uintptr, 64)
	n := runtime.Callers(2, pcs)
	for n == len(pcs) {
		pcs = make([]uintptr, 2*len(pcs))
		n = runtime.Callers(2, pcs)
	}
	found := uint64(0)
	frames := runtime.CallersFrames(pcs[:n])
	for {
		f, more := frames.Next() // the last call first, so the first digit first
		if d := slices.Index(digits[:], f.Entry); d >= 0 {
			found = found<<4 + uint64(d)
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

// call is what is called inside: handlers for what is due on a turn, or the callback.
type call struct {
	p    *Plane
	ctx  context.Context
	turn *turn
	lost *Undelivered // the callback, if it is set
}

// inside makes a call with the digits of a number on the stack, the last one first. Were
// it inlined, a digit would be found twice.
//
//go:noinline
func (c call) inside(number uint64) span {
	if number == 0 {
		if c.lost != nil {
			c.p.OnUndelivered(*c.lost)
			return span{}
		}
		return c.p.deliverTurn(c.ctx, c.turn)
	}
	rest := number >> 4
	switch number & 15 {
	case 0:
		return digit0(c, rest)
	case 1:
		return digit1(c, rest)
	case 2:
		return digit2(c, rest)
	case 3:
		return digit3(c, rest)
	case 4:
		return digit4(c, rest)
	case 5:
		return digit5(c, rest)
	case 6:
		return digit6(c, rest)
	case 7:
		return digit7(c, rest)
	case 8:
		return digit8(c, rest)
	case 9:
		return digit9(c, rest)
	case 10:
		return digit10(c, rest)
	case 11:
		return digit11(c, rest)
	case 12:
		return digit12(c, rest)
	case 13:
		return digit13(c, rest)
	case 14:
		return digit14(c, rest)
	default:
		return digit15(c, rest)
	}
}

// withoutDigits leaves the functions that stand for digits out of a stack as
// [runtime/debug.Stack] prints it, two lines for each call: they say nothing about a panic.
func withoutDigits(stack string) string {
	here := reflect.TypeFor[call]().PkgPath()
	var b strings.Builder
	skip := false // the line behind
	for line := range strings.Lines(stack) {
		mark := strings.HasPrefix(line, here+".digit") || strings.HasPrefix(line, here+".call.inside(")
		if !mark && !skip {
			b.WriteString(line)
		}
		skip = mark
	}
	return b.String()
}

// digits are where the code of each digit begins.
func digits() (all [16]uintptr) {
	for i, f := range []func(call, uint64) span{
		digit0, digit1, digit2, digit3, digit4, digit5, digit6, digit7,
		digit8, digit9, digit10, digit11, digit12, digit13, digit14, digit15,
	} {
		all[i] = reflect.ValueOf(f).Pointer()
	}
	return all
}

//go:noinline
func digit0(c call, rest uint64) span { return c.inside(rest) }

//go:noinline
func digit1(c call, rest uint64) span { return c.inside(rest) }

//go:noinline
func digit2(c call, rest uint64) span { return c.inside(rest) }

//go:noinline
func digit3(c call, rest uint64) span { return c.inside(rest) }

//go:noinline
func digit4(c call, rest uint64) span { return c.inside(rest) }

//go:noinline
func digit5(c call, rest uint64) span { return c.inside(rest) }

//go:noinline
func digit6(c call, rest uint64) span { return c.inside(rest) }

//go:noinline
func digit7(c call, rest uint64) span { return c.inside(rest) }

//go:noinline
func digit8(c call, rest uint64) span { return c.inside(rest) }

//go:noinline
func digit9(c call, rest uint64) span { return c.inside(rest) }

//go:noinline
func digit10(c call, rest uint64) span { return c.inside(rest) }

//go:noinline
func digit11(c call, rest uint64) span { return c.inside(rest) }

//go:noinline
func digit12(c call, rest uint64) span { return c.inside(rest) }

//go:noinline
func digit13(c call, rest uint64) span { return c.inside(rest) }

//go:noinline
func digit14(c call, rest uint64) span { return c.inside(rest) }

//go:noinline
func digit15(c call, rest uint64) span { return c.inside(rest) }
