package ring

import "testing"

// router is node 10 of a ring of 256 IDs. Its entries are 20, 40 and 100, its successor is 20.
func router(change func(*Router)) Router {
	r := Router{
		Mask: Mask(8), Self: 10, HopLimit: 5, Epoch: 1,
		Up: []uint64{20, 40, 100}, Successor: 20, Authoritative: true,
	}
	if change != nil {
		change(&r)
	}
	return r
}

// TestRelay: every decision about a frame of a peer's, in the order in which they are made.
func TestRelay(t *testing.T) {
	noTable := func(r *Router) { r.Epoch, r.Authoritative = 0, false }
	noSuccessor := func(r *Router) { r.Up = r.Up[1:]; r.Detours = []uint64{30, 20} }
	unsure := func(r *Router) { r.Authoritative = false }
	stubs := func(r *Router) {
		r.Up, r.Successor, r.Stubs, r.Detours = []uint64{40, 100}, 40, []uint64{20, 30}, []uint64{30}
	}
	alone := func(r *Router) { r.Up, r.Successor = nil, r.Self }
	for _, c := range []struct {
		name      string
		change    func(*Router)
		from, dst uint64
		hops      int
		detour    bool
		want      Action
		index     int
	}{
		{"no table", noTable, 5, 20, 1, false, Drop, 0},
		{"no table, marked", noTable, 5, 20, 1, true, Drop, 0},
		{"no table, too far, too late", noTable, 5, 7, 5, false, Drop, 0},
		{"an entry", nil, 5, 40, 1, false, Forward, 1},
		{"between two entries", nil, 5, 99, 4, false, Forward, 1},
		{"beyond all entries", nil, 5, 3, 1, false, Forward, 2},
		{"passed its sink", nil, 5, 7, 1, false, Overshoot, 0},
		{"passed its sink and crossed too many links", nil, 5, 7, 5, false, Overshoot, 0},
		{"passed its sink on a detour", nil, 5, 7, 1, true, Direct, 0},
		{"from the loopback nothing overshoots", nil, 10, 9, 1, false, Forward, 2},
		{"crossed too many links", nil, 5, 40, 5, false, HopLimit, 0},
		{"crossed too many links on a detour", nil, 5, 40, 5, true, HopLimit, 0},
		{"crossed too many links, for an ID that is not taken", nil, 5, 15, 5, false, HopLimit, 0},
		{"marked, for an ID that is not taken", nil, 5, 15, 1, true, Direct, 0},
		{"before the successor", nil, 5, 15, 1, false, NoSuchNode, 0},
		{"before the successor, not authoritative", unsure, 5, 15, 1, false, Drop, 0},
		{"before the successor, whose link is down", noSuccessor, 5, 15, 1, false, NoSuchNode, 0},
		{"the successor, whose link is down", noSuccessor, 5, 20, 1, false, Detour, 1},
		{"behind a successor whose link is down", noSuccessor, 5, 25, 1, false, Drop, 0},
		{"a stub", stubs, 5, 20, 1, false, Direct, 0},
		{"a stub, by a detour", stubs, 5, 30, 1, false, Detour, 0},
		{"beside a stub", stubs, 5, 25, 1, false, NoSuchNode, 0},
		{"behind the stubs", stubs, 5, 45, 1, false, Forward, 0},
		{"alone", alone, 5, 200, 1, false, NoSuchNode, 0},
	} {
		r := router(c.change)
		if got, i := r.Relay(c.from, c.dst, c.hops, c.detour); got != c.want || i != c.index {
			t.Errorf("%s: action %d, index %d; want %d, %d", c.name, got, i, c.want, c.index)
		}
	}
}

// TestNextIsRelayOfOnesOwn: a frame of the node's own is decided about as one that has just come
// from the node itself, in any state of its links.
func TestNextIsRelayOfOnesOwn(t *testing.T) {
	for _, epoch := range []uint64{0, 1} {
		for up := range 4 {
			for _, sure := range []bool{true, false} {
				r := router(func(r *Router) {
					r.Epoch, r.Up, r.Detours, r.Authoritative = epoch, r.Up[up:], []uint64{20, 60}, sure
				})
				for dst := range uint64(256) {
					if dst == r.Self {
						continue
					}
					a, i := r.Next(dst)
					if b, j := r.Relay(r.Self, dst, 0, false); a != b || i != j {
						t.Errorf("%+v: to %d: next is %d %d, relayed %d %d", r, dst, a, i, b, j)
					}
				}
			}
		}
	}
}

func BenchmarkRelay(b *testing.B) {
	r := router(nil)
	b.ReportAllocs()
	dst, sum := uint64(1), 0
	for b.Loop() {
		action, i := r.Relay(5, 20+dst&127, 1, false)
		sum += i + int(action)
		dst = dst*25173 + 13849
	}
	_ = sum
}
