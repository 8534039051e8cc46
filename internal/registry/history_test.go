package registry

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/x/ringdht/status"
)

// Each step has the share of a growth that fits its overlap with the growth's time, and the
// steps add up to the whole, but for what was before the oldest.
func TestHistorySpreads(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var h history
	at := time.Unix(1e9, 0)
	want := make(map[int64]float64) // by step
	h.advance(at, 1)
	origin := at
	members := map[int64]int{0: 1}
	for round := range 3000 {
		silent := time.Duration(rng.Int64N(int64(time.Second)))
		if round%100 == 99 { // a gap, in which no heartbeat comes
			silent = time.Duration(rng.Int64N(int64(8 * time.Minute)))
		}
		last := int64(at.Sub(origin) / status.HistoryStep)
		at = at.Add(silent)
		now := int64(at.Sub(origin) / status.HistoryStep)
		for n := last + 1; n <= now; n++ {
			members[n] = members[n-1]
		}
		members[now] = rng.IntN(100)
		h.advance(at, members[now])
		from := at.Add(-time.Duration(rng.Int64N(int64(20 * time.Second))))
		if round%50 == 0 {
			from = at.Add(-10 * time.Minute) // a node that was silent for longer than the history is
		}
		if from.Before(origin) {
			from = origin
		}
		d := rng.Int64N(1e6)
		h.spread(from, at, counts{delivered: d, relayed: 2 * d})
		for n := now; n >= 0; n-- {
			begin := origin.Add(time.Duration(n) * status.HistoryStep)
			end := begin.Add(status.HistoryStep)
			if end.Before(from) {
				break
			}
			if begin.Before(from) {
				begin = from
			}
			if end.After(at) {
				end = at
			}
			if part := end.Sub(begin); part > 0 {
				want[n] += float64(d) * float64(part) / float64(at.Sub(from))
			}
		}
		list := h.list()
		if len(list) != min(int(now)+1, status.MaxHistory) {
			t.Fatalf("%d steps after %v", len(list), at.Sub(origin))
		}
		for i, s := range list {
			n := now - int64(len(list)-1-i)
			if !s.Time.Equal(origin.Add(time.Duration(n)*status.HistoryStep)) || s.Members != members[n] || s.Sent != 0 {
				t.Fatalf("step %d is %+v, with %d members", n, s, members[n])
			}
			if got := float64(s.Delivered); math.Abs(got-want[n]) > float64(round+1) || s.Relayed < 2*s.Delivered-int64(round) {
				t.Fatalf("round %d: step %d has %v, want %v", round, n, got, want[n])
			}
		}
	}
}

// The steps add up to what has grown, to the message.
func TestHistoryLosesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	var h history
	at := time.Unix(1e9, 0)
	h.advance(at, 1)
	var sum counts
	for range 100 {
		from := at
		at = at.Add(time.Duration(rng.Int64N(int64(6 * time.Second))))
		h.advance(at, 1)
		grown := counts{rng.Int64N(10), rng.Int64N(1e15), rng.Int64N(3), rng.Int64N(2)}
		h.spread(from, at, grown)
		sum = counts{sum.sent + grown.sent, sum.delivered + grown.delivered, sum.relayed + grown.relayed, sum.dropped + grown.dropped}
	}
	var got counts
	for _, s := range h.list() {
		got = counts{got.sent + s.Sent, got.delivered + s.Delivered, got.relayed + s.Relayed, got.dropped + s.Dropped}
	}
	if at.Sub(h.origin) > status.HistoryStep*status.MaxHistory {
		t.Fatalf("%v are more than the history keeps: this shows nothing", at.Sub(h.origin))
	}
	if got != sum {
		t.Errorf("%+v of %+v", got, sum)
	}
	h.spread(at.Add(-time.Minute), at, counts{sent: math.MaxInt64}) // what nodes say is not trusted
	h.spread(at, at, counts{sent: math.MaxInt64})
	for _, s := range h.list() {
		if s.Sent < 0 {
			t.Errorf("%d sent", s.Sent)
		}
	}
}

// A heartbeat allocates nothing for the history.
func TestHistoryAllocatesNothing(t *testing.T) {
	var h history
	at := time.Unix(1e9, 0)
	if n := testing.AllocsPerRun(1000, func() {
		at = at.Add(time.Second)
		h.advance(at, 10)
		h.spread(at.Add(-2*time.Second), at, counts{1, 2, 3, 4})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHistory(b *testing.B) {
	var h history
	at := time.Unix(1e9, 0)
	for b.Loop() {
		at = at.Add(time.Millisecond)
		h.advance(at, 1000)
		h.spread(at.Add(-time.Second), at, counts{1000, 2000, 3000, 0})
	}
}
