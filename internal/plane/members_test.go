package plane

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// SetMembers is SetList for IDs and their incarnations, which may be missing at the end.
func (p *Plane) SetMembers(ids, incarnations []uint64, all bool) {
	var list *ring.List
	for i, id := range ids {
		m := ring.Listed{Ref: ring.Ref{ID: id}}
		if i < len(incarnations) {
			m.Incarnation = incarnations[i]
		}
		list = list.With(m)
	}
	p.SetList(list, all)
}

// sendFor tries to send for a while, in which a stream that asks in vain asks ever less often.
func (r *rig) sendFor(sink uint64, d time.Duration) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), d)
	defer cancel()
	return r.p.Send(ctx, sink, 0, []byte("late"))
}

// asked counts the requests for a stream to a sink that have left by way of 30 since the last call.
func (r *rig) asked(sink uint64) (n int) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.got[30] {
		if f.Type() == wire.Open && f.Dst() == sink {
			n++
		}
	}
	delete(r.got, 30)
	return n
}

// A message for a member that has said that it leaves is refused at once: the tables may lead there
// no longer, and without a registry no node says that it does not exist.
func TestSinkThatHasSaidThatItLeaves(t *testing.T) {
	left := func(r *rig) {
		routed(r)
		r.open(40, 5)
		r.p.SetMembers([]uint64{40, 50}, []uint64{5, 1}, false)
		r.feed(wire.Append(nil, wire.Header{Type: wire.Farewell, Dst: 20, Src: 40, Seq: 1001}, nil))
		r.asked(40)
		if err := r.sendFor(40, time.Minute); !errors.Is(err, stream.ErrLeft) || r.asked(40) > 0 {
			r.t.Fatal("the member that leaves:", err)
		}
	}
	for what, heard := range map[string]func(r *rig){
		"another incarnation is a member": func(r *rig) { r.p.SetMembers([]uint64{40, 50}, []uint64{6, 1}, false) },
		"an unknown one is a member":      func(r *rig) { r.p.SetMembers([]uint64{40, 50}, nil, false) },
		"none is a member":                func(r *rig) { r.p.SetMembers([]uint64{50}, []uint64{1}, false) },
		"another incarnation sends":       func(r *rig) { r.offer(40, 6, 1) },
		"its word comes late": func(r *rig) {
			r.p.SetMembers([]uint64{40, 50}, []uint64{6, 1}, false)
			r.p.members.Left(40, 5)
		},
	} {
		t.Run(what, func(t *testing.T) {
			withRig(t, func(t *testing.T, r *rig) {
				r.t = t
				left(r)
				heard(r)
				r.asked(40)
				err := r.sendFor(40, time.Millisecond)
				if errors.Is(err, stream.ErrLeft) || r.asked(40) == 0 {
					t.Error("this node must ask, and did not:", err)
				}
			})
		})
	}
	for what, heard := range map[string]func(r *rig){
		"the same incarnation is a member": func(r *rig) { r.p.SetMembers([]uint64{50, 40}, []uint64{1, 5}, false) },
		"the same incarnation sends":       func(r *rig) { r.offer(40, 5, 1) },
	} {
		t.Run(what, func(t *testing.T) {
			withRig(t, func(t *testing.T, r *rig) {
				r.t = t
				left(r)
				heard(r)
				if err := r.sendFor(40, time.Minute); !errors.Is(err, stream.ErrLeft) {
					t.Error(err)
				}
			})
		})
	}
}

// A stream that has asked in vain for long asks at once when the registry has news: then a node can
// say that the sink does not exist. Otherwise it asks every two seconds.
func TestNewsMakeStreamsAsk(t *testing.T) {
	for what, news := range map[string]func(r *rig){
		"an epoch": func(r *rig) {
			r.p.SetRoutes(Routes{Epoch: 2, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		},
		"it has left":         func(r *rig) { r.p.Left(40, 5) },
		"it has died":         func(r *rig) { r.p.Evict(40, 5) },
		"it has ended":        func(r *rig) { r.p.Missed(40, 5) },
		"an incarnation more": func(r *rig) { r.p.Renewed(40, 6) },
	} {
		t.Run(what, func(t *testing.T) {
			withRig(t, func(t *testing.T, r *rig) {
				routed(r)
				if err := r.sendFor(40, 20*time.Second); err != context.DeadlineExceeded {
					t.Fatal(err)
				}
				// Just after a question, the next one is two seconds away.
				for r.asked(40); r.asked(40) == 0; {
					time.Sleep(stream.TickInterval)
				}
				news(r)
				time.Sleep(4 * stream.TickInterval)
				if r.asked(40) == 0 {
					t.Error("it does not ask")
				}
			})
		})
	}
}
