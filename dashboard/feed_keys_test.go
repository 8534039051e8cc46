package dashboard

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/x/ringdht/status"
)

// The page gets the ring of keys in sectors: those of the owners' arcs, in which a small arc that moves is
// seen, too. Lists are bounded. A ring without keys has empty parts.
func TestKeyParts(t *testing.T) {
	const quarter = 1 << 62
	a, b := status.MemberInfo{Peer: status.Peer{ID: 7}, Incarnation: 1, Name: "first"}, status.MemberInfo{Peer: status.Peer{ID: 1 << 63}, Incarnation: 2}
	times := make([]int64, 24)
	times[10], times[23] = 10, 1
	s := &status.Snapshot{
		Members: []status.Member{{Node: status.Node{Peer: a.Peer, Incarnation: 1, Keys: []status.NodeKeys{{Service: "other"}, {Service: "s", KeyCounters: status.KeyCounters{Keys: 5, Handled: 9}}}}}},
		Keys: []status.KeyService{{
			Service: "s", Owners: []status.KeyOwner{{MemberInfo: a, Arcs: 3, Share: 0.5}, {MemberInfo: b, Arcs: 1, Share: 0.25}}, ArcCount: 4, Free: 0.25, Moving: 1,
			Arcs: []status.KeyArc{
				{First: 0, Last: quarter - 1, Owner: 0, Receiver: -1}, {First: quarter, Last: 2*quarter - 1, Owner: 1, Receiver: -1},
				{First: 2 * quarter, Last: 3*quarter - 2, Owner: 0, Receiver: -1}, {First: 3*quarter - 1, Last: 3*quarter - 1, Owner: 0, Receiver: 1},
			},
			Moves: []status.KeyMove{{From: a, To: b, Share: 0.25, Since: time.UnixMilli(77)}, {From: a, To: b, Share: 0.25, Since: time.UnixMilli(99)}}, Moved: 11, MoveTimes: status.Histogram{Counts: times}, LongestMove: 5 * time.Second,
		}},
	}
	keys, arcs := keysOf(s)
	p := keys[0]
	if got := fmt.Sprint(p.Owners, p.Moves); got != "[[7 first 0.5 3 5 9] [9223372036854775808  0.25 1 0 0]] [[7 9223372036854775808 2 0.5 77]]" {
		t.Error(got)
	}
	if p.Half != int64(1024*time.Microsecond) || p.Most != int64(5*time.Second) || p.OwnersAll != 2 {
		t.Errorf("%+v", p)
	}
	if want := []int{0, -1, 180, 1, -1, 180, 0, -1, 179, 0, 1, 1, -1, -1, 180}; !slices.Equal(arcs[0].Sectors, want) {
		t.Errorf("sectors %v, want %v", arcs[0].Sectors, want)
	}
	if sectorOf(0) != 0 || sectorOf(math.MaxUint64) != keySectors-1 {
		t.Error("a point is in no sector")
	}

	large := status.KeyService{Service: "large", Owners: slices.Repeat([]status.KeyOwner{{}}, 1000), Moves: make([]status.KeyMove, status.MaxKeyMoves)}
	for i := range large.Moves {
		large.Moves[i].To.ID = status.ID(i)
	}
	for i := range uint64(64000) {
		large.Arcs = append(large.Arcs, status.KeyArc{First: i << 48, Last: (i+1)<<48 - 1, Owner: int(i * 7 % 1000), Receiver: int(i*11%1000) - 1})
	}
	s.Keys = slices.Repeat([]status.KeyService{large}, 20)
	keys, arcs = keysOf(s)
	if len(keys) != maxKeyServices || len(keys[0].Owners) != maxKeyOwners || len(keys[0].Moves) != maxKeyMoves || len(arcs[0].Sectors) > 3*keySectors {
		t.Errorf("%d services, %d owners, %d moves, %d numbers", len(keys), len(keys[0].Owners), len(keys[0].Moves), len(arcs[0].Sectors))
	}
	if size := len(encode(keys[:1])) + len(encode(arcs[:1])); size > 32<<10 {
		t.Errorf("a large service takes %d bytes", size)
	}
	if none, arcs := keysOf(&status.Snapshot{}); string(encode(none)) != "[]" || string(encode(arcs)) != "[]" {
		t.Errorf("without keys: %v, %v", none, arcs)
	}
}
