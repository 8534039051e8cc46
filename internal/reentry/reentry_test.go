package reentry

import (
	"runtime/debug"
	"strings"
	"testing"
)

// Inside finds the owner's number on the stack, for any number and any depth of the stack.
func TestInside(t *testing.T) {
	for _, owner := range []uint64{1, 9, 15, 16, 17, 0xab, 0x100, 0xf00f, 0x1234_5678_9abc_def0, 1<<64 - 1} {
		var deep func(n int)
		deep = func(n int) {
			if n > 0 {
				deep(n - 1)
				return
			}
			for _, other := range []uint64{0, 1, 15, 16, owner >> 4, owner << 4, owner - 1, owner ^ 1<<63, owner} {
				if got := Inside(other); got != (other == owner) {
					t.Errorf("a handler of %#x is inside %#x: %v", owner, other, got)
				}
			}
			started := make(chan bool)
			go func() { started <- Inside(owner) }()
			if <-started {
				t.Errorf("a goroutine that a handler of %#x has started is inside", owner)
			}
		}
		for _, n := range []int{0, 40, 60, 1000} {
			Call(owner, func() { deep(n) })
		}
		if Inside(owner) {
			t.Error("inside, outside of any handler")
		}
	}
}

// An owner has a number of its own. Without one nothing is inside.
func TestOwnersAreNotZero(t *testing.T) {
	a, b := NewOwner(), NewOwner()
	if a == 0 || b == 0 || a == b {
		t.Errorf("owners %d and %d", a, b)
	}
	Call(0, func() {
		if Inside(0) {
			t.Error("inside no owner")
		}
	})
}

// A stack is whole, but for the functions that stand for digits.
func TestWithoutDigits(t *testing.T) {
	var stack string
	Call(0x123456789abcdef0, func() { stack = string(debug.Stack()) })
	if !strings.Contains(stack, "reentry.digit") {
		t.Fatalf("no digit is on the stack:\n%s", stack)
	}
	clean := WithoutDigits(stack)
	for _, no := range []string{"reentry.digit", "reentry.Call", "reentry.go"} {
		if strings.Contains(clean, no) {
			t.Errorf("%q is left:\n%s", no, clean)
		}
	}
	for _, want := range []string{"goroutine ", "debug.Stack(", "reentry.TestWithoutDigits(", "reentry_test.go:", "testing.tRunner("} {
		if !strings.Contains(clean, want) {
			t.Errorf("%q is missing:\n%s", want, clean)
		}
	}
}

// A handler is called without an allocation.
func TestCallAllocatesNothing(t *testing.T) {
	owner, sum := NewOwner(), 0
	if n := testing.AllocsPerRun(100, func() {
		took := 0
		Call(owner, func() { took = sum + 1 })
		sum += took
	}); n != 0 {
		t.Errorf("a call allocates %v times", n)
	}
}

func BenchmarkInside(b *testing.B) {
	owner := NewOwner()
	for b.Loop() {
		Inside(owner)
	}
}
