package plane

import (
	"context"
	"net"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/demux"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// batch hands these frames to the plane as one read from 10, and returns how many bytes were
// frames.
func (r *rig) batch(frames ...wire.Frame) (taken int) {
	r.t.Helper()
	_, far := memnet.Pipe()
	c := r.p.Accept(far, 10, 1, false, nil)
	in, _ := c.AwaitReader()
	l := r.p.newInLink(c, in, nil)
	taken, err := l.dispatch(slices.Concat(frames...))
	if err != nil {
		r.t.Fatal(err)
	}
	l.finishBatch()
	l.turns.Leave()
	r.p.readEnded(c, net.ErrClosed, nil)
	synctest.Wait()
	return taken
}

// Adjacent frames may differ in one thing only, and then must be treated differently.
func TestFramesAlike(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30, Keep: []uint64{15}})
		r.link(30)
		r.link(40)
		r.link(15)
		far := data(50, 3)
		far.SetHops(5)
		last := data(50, 4)
		last.SetHops(999)
		cast := data(50, 5)
		cast[0] = byte(wire.Cast)
		port := data(50, 6)
		port[6] = 130
		r.batch(data(50, 1), data(50, 2), far, last, last, data(50, 9), cast, port, port, data(35, 7), marked(data(15, 8)), data(50, 10))
		got := r.arrived(40, 1, 2, 3, 9, 5, 6, 6, 10, 4, 4)
		for i, want := range []uint16{1, 1, 6, 1, 1, 1, 1, 1} {
			if got[i].Hops() != want {
				t.Errorf("frame %d has crossed %d links, want %d", i, got[i].Hops(), want)
			}
		}
		r.arrived(15, 8)
		if got[8].Type() != wire.NoRoute || got[9].Type() != wire.NoRoute {
			t.Error("the source is not told of the hop limit")
		}
		r.dropped(status.Dropped{HopLimit: 2})
		if all := r.p.Counters().Relayed; all != 10 {
			t.Error("relayed", all)
		}
		if ofRun, wasted := r.p.TakeRelays(130); ofRun != 2 || wasted != 0 {
			t.Error("relayed", ofRun, "of the run, wasted", wasted)
		}
	})
}

// Each source's messages go to its own stream, however they lie in a batch.
func TestSourcesInABatch(t *testing.T) {
	type message struct {
		source uint64
		port   uint8
		body   byte
		more   bool
	}
	var got []message
	withRig(t, func(t *testing.T, r *rig) {
		got = nil
		routed(r)
		r.offer(5, 1, 1)
		r.offer(6, 1, 1)
		first := make(map[uint64]uint64)
		r.mu.Lock()
		for _, f := range r.got[30] {
			if f.Type() == wire.Opened {
				b, _ := wire.ParseOpened(f.Body())
				first[f.Dst()] = b.First
			}
		}
		r.mu.Unlock()
		m := func(source, n uint64, port uint8) wire.Frame {
			return wire.Append(nil, wire.Header{Type: wire.Data, Port: port, Dst: 20, Src: source, Seq: first[source] + n}, []byte{byte(n)})
		}
		r.batch(m(5, 0, 0), m(6, 0, 0), m(6, 1, 0), m(5, 1, 0), m(5, 2, 130), m(5, 3, 130), m(5, 4, 0))
		slices.SortStableFunc(got, func(a, b message) int { return int(a.source) - int(b.source) })
		want := []message{
			{5, 0, 0, true}, {5, 0, 1, false}, {5, 130, 2, true}, {5, 130, 3, false}, {5, 0, 4, false},
			{6, 0, 0, true}, {6, 0, 1, false},
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	}, func(c *Config) {
		c.Deliver = func(_ context.Context, d *Delivery) {
			got = append(got, message{d.Source, d.Port, d.Body[0], d.More})
		}
		c.Handlers = 1
	})
}

// A batch may have more sources than demux.MaxSources.
func TestManySourcesInABatch(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		var all []wire.Frame
		for source := range uint64(3 * demux.MaxSources) {
			all = append(all, wire.Append(nil, wire.Header{Type: wire.Data, Dst: 20, Src: 1000 + source, Seq: 7}, nil))
		}
		r.batch(all...)
		r.dropped(status.Dropped{Stale: 3 * demux.MaxSources}) // there is no stream: each source is told so
	})
}

// Bytes that are longer than a frame may be are not a frame, even if they are all there.
func TestSortEndsAtWhatIsTooLong(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		long := wire.Append(nil, wire.Header{Type: wire.Data, Dst: 40, Src: 5, Seq: 2}, make([]byte, r.p.MaxPayload+1))
		if n := r.batch(data(40, 1), long, data(40, 3)); n != len(data(40, 1)) {
			t.Error(n, "bytes are taken for frames")
		}
		r.arrived(30, 1)
	})
}
