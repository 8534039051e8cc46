package registry

import (
	"testing"
	"time"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// The list of members of other rings is bounded, and forgets those that stay away or have joined.
func TestOtherRingsAreBounded(t *testing.T) {
	var o otherRings
	begun := time.Now()
	come := func(n uint64, at time.Time) bool {
		return o.note(ring.Ref{ID: n, Incarnation: 1}, status.OtherRing{Node: status.Peer{ID: status.ID(n), Addr: "a:1"}, Since: at, Heard: at}, time.Second)
	}
	for n := range uint64(2 * maxOtherRings) {
		if isNew := come(n, begun); isNew != (n < maxOtherRings) {
			t.Fatalf("node %d: new %v", n, isNew)
		}
	}
	later := begun.Add(time.Second)
	if come(3, later) {
		t.Error("a node that is listed is new")
	}
	if list := o.list(later, time.Second); len(list) != maxOtherRings || list[3].Node.ID != 3 || list[3].Since != begun || list[3].Heard != later {
		t.Errorf("%d nodes", len(list))
	}
	if !come(3000, begun.Add(14*time.Second+1)) || len(o.nodes) != 2 {
		t.Errorf("%d nodes are left", len(o.nodes))
	}
	if o.drop("a:1"); len(o.nodes) > 0 {
		t.Error("a node has joined, and is listed")
	}
}
