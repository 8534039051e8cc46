package plane

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// open makes a stream of the rig's node to an incarnation of a sink, with a message pending.
func (r *rig) open(sink, inc uint64) *outbound {
	r.t.Helper()
	r.p.SetMembers([]uint64{sink}, nil, false)
	if err := r.p.Send(r.t.Context(), sink, 0, []byte("pending")); err != nil {
		r.t.Fatal(err)
	}
	r.feed(r.opened(sink, inc))
	o := r.p.findOutbound(sink, 0)
	if o == nil || o.s.State() != stream.Open {
		r.t.Fatal("the stream is not open")
	}
	return o
}

func (r *rig) opened(sink, inc uint64) wire.Frame {
	b := wire.OpenedBody{SourceIncarnation: r.p.Incarnation, SinkIncarnation: inc, First: 1000, Window: 1 << 16}
	return wire.Append(nil, wire.Header{Type: wire.Opened, Dst: 20, Src: sink, Seq: r.p.generation}, b.Append(nil))
}

// offer sends an Open of an incarnation of a source, and its first messages.
func (r *rig) offer(source, inc, gen uint64, messages ...uint64) {
	r.t.Helper()
	r.feed(wire.Append(nil, wire.Header{Type: wire.Open, Dst: 20, Src: source, Seq: gen}, wire.OpenBody{Incarnation: inc}.Append(nil)))
	r.mu.Lock()
	first := uint64(0)
	for _, f := range r.got[30] {
		if f.Type() == wire.Opened && f.Dst() == source && f.Seq() == gen {
			b, _ := wire.ParseOpened(f.Body())
			first = b.First
		}
	}
	r.mu.Unlock()
	if first == 0 {
		r.t.Fatal("not opened")
	}
	for _, n := range messages {
		r.feed(wire.Append(nil, wire.Header{Type: wire.Data, Dst: 20, Src: source, Seq: first + n}, []byte{byte(n)}))
	}
}

// Links of an incarnation that has ended end, in both directions. Those of a later one stay.
func TestEvictEndsLinks(t *testing.T) {
	for _, c := range []struct {
		inc  uint64 // that is evicted
		ends bool
	}{{4, false}, {5, true}, {6, true}} {
		withRig(t, func(t *testing.T, r *rig) {
			out, far := memnet.Pipe()
			r.p.AddLink(40, 5, out)
			r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{40}, Authoritative: true, Successor: 40})
			in := r.incoming(40, 5)
			synctest.Wait()
			r.p.Evict(30, 9)
			r.p.Evict(20, 999) // not for the plane itself to decide
			r.p.Evict(40, c.inc)
			if r.p.HasLink(40, 5) == c.ends {
				t.Errorf("incarnation %d evicted, the link is up: %v", c.inc, !c.ends)
			}
			synctest.Wait()
			if n := r.p.peers(); n != map[bool]int{true: 1, false: 3}[c.ends] {
				t.Errorf("incarnation %d evicted: %d connections", c.inc, n)
			}
			if c.ends {
				for _, nc := range []net.Conn{in, far} {
					if _, err := nc.Read(make([]byte, 1)); err != io.EOF {
						t.Error(err)
					}
				}
			}
			in.Close()
		})
	}
}

// Streams to an incarnation that has ended end at once. Those that are opening, or to a later
// one, go on.
func TestEvictEndsStreams(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		r.link(30)
		o := r.open(40, 5)
		r.p.Evict(40, 4)
		if o.s.State() != stream.Open {
			t.Error("an earlier incarnation ended it:", o.s.Err())
		}
		r.p.Evict(40, 5)
		failed, err := r.p.Flush(t.Context())
		if err != nil || len(failed) != 1 || failed[0].Sink != 40 || failed[0].Messages != 1 || failed[0].Err != stream.ErrGone {
			t.Error(failed, err)
		}

		r.p.SetMembers([]uint64{50}, nil, false)
		if err := r.p.Send(t.Context(), 50, 0, nil); err != nil {
			t.Fatal(err)
		}
		r.p.Evict(50, 5)
		if o := r.p.findOutbound(50, 0); o == nil || o.s.State() != stream.Opening {
			t.Fatal("a stream that was opening")
		}
		r.feed(r.opened(50, 6)) // the next incarnation
		r.p.Evict(50, 5)
		if o := r.p.findOutbound(50, 0); o.s.State() != stream.Open || o.s.PeerIncarnation() != 6 {
			t.Error(o.s.State(), o.s.PeerIncarnation())
		}
		r.feed(wire.Append(nil, wire.Header{Type: wire.NoRoute, Dst: 20, Src: 30, Seq: 1000},
			wire.NoRouteBody{Type: wire.Data, Reason: wire.NoSuchNode, Dst: 50}.Append(nil)))
		if failed, _ := r.p.Flush(t.Context()); len(failed) != 1 || failed[0].Err != stream.ErrGone {
			t.Error("no route to a sink that was there:", failed)
		}
		r.open(60, 1)
		r.p.SetRoutes(Routes{Epoch: 2, Entries: []uint64{70}, Authoritative: true, Successor: 70}) // now this node itself knows that the ID is not taken
		r.p.Send(t.Context(), 60, 0, nil)
		if failed, _ := r.p.Flush(t.Context()); len(failed) != 1 || failed[0].Err != stream.ErrGone || failed[0].Messages != 2 {
			t.Error("no route from here to a sink that was there:", failed)
		}
	})
}

// What arrived in order from an incarnation that has ended is handled; the rest is forgotten, and
// then the stream.
func TestEvictForgetsIncomingStreams(t *testing.T) {
	var got []byte
	var release chan struct{}
	withRig(t, func(t *testing.T, r *rig) {
		release = make(chan struct{})
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		r.link(30)
		streams := func(want int) {
			t.Helper()
			synctest.Wait()
			if _, in := r.p.StreamCount(); in != want {
				t.Fatalf("%d incoming streams, want %d", in, want)
			}
		}
		r.offer(40, 5, 1, 0, 1, 3) // a handler is busy with the first
		r.offer(50, 5, 1, 1)       // nothing in order
		streams(2)
		r.p.Evict(40, 4)
		r.p.Evict(50, 4)
		streams(2)
		if r.p.Counters().ReceiveBuffer == 0 {
			t.Error("given up for an earlier incarnation")
		}
		r.p.Evict(40, 5)
		r.p.Evict(50, 5)
		streams(1)
		if n := r.p.Counters().ReceiveBuffer; n != 2*(wire.HeaderSize+1) {
			t.Errorf("%d bytes held", n)
		}
		close(release)
		streams(0)
		if string(got) != "\x00\x01" || r.p.Counters().ReceiveBuffer != 0 {
			t.Errorf("handled %v, %d bytes held", got, r.p.Counters().ReceiveBuffer)
		}

		release, got = make(chan struct{}), nil
		r.offer(40, 6, 1, 0)
		r.p.Evict(40, 6)
		r.offer(40, 7, 1, 0) // before a handler was done with the earlier incarnation
		r.p.Evict(40, 6)
		close(release)
		streams(1)
		if string(got) != "\x00\x00" {
			t.Errorf("handled %v", got)
		}
	}, func(c *Config) {
		c.Deliver = func(ctx context.Context, d *Delivery) {
			<-release
			got = append(got, d.Body...)
		}
	})
}

// A sink is evicted only once.
func TestEvictTwice(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		r.link(30)
		r.open(40, 5)
		r.p.Evict(40, 5)
		r.p.Evict(40, 5)
		if all := r.p.Close(errors.New("closed")); len(all) != 1 || all[0].Messages != 1 {
			t.Error(all)
		}
	})
}
