package registry

import (
	"testing"
	"time"
)

// The log reports a shortage. It does not report the sum of small delays over an hour.
func TestRegistryLatenessInWords(t *testing.T) {
	const lease = 3 * time.Second
	const period = lease / 32
	var k stalls
	now := time.Now()
	said := 0
	miss := func(late time.Duration, ticks int) {
		now = now.Add(late)
		k.unlogged += late
		if k.worthLogging(now, lease) {
			said++
			k.unlogged, k.logged = 0, now
		}
		for range ticks {
			now = now.Add(period)
			k.decay(now, lease)
		}
	}
	for range 1000 {
		miss(lease/64, 32) // in each lease
	}
	if said != 0 {
		t.Errorf("it reports a little lateness %d times", said)
	}
	for range 20 {
		miss(lease/32, 1)
	}
	if said != 1 {
		t.Errorf("it reports a shortage %d times", said)
	}
}

// A registry that runs in time looks every eighth of a lease whether it does. After a stall it
// looks every 32nd, and as long as there are stalls.
func TestPeriodOfStalls(t *testing.T) {
	const lease = 32 * time.Second
	k := stalls{period: shortPeriod(lease)}
	for i, want := range []time.Duration{2, 4, 4, 4, -1, -1, 2, 4, -1, 2} {
		if k.late = want < 0; k.late {
			want = 1
		}
		if got := k.nextPeriod(lease); got != want*time.Second || k.period != got || k.late {
			t.Errorf("period %d is %v, want %v", i, got, want*time.Second)
		}
	}
	if k = (stalls{period: shortPeriod(time.Millisecond)}); k.nextPeriod(time.Millisecond) != time.Millisecond {
		t.Errorf("a short lease makes a period of %v", k.period)
	}
}
