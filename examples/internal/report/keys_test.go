package report

import (
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/examples/internal/table"
	"github.com/x/ringdht/status"
)

// keysOf is a snapshot with two services: one moves, the other waits for an owner.
func keysOf() *status.Snapshot {
	now := time.Unix(1e9, 0)
	a := status.MemberInfo{Peer: status.Peer{ID: 12345, Addr: "10.0.0.1:4000"}, Incarnation: 1, Name: "first"}
	b := status.MemberInfo{Peer: status.Peer{ID: 54321, Addr: "10.0.0.2:4000"}, Incarnation: 2}
	times := make([]int64, 20)
	times[13], times[19] = 70, 5
	return &status.Snapshot{
		Time: now,
		Members: []status.Member{
			{Node: status.Node{Peer: a.Peer, Incarnation: 1, Keys: []status.NodeKeys{{Service: "x"}, {Service: "counter", KeyCounters: status.KeyCounters{Keys: 120, Handled: 9876, GivenBytes: 4096}}}}},
			{Node: status.Node{Peer: b.Peer, Incarnation: 2, Keys: []status.NodeKeys{{Service: "counter", KeyCounters: status.KeyCounters{Keys: 80, Refusals: 3}}}}},
		},
		Keys: []status.KeyService{
			{Service: "counter", Owners: []status.KeyOwner{{MemberInfo: a, Arcs: 64, Share: 0.625}, {MemberInfo: b, Arcs: 60, Share: 0.375}}, Sources: 3, ArcCount: 124, Moving: 120,
				Moves: []status.KeyMove{{From: a, To: b, Share: 0.0004, Since: now.Add(-75 * time.Second)}, {From: a, To: b, Share: 0.02, Since: now}},
				Moved: 75, MoveTimes: status.Histogram{Counts: times}, LongestMove: 400 * time.Millisecond, Total: status.KeyCounters{Keys: 200, Handled: 9876, Refusals: 3, Unknown: 2}},
			{Service: "empty", Owners: []status.KeyOwner{}, Moves: []status.KeyMove{}, Free: 1},
			{Service: "new", Owners: []status.KeyOwner{}, Moves: []status.KeyMove{}, Free: 1, Recovering: true},
		},
	}
}

func TestKeys(t *testing.T) {
	s := keysOf()
	const all = `
                                                                 moves  moves    half    99 %  longest
service  owners  sources  arcs  keys  handled  refused  unknown    now  ended  within  within     took
counter       2        3   124   200     9876        3        2    120     75  8.2 ms  400 ms   400 ms
empty         0        0     0     0        0        0        0      0      0       -       -        -
new           0        0     0     0        0        0        0      0      0       -       -        -
empty: 100 % of the ring of keys has no owner. Messages there wait.
new: the registry waits until all members of the earlier one have said what they hold. Until then no arc moves.
`
	if got := "\n" + Keys(s.Keys, 0); got != all {
		t.Errorf("%s", got)
	}
	const one = `
owner  name   address        share  arcs  keys  handled  refused   given  taken
12345  first  10.0.0.1:4000   62 %    64   120     9876        0  4.1 kB    0 B
54321         10.0.0.2:4000   38 %    60    80        0        3     0 B    0 B

Moves under way:
 from     to   share    for
12345  54321  <0.1 %   75 s
12345  54321   2.0 %  0.0 s
and 118 more
`
	if got := "\n" + KeyOwners(s, &s.Keys[0], 0); got != one {
		t.Errorf("%s", got)
	}
	if got := KeyOwners(s, &s.Keys[1], 0); got != "No node owns keys of this service.\nempty: 100 % of the ring of keys has no owner. Messages there wait.\n" {
		t.Errorf("%s", got)
	}
	for _, width := range []int{40, 60, 80} {
		for line := range strings.Lines(Keys(s.Keys, width) + KeyOwners(s, &s.Keys[0], width)) {
			if table.Cells(strings.TrimSuffix(line, "\n")) > width {
				t.Errorf("wider than %d: %s", width, line)
			}
		}
	}
}

// The owner of a key is named in a sentence, with the next one while the arc moves.
func TestOwner(t *testing.T) {
	s := keysOf().Keys[0]
	d := OwnerDocument{Key: "alice", Point: 7, Owner: s.Owners[0].MemberInfo, Term: 9, To: &s.Owners[1].MemberInfo}
	if got := d.String(); got != "alice is held by node 12345 (first) at 10.0.0.1:4000, under term 9. Its point is 7. Its arc moves to node 54321 at 10.0.0.2:4000." {
		t.Error(got)
	}
}
