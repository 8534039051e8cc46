package plane

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/peers"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

func nothing(context.Context, *Delivery) {}

// Only the node right before an ID says that it is not taken, and it says so whatever links are
// up.
func TestNoRouteIsNoGuess(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		p := r.p
		own := func(dst uint64) error { return p.emit(dst, data(dst, 99)) }
		r.feed(data(25, 1)) // no table yet
		if own(25) != nil || own(40) != nil {
			t.Error("said without a table")
		}
		r.dropped(status.Dropped{LinkDown: 3})

		successor := r.link(30)
		r.link(60)
		p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 60}, Authoritative: true, Successor: 30})
		r.feed(data(40, 2), data(25, 3))
		r.arrived(30, 2)
		r.arrived(60, 3) // on the way to 5
		r.dropped(status.Dropped{LinkDown: 3, NoRoute: 1})

		successor.Close()
		synctest.Wait()
		r.feed(data(40, 4), data(30, 5), data(25, 6))
		r.arrived(60, 6) // 40 and 30 may well exist
		if own(40) != nil || own(30) != nil {
			t.Error("said of nodes that may exist")
		}
		if !errors.Is(own(25), stream.ErrNoSuchNode) {
			t.Error("not said of one that cannot")
		}
		r.dropped(status.Dropped{LinkDown: 7, NoRoute: 3})

		p.SetRoutes(Routes{Epoch: 2, Authoritative: true, Successor: 20}) // alone in the ring
		if r.feed(data(40, 7)); !errors.Is(own(40), stream.ErrNoSuchNode) {
			t.Error("not said by a node that is alone")
		}
		r.dropped(status.Dropped{LinkDown: 7, NoRoute: 6}) // there is no way for the answer either

		p.SetRoutes(Routes{Epoch: 3, Successor: 20}) // as far as it knows: it is not authoritative
		if r.feed(data(40, 8)); own(40) != nil {
			t.Error("said by a node that may have been declared dead")
		}
		r.dropped(status.Dropped{LinkDown: 9, NoRoute: 6})
	})
}

// A link is used as soon as it is up. Once it is not, frames go to the closest entry before it.
func TestRoutesFollowTheLinks(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40, 60}, Authoritative: true, Successor: 30})
		r.link(30)
		r.feed(data(50, 1))
		r.arrived(30, 1)
		end := r.link(40)
		r.feed(data(50, 2), data(40, 3), data(30, 4))
		r.arrived(40, 2, 3)
		r.arrived(30, 4)
		end.Close()
		synctest.Wait()
		r.feed(data(50, 5))
		r.arrived(30, 5)
		r.link(40)
		r.link(25) // in no table
		r.feed(data(50, 6), data(70, 7), data(28, 8))
		if f := r.arrived(40, 6, 7, 8); f[2].Type() != wire.NoRoute {
			t.Error("28 is not there, but was told of by a", f[2].Type())
		}
		r.arrived(25)
		if c := r.p.Counters(); c.Dropped.LinkDown != 0 || c.Relayed != 7 {
			t.Errorf("%+v", c)
		}
	})
}

// Frames that find their link ended take another way at once, even if the end has not been
// noticed yet.
func TestEndedLinkIsNotTriedTwice(t *testing.T) {
	for name, c := range map[string]struct {
		routes Routes
		dst    uint64
	}{
		"entry":  {Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30}, 50},
		"detour": {Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 25, Detours: map[uint64]uint64{50: 40}}, 50},
	} {
		t.Run(name, func(t *testing.T) {
			withRig(t, func(t *testing.T, r *rig) {
				near, _ := memnet.Pipe()
				d := deaf{near, make(chan struct{})}
				r.link(30)
				r.p.AddLink(40, 1, d)
				r.p.SetRoutes(c.routes)
				fail := func() *peers.Link {
					l := r.p.linkTo(40)
					l.Fail(errors.New("broken"))
					return l
				}
				l := fail()
				r.feed(data(c.dst, 1), data(c.dst, 2))
				r.arrived(30, 1, 2)
				if r.p.HasLink(40, 1) {
					t.Error("the link is still there")
				}
				select {
				case <-r.p.Broken:
				default:
					t.Error("Broken does not tell that a link is missing")
				}

				for _, send := range []func() error{
					func() error { return r.p.emit(c.dst, data(c.dst, 0)) },
					func() error { return r.p.Cast(t.Context(), c.dst, 0, nil) },
				} {
					near, _ = memnet.Pipe()
					again := deaf{near, d.let}
					r.p.AddLink(40, 1, again)
					if fail() == l {
						t.Fatal("the link was not replaced")
					}
					if err := send(); err != nil {
						t.Error(err)
					}
					r.arrived(30, 0)
				}
				r.dropped(status.Dropped{})
				close(d.let)
			})
		})
	}
}

// A frame on a detour goes to its sink directly or is dropped, wherever the sink lies. Other
// frames follow the rules.
func TestWaypoint(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(30)
		r.link(15)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30, Keep: []uint64{15}})
		r.link(35) // not named
		r.feed(marked(data(15, 1)), data(15, 2), marked(data(40, 3)), marked(data(35, 4)), marked(data(30, 5)), data(40, 6))
		r.arrived(35)
		if f := r.arrived(15, 1)[0]; f == nil || f.Hops() != 1 {
			t.Errorf("%x", f)
		}
		r.arrived(30, 5, 6)
		r.dropped(status.Dropped{Overshoot: 1, LinkDown: 2})
		r.feed(marked(wire.Append(nil, wire.Header{Type: wire.Ack, Hops: 999, Dst: 15, Src: 5}, nil)))
		r.arrived(15)
		r.dropped(status.Dropped{Overshoot: 1, LinkDown: 2, HopLimit: 1})
		r.p.SetRoutes(Routes{Epoch: 2, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		r.feed(marked(data(15, 7)))
		r.arrived(15)
		r.dropped(status.Dropped{Overshoot: 1, LinkDown: 3, HopLimit: 1})
		if c := r.p.Counters(); c.Detoured != 0 {
			t.Error("the waypoint counts it as its own:", c.Detoured)
		}
	})
}

// A detour is taken for its sink only, when nothing better is up. It marks the frame on the way
// out and nowhere else.
func TestDetourIsMarked(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(60)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 60}, Authoritative: true, Successor: 30, Detours: map[uint64]uint64{30: 60, 40: 60}})
		r.feed(data(30, 1), data(70, 2), data(40, 3), data(50, 4))
		f := r.arrived(60, 1, 3, 2)
		if !f[0].Detour() || !f[1].Detour() || f[2].Detour() || f[1].Hops() != 1 {
			t.Errorf("%x", f)
		}
		own := data(30, 5)
		own = append(own, data(30, 6)...)
		if err := r.p.emit(30, own); err != nil {
			t.Fatal(err)
		}
		f = r.arrived(60, 5, 6)
		if !f[0].Detour() || !f[1].Detour() {
			t.Error("this node's own are not marked")
		}
		o, _, err := r.p.openOutbound(30, 0)
		if err != nil {
			t.Fatal(err)
		}
		if f := r.arrived(60, r.p.generation)[0]; f.Type() != wire.Open || !f.Detour() {
			t.Error("a stream's are not marked")
		}
		if c := r.p.Counters(); c.Detoured != 5 || c.Dropped != (status.Dropped{LinkDown: 1}) || c.Relayed != 3 {
			t.Errorf("%+v", c)
		}
		r.link(30)
		r.feed(data(30, 7))
		o.mu.Lock()
		err = o.enqueue(data(30, 8))
		o.mu.Unlock()
		if f := r.arrived(30, 7, 8); err != nil || f[0].Detour() || f[1].Detour() {
			t.Error("marked on the direct way")
		}
	})
}

// Over a detour messages arrive in order and once, and a trace shows it.
func TestDetour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []uint32
		planes := make(map[uint64]*Plane)
		for _, id := range []uint64{10, 20, 30} {
			planes[id] = New(Config{
				Self: id, Incarnation: id, Bits: 16, MaxPayload: 1 << 10, HopLimit: 10, Limits: testLimits(), Log: newLogs().logger(),
				Deliver: func(_ context.Context, d *Delivery) { got = append(got, binary.BigEndian.Uint32(d.Body)) },
			})
			defer planes[id].Close(net.ErrClosed)
		}
		for _, l := range [][2]uint64{{10, 30}, {20, 30}, {30, 10}, {30, 20}} { // no link from 10 to 20
			near, far := memnet.Pipe()
			planes[l[0]].AddLink(l[1], l[1], near)
			go planes[l[1]].Receive(far, l[0], l[0], nil, nil)
		}
		planes[10].SetRoutes(Routes{Epoch: 1, Entries: []uint64{20, 30}, Authoritative: true, Successor: 20, Detours: map[uint64]uint64{20: 30}})
		planes[20].SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		planes[30].SetRoutes(Routes{Epoch: 1, Entries: []uint64{10}, Authoritative: true, Successor: 10, Keep: []uint64{20}})
		const messages = 5000
		for i := range uint32(messages) {
			if err := planes[10].Send(t.Context(), 20, 0, binary.BigEndian.AppendUint32(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		if failed, err := planes[10].Flush(t.Context()); err != nil || failed != nil {
			t.Fatal(failed, err)
		}
		if len(got) != messages || !slices.IsSorted(got) || got[0] != 0 {
			t.Errorf("%d messages", len(got))
		}
		c, via := planes[10].Counters(), planes[30].Counters()
		if c.Detoured < messages || c.Retransmitted != 0 || via.Relayed != messages || via.Dropped != (status.Dropped{}) {
			t.Errorf("%+v, by way of %+v", c, via)
		}
		if hops, err := planes[10].Trace(t.Context(), 20); err != nil || len(hops) != 2 || hops[0].ID != 30 || hops[1].ID != 20 {
			t.Error(hops, err)
		}
	})
}

// Two nodes that each have a detour through the other for a third do not send frames back and
// forth.
func TestDetoursDoNotLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		planes := make(map[uint64]*Plane)
		for _, id := range []uint64{10, 30} {
			planes[id] = New(Config{
				Self: id, Incarnation: id, Bits: 16, MaxPayload: 1 << 10, HopLimit: 10, Limits: testLimits(), Log: newLogs().logger(), Deliver: nothing,
			})
			defer planes[id].Close(net.ErrClosed)
		}
		for _, l := range [][2]uint64{{10, 30}, {30, 10}} {
			near, far := memnet.Pipe()
			planes[l[0]].AddLink(l[1], l[1], near)
			go planes[l[1]].Receive(far, l[0], l[0], nil, nil)
		}
		planes[10].SetRoutes(Routes{Epoch: 1, Entries: []uint64{20, 30}, Authoritative: true, Successor: 20, Detours: map[uint64]uint64{20: 30}})
		planes[30].SetRoutes(Routes{Epoch: 1, Entries: []uint64{10}, Authoritative: true, Successor: 10, Detours: map[uint64]uint64{20: 10}})
		planes[10].Cast(t.Context(), 20, 0, nil)
		synctest.Wait()
		if c := planes[30].Counters(); c.FramesIn != 1 || c.Dropped.LinkDown != 1 || planes[10].Counters().FramesIn != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// Links that a table names in any way stay; others end.
func TestSetRoutesKeepsWhatItNames(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		for _, id := range []uint64{30, 40, 50, 60} {
			r.link(id)
		}
		routes := Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30, Detours: map[uint64]uint64{70: 40}, Keep: []uint64{50}}
		r.p.SetRoutes(routes)
		routes.Entries[0], routes.Keep[0], routes.Detours[70] = 60, 60, 60 // the plane has its own copy
		r.link(35)                                                         // not named: it waits for the next table
		for _, id := range []uint64{30, 35, 40, 50} {
			if !r.p.HasLink(id, 1) {
				t.Errorf("the link to %d is gone", id)
			}
		}
		if r.p.HasLink(60, 1) || r.p.HasLink(30, 2) {
			t.Error("a link that is not named, or of another incarnation")
		}
		synctest.Wait()
		select {
		case <-r.p.Broken:
			t.Error("a link that was retired counts as broken")
		default:
		}
	})
}

// A link that was replaced and is stuck does not delay Close.
func TestCloseWithAReplacedLink(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		r.jam(30)
		r.link(30)
		start := time.Now()
		if r.p.Close(net.ErrClosed); time.Since(start) != 0 {
			t.Error("it took", time.Since(start))
		}
	})
}
