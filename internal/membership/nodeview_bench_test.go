package membership

import (
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	shown "github.com/x/ringdht/status"
)

// What one newcomer costs a loop over the events of a ring of 1,000.
func BenchmarkFollowOne(b *testing.B) {
	l := &NodeView{Bits: 64}
	all := control.Announce{Members: 1001}
	for id := range uint64(1000) {
		all.Added, all.Incarnations = append(all.Added, id), append(all.Incarnations, id+1)
	}
	l = l.Announce(all, nil)
	f := Follower{HowEnded: func(ring.Ref) (shown.MemberChange, bool) { return shown.MemberLeft, true }}
	views := []*NodeView{
		l.Announce(control.Announce{Members: 1002, Added: []uint64{5000}, Incarnations: []uint64{5000}}, nil),
		l.Announce(control.Announce{Members: 1002, Added: []uint64{6000}, Incarnations: []uint64{6000}}, nil),
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for {
			if _, more := f.Next(views[i%2].Sight(nil, false)); !more {
				break
			}
		}
	}
}
