// Package reentry finds out whether a call comes from inside a handler.
//
// A call that waits for a node's handlers must fail inside one of them: it would wait for itself.
// Close takes no context that could tell, and Go does not tell which goroutine runs. A goroutine
// can read its own stack, though. So each owner of handlers has a number, and handlers are called
// through a chain of functions that stand for the digits of the number, to base 4. [Inside] reads
// the number from the stack. Most processes have one node, and so a chain of one.
//
// Rejected: goroutine labels, which goroutines that a handler starts inherit, and these may wait;
// and the goroutine's number in a stack trace, which each goroutine that calls handlers would have
// to look up first.
package reentry

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
)

// owners is the last number given.
var owners atomic.Uint64

// NewOwner returns a number that no other owner in this process has. It is not 0.
func NewOwner() uint64 { return owners.Add(1) }

// Inside reports whether its caller runs in a [Call] of this owner. A goroutine that was started
// there does not.
func Inside(owner uint64) bool {
	var digits [4]uintptr // where the code of each begins
	for i, f := range []func(uint64, func()){digit0, digit1, digit2, digit3} {
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

// Call calls f, which is inside the owner then. Calls must not nest. f does not escape, so a closure
// costs no allocation.
//
// Call puts the digits of the number on the stack, the lowest outermost. It must not be inlined: a
// digit would then be found twice.
//
//go:noinline
func Call(owner uint64, f func()) {
	rest := owner >> 2
	switch {
	case owner == 0:
		f()
	case owner&3 == 0:
		digit0(rest, f)
	case owner&3 == 1:
		digit1(rest, f)
	case owner&3 == 2:
		digit2(rest, f)
	default:
		digit3(rest, f)
	}
}

//go:noinline
func digit0(rest uint64, f func()) { Call(rest, f) }

//go:noinline
func digit1(rest uint64, f func()) { Call(rest, f) }

//go:noinline
func digit2(rest uint64, f func()) { Call(rest, f) }

//go:noinline
func digit3(rest uint64, f func()) { Call(rest, f) }

// WithoutDigits leaves the calls that stand for digits out of a stack, as
// [runtime/debug.Stack] prints it, two lines for each call: they explain no panic.
func WithoutDigits(stack string) string {
	here := reflect.TypeFor[marker]().PkgPath()
	var b strings.Builder
	skip := false // the second line
	for line := range strings.Lines(stack) {
		mark := strings.HasPrefix(line, here+".digit") || strings.HasPrefix(line, here+".Call(")
		if !mark && !skip {
			b.WriteString(line)
		}
		skip = mark
	}
	return b.String()
}

type marker struct{} // of this package
