package plane

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/peers"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

var errBroken = errors.New("broken")

// jam makes a link to a peer that reads nothing, with one frame in its only write.
func (r *rig) jam(to uint64) *peers.Link {
	r.t.Helper()
	r.p.AddLink(to, 1, newJammed())
	l := r.p.linkTo(to)
	if _, err := l.Append(data(to, 1<<40)); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
	return l
}

func numbers(n uint64) (all []uint64) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// What waits for a link when it breaks takes another way, in order, once.
func TestRequeue(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
		r.link(30)
		l := r.jam(40)
		const frames = 5000
		for seq := range uint64(frames) {
			f := data(50, seq)
			if seq%3 == 0 {
				f[0] = byte(wire.Cast)
			}
			r.feed(f)
		}
		r.p.CheckLinks(time.Hour) // its ping is for that link alone
		r.arrived(30)
		l.Fail(errBroken)
		r.arrived(30, numbers(frames)...)
		if c := r.p.Counters(); c.Requeued != frames || c.Relayed != frames || c.Dropped != (status.Dropped{}) || c.Queued != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// The next link may be broken as well, or full, or there may be none.
func TestRequeueWithoutAWay(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
		deafLink, _ := memnet.Pipe()
		d := deaf{deafLink, make(chan struct{})}
		r.p.AddLink(30, 1, d)
		l := r.jam(40)
		r.feed(data(50, 1), data(50, 2))
		r.p.linkTo(30).Fail(errBroken) // without notice
		l.Fail(errBroken)
		synctest.Wait()
		r.dropped(status.Dropped{LinkDown: 2})
		close(d.let)

		l = r.jam(40)
		r.feed(data(50, 3))
		r.p.SetRoutes(Routes{Epoch: 2, Entries: []uint64{60}, Authoritative: true, Successor: 60}) // 40 is retired, and 50 does not exist any more
		r.link(60)
		l.Fail(errBroken)
		synctest.Wait()
		r.dropped(status.Dropped{LinkDown: 2, NoRoute: 1})
		if n := r.p.Counters().Requeued; n != 0 {
			t.Error(n, "went nowhere and are counted")
		}
	}, func(c *Config) { c.LinkQueue = 100 << 10 })
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
		other, l := r.jam(30), r.jam(40)
		for seq := range uint64(20) {
			r.feed(data(50, seq), data(30, seq)) // each link has as many
		}
		l.Fail(errBroken)
		synctest.Wait()
		if c := r.p.Counters(); c.Requeued != 4 || c.Dropped != (status.Dropped{QueueFull: 16}) {
			t.Errorf("%+v", c)
		}
		_ = other
	}, func(c *Config) { c.LinkQueue = 25 * (wire.HeaderSize + 4) })
}

// Frames on a detour: in the first half they start anew, in the second they may only go to their
// sink.
func TestRequeueOfDetours(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 60}, Authoritative: true, Successor: 30, Detours: map[uint64]uint64{30: 60}, Keep: []uint64{15}})
		l := r.jam(60)
		r.feed(data(30, 1), data(30, 2))
		r.link(30)
		l.Fail(errBroken)
		for _, f := range r.arrived(30, 1, 2) {
			if f.Detour() {
				t.Error("still marked")
			}
		}
		r.link(60)
		l = r.jam(15)
		r.feed(marked(data(15, 3)))
		l.Fail(errBroken)
		synctest.Wait()
		r.arrived(30)
		r.arrived(60)
		r.dropped(status.Dropped{LinkDown: 1})

		l = r.jam(15)
		r.feed(marked(data(15, 4)))
		r.link(15) // the old one is retired
		l.Fail(errBroken)
		r.arrived(15, 4)
		if c := r.p.Counters(); c.Requeued != 3 || c.Detoured != 2 {
			t.Errorf("%+v", c)
		}

		l = r.jam(15)
		r.feed(marked(data(15, 5)))
		last := r.jam(15)
		l.Fail(errBroken)
		synctest.Wait()
		last.Fail(errBroken) // the frame has changed links and is still on a detour
		synctest.Wait()
		r.arrived(30)
		r.arrived(60)
		r.dropped(status.Dropped{LinkDown: 2})
	})
}

// A stream that is opening over a link that breaks loses no time.
func TestRequeueSavesTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // casts have a worker of their own
		var got []byte
		m := newMesh(t, 4, 1, testLimits(), memory, func(int) Deliver {
			return func(_ context.Context, d *Delivery) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, d.Body...)
			}
		})
		defer m.close()
		p := m.planes[0]
		p.AddLink(30, m.planes[2].Incarnation, newJammed())
		p.SetRoutes(table(p, 2, 20, 30))
		start := time.Now()
		p.Cast(t.Context(), 40, 0, []byte("lost with the link"))
		synctest.Wait()
		p.SetMembers([]uint64{40}, nil, false)
		for i := range byte(20) {
			if err := p.Send(t.Context(), 40, 0, []byte{i}); err != nil {
				t.Fatal(err)
			}
		}
		p.Cast(t.Context(), 40, 0, []byte{99})
		synctest.Wait()
		l := p.linkTo(30)
		l.Fail(errBroken)
		if failed, err := p.Flush(t.Context()); failed != nil || err != nil {
			t.Fatal(failed, err)
		}
		synctest.Wait() // Flush does not wait for casts
		slices.Sort(got)
		if len(got) != 21 || got[20] != 99 || time.Since(start) != 0 || p.Counters().Retransmitted != 0 {
			t.Errorf("got %v after %v, %d sent again", got, time.Since(start), p.Counters().Retransmitted)
		}
	})
}

// A plane that closes sends nothing on.
func TestCloseDropsWhatIsQueued(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
		r.link(30)
		l := r.jam(40)
		r.feed(data(50, 1))
		r.p.Close(net.ErrClosed)
		if q := l.Leftover(); q.Size() != 0 || l.Queued() != 0 || r.p.Counters().Requeued != 0 {
			t.Error("still held, or sent on")
		}
	})
}
