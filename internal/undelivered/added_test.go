package undelivered

import (
	"math/rand/v2"
	"testing"
)

// Streams end, callbacks return or fail, and one Flush follows the other, in any order. Flush tells as
// many messages as it must, also of streams that were added up for lack of room.
func TestAddedUpStreamsAreToldOnce(t *testing.T) {
	for seed := range uint64(200) {
		r := newRig(t, true, 1<<10)
		random := rand.New(rand.NewPCG(seed, 1))
		var calls []bool // those to come: whether a Flush has told the stream
		failed := 0      // calls of streams that no Flush has told
		told := func(all []Stream, want int) {
			t.Helper()
			messages := 0
			for _, s := range all {
				messages += int(s.Messages)
			}
			if messages != want {
				t.Fatalf("seed %d: told %d messages, want %d", seed, messages, want)
			}
		}
		for range 400 {
			switch n := random.IntN(240); {
			case n == 0:
				pending := 0
				for i, told := range calls {
					if calls[i] = true; !told {
						pending++
					}
				}
				told(r.flush(), failed+pending)
				failed = 0
			case n < 130:
				r.service = random.IntN(3)
				r.lost(40+random.Uint64N(2), "the body of a message")
				calls = append(calls, false)
			case n < 190 && len(calls) > 0:
				ok := random.IntN(3) > 0
				if r.call(1, ok); !ok && !calls[0] {
					failed++
				}
				calls = calls[1:]
			}
		}
		r.call(0, true)
		told(r.TakeRest(), failed)
		r.empty()
	}
}

// Streams of one service are added up with each other only, also where sinks are too many to list. One
// of a service without a callback is told by Flush, in the order in which all ended.
func TestServicesAreNotAddedUp(t *testing.T) {
	r := newRig(t, true, 1<<20)
	for i := range 3 * maxPerSink {
		r.service = i % 3
		r.callback = r.service > 0
		r.lost(40, "x")
	}
	all := r.flush()
	sums, last := make(map[int]uint64), -1
	for _, s := range all {
		sums[s.Service] += s.Messages
		last = max(last, s.Service)
	}
	if len(all) != maxPerSink || last != 2 || sums[0] != maxPerSink || sums[1] != maxPerSink || sums[2] != maxPerSink {
		t.Errorf("%d entries, by service %v", len(all), sums)
	}
	r.call(0, true)
	r.empty()

	for i := range maxEntries + 10 {
		r.service, r.callback = i%2, i%2 > 0
		r.lost(uint64(i), "x")
	}
	clear(sums)
	for _, s := range r.flush() {
		if sums[s.Service]++; s.Many {
			sums[s.Service] += s.Messages - 1
		}
	}
	if most := maxEntries + 2; r.entries > most || sums[0] != sums[1] || sums[0] != maxEntries/2+5 {
		t.Errorf("by service %v, in %d entries", sums, r.entries)
	}
	r.call(0, true)
	r.empty()
}
