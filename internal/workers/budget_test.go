package workers

import (
	"testing"
	"time"
)

// calls charges so many calls of one length. It returns after how many the budget first
// allowed inline calls, or 0.
func (b *budget) calls(n int, took time.Duration) (allowed int) {
	for i := range n {
		b.charge(took)
		if b.allows() && allowed == 0 {
			allowed = i + 1
		}
	}
	return allowed
}

// payBack is how many calls in no time pay back a debt.
func payBack(debt time.Duration) int { return int(debt/wakeup) + 1 }

// Calls quicker than a wakeup earn a budget, slower ones spend it.
func TestBudgetIsEarned(t *testing.T) {
	b := budget{}
	if b.allows() {
		t.Error("a new node has a budget")
	}
	if b.calls(1, time.Microsecond); !b.allows() {
		t.Error("a quick call has earned nothing")
	}
	if b.calls(100_000, wakeup-1); !b.allows() {
		t.Error("no budget for handlers that are just quick enough")
	}
	if b = (budget{}); b.calls(100_000, wakeup+1) != 0 {
		t.Error("a budget for handlers that are not")
	}
	b.calls(1000, 0)
	if b.charge(maxBalance + wakeup); b.allows() {
		t.Errorf("more than the most is left: %v", b)
	}
	for _, debt := range []time.Duration{3 * time.Millisecond, MaxHold - 1} {
		b = budget{}
		b.charge(debt)
		if n, want := b.calls(10_000, 0), payBack(debt-wakeup); n != want {
			t.Errorf("a call of %v was paid back by %d calls, want %d", debt, n, want)
		}
	}
	b.calls(1_000_000, MaxHold-1) // slow for hours
	if n := b.calls(100_000, 0); n != payBack(maxDebt) {
		t.Errorf("a slow time was paid back by %d calls, want %d", n, payBack(maxDebt))
	}
}

// Inline calls that last now and then, too short to be found, hold up readers for no more
// than a wakeup a call on average.
func TestBudgetIsOnAverage(t *testing.T) {
	for _, long := range []time.Duration{2 * wakeup, time.Millisecond, MaxHold - wakeup} {
		for _, every := range []int{2, 60, 499, 700} {
			b, inline, calls := budget{}, time.Duration(0), 1_000_000
			for i := range calls {
				took := time.Duration(0)
				if i%every == 0 {
					took = long
				}
				if b.allows() {
					inline += took
				}
				b.charge(took)
			}
			if most := wakeup*time.Duration(calls) + maxBalance; inline > most {
				t.Errorf("%v every %d calls: inline calls took %v, want %v at most", long, every, inline, most)
			}
		}
	}
}

// A call that blocks costs 50,000 calls, from any caller and at any budget.
func TestBudgetOfACallThatBlocks(t *testing.T) {
	const cost = 50_000
	for _, before := range []int{0, 1, 1000} {
		for _, took := range []time.Duration{MaxHold, time.Hour} {
			b := budget{}
			b.calls(before, 0)
			if b.charge(took); b.allows() {
				t.Fatalf("%v cost nothing", took)
			}
			if n := b.calls(2*cost, 0); n != cost+1 {
				t.Errorf("a call of %v after %d quick ones cost %d calls, want %d", took, before, n-1, cost)
			}
		}
	}
	b, found := budget{}, 0 // a handler that always blocks in inline calls
	for range 10 * cost {
		if took := time.Duration(0); b.allows() {
			found++
			b.charge(MaxHold)
		} else {
			b.charge(took)
		}
	}
	if found > 10 {
		t.Errorf("%d calls of %d were found, want one in %d", found, 10*cost, cost)
	}
}
