package backoff

import (
	"slices"
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	b := Backoff{Min: 3, Max: 20}
	next := func(n int) (all []time.Duration) {
		for range n {
			all = append(all, b.Next())
		}
		return all
	}
	if got := next(5); !slices.Equal(got, []time.Duration{3, 6, 12, 20, 20}) {
		t.Error("from the start:", got)
	}
	b.Max = 10
	if got := next(1); got[0] != 10 {
		t.Error("a lower bound:", got)
	}
	if b.Delay() != 10 {
		t.Error("the delay of the last Next:", b.Delay())
	}
	b.Reset()
	if b.Delay() != 0 {
		t.Error("the delay after Reset:", b.Delay())
	}
	if got := next(2); !slices.Equal(got, []time.Duration{3, 6}) {
		t.Error("after Reset:", got)
	}
	b = Backoff{Min: 20, Max: 3}
	if got := next(2); !slices.Equal(got, []time.Duration{3, 3}) {
		t.Error("Max is the stronger bound:", got)
	}
}

func TestJitter(t *testing.T) {
	b := Backoff{Min: 50, Max: 1000}
	for _, d := range []time.Duration{0, 50, 1000} {
		lo, hi := time.Duration(1<<62), time.Duration(-1)
		for range 10_000 {
			j := b.Jitter(d)
			lo, hi = min(lo, j), max(hi, j)
		}
		if lo < d/2 || hi >= d+b.Min/2 || hi-lo < d/4 {
			t.Errorf("of %d: %d to %d", d, lo, hi)
		}
	}
}
