package link

import "testing"

func TestThrottle(t *testing.T) {
	var c Throttle
	got := 0
	for range 2 * maxOwed {
		if c.Allow(0) {
			got++
		}
	}
	if got != maxOwed {
		t.Errorf("a queue that stands still got %d pauses, want %d", got, maxOwed)
	}
	if c.Allow(Quantum - 1) {
		t.Error("one more for less than a quantum")
	}
	if !c.Allow(Quantum) || c.Allow(2*Quantum-1) || !c.Allow(2*Quantum) {
		t.Error("not one for each quantum")
	}
	c.Allow(1 << 40)
	for range 2 * maxOwed {
		c.Allow(0) // an old count
	}
	if c.owed != maxOwed {
		t.Errorf("%d pauses are owed, %d is the bound", c.owed, maxOwed)
	}
	c = Throttle{}
	c.Allow(1 << 40)
	for got = 0; c.Allow(1 << 40); got++ {
	}
	if got != maxOwed-1 {
		t.Errorf("after it moved for long it gets %d more, want %d", got, maxOwed-1)
	}
}
