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
