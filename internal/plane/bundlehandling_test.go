package plane

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// from5 is the messages of a bundle from 5 to this node, of which each has one letter.
func from5(port uint8, seq uint64, letters string) wire.Frame {
	return bundle(wire.Header{Port: port, Dst: 20, Src: 5, Seq: seq}, strings.Split(letters, "")...)
}

func sync5(seq uint64, round uint32) wire.Frame {
	return wire.Append(nil, wire.Header{Type: wire.Sync, Dst: 20, Src: 5, Seq: seq}, wire.AppendRound(nil, round))
}

// acks shows the acknowledgements that have come to 30: what is delivered, and what is received beyond.
func (r *rig) acks(first uint64) (s []string) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.got[30] {
		if f.Type() == wire.Ack {
			a, _, _ := wire.ParseAck(f.Body(), nil)
			s = append(s, fmt.Sprintf("%d+%d", f.Seq()-first, a.Received))
		}
	}
	clear(r.got)
	return s
}

// A handler that panics in the middle of a bundle has handled that message, and gets the others.
func TestPanicWithinABundle(t *testing.T) {
	var got []byte
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		first := r.offered()
		r.feed(from5(0, first, "abXcXXd"), from5(0, first+7, "e"), from5(0, first+8, "Xf"))
		r.feed(sync5(first+10, 1))
		if s := r.p.Status(); string(got) != "abXcXXdeXf" || s.Panics != 4 || s.Delivered != 10 || s.Hops[1] != 10 || s.ReceiveBuffer != 0 {
			t.Errorf("%q: %d panics, %d delivered, hops %v, %d bytes are held", got, s.Panics, s.Delivered, s.Hops[:3], s.ReceiveBuffer)
		}
		if a := r.acks(first); !slices.Equal(a, []string{"10+0"}) {
			t.Error("acknowledged:", a)
		}
	}, func(c *Config) {
		c.Deliver = func(_ context.Context, d *Delivery) {
			if got = append(got, d.Body...); d.Body[0] == 'X' {
				panic("planted")
			}
		}
	})
}

// A handler that ends its goroutine in the middle of a bundle stops the messages of that source. None of
// those behind it is handled or acknowledged.
func TestGoexitWithinABundle(t *testing.T) {
	var got []byte
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		first := r.offered()
		r.feed(from5(0, first, "abXcd"))
		r.feed(sync5(first+5, 1))
		if s := r.p.Status(); string(got) != "abX" || s.Panics != 1 {
			t.Errorf("%q: %d panics", got, s.Panics)
		}
		if a := r.acks(first); !slices.Equal(a, []string{"0+5"}) {
			t.Error("acknowledged:", a)
		}
	}, func(c *Config) {
		c.Deliver = func(_ context.Context, d *Delivery) {
			if got = append(got, d.Body...); d.Body[0] == 'X' {
				runtime.Goexit()
			}
		}
	})
}

// Once the plane closes no handler starts any more, not even for the rest of a bundle.
func TestCloseWithinABundle(t *testing.T) {
	var got []byte
	var p *Plane
	withRig(t, func(t *testing.T, r *rig) {
		p = r.p
		routed(r)
		first := r.offered()
		r.feed(from5(0, first, "abXcd"), from5(0, first+5, "e"))
		synctest.Wait()
		if string(got) != "abX" {
			t.Errorf("%q were handled", got)
		}
	}, func(c *Config) {
		c.Deliver = func(_ context.Context, d *Delivery) {
			if got = append(got, d.Body...); d.Body[0] == 'X' {
				go p.Close(net.ErrClosed)
				<-p.ctx.Done() // it has begun to close
			}
		}
	})
}

// More is set for each message but the last of a row: whether the next one is in the same frame does not
// matter, its port does.
func TestMoreWithBundles(t *testing.T) {
	var got []string
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		first := r.offered()
		r.feed(slices.Concat(from5(0, first, "abc"), from5(0, first+3, "d"), from5(200, first+4, "ef"), from5(200, first+6, "gh"), from5(0, first+8, "i")))
		if want := []string{"a more", "b more", "c more", "d", "e more", "f more", "g more", "h", "i"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}, func(c *Config) {
		c.Deliver = func(_ context.Context, d *Delivery) {
			s := string(d.Body)
			if d.More {
				s += " more"
			}
			got = append(got, s)
		}
	})
}

// A source that asks while a slow handler is within a bundle is told at once how far it is, and again
// when it is done with that message, and with all.
func TestAskedWithinABundle(t *testing.T) {
	var step chan struct{}
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		first := r.offered()
		r.feed(from5(0, first, "abcdefgh"))
		for range 2 {
			step <- struct{}{}
		}
		synctest.Wait() // the handler has "c"
		r.feed(sync5(first+8, 1))
		if a := r.acks(first); !slices.Equal(a, []string{"0+8"}) {
			t.Error("at once:", a)
		}
		step <- struct{}{}
		step <- struct{}{}
		synctest.Wait()
		r.feed(sync5(first+8, 2)) // it has asked before about all of it
		if a := r.acks(first); len(a) != 1 || a[0] != "3+5" && a[0] != "4+4" {
			t.Error("within the bundle:", a)
		}
		for range 4 {
			step <- struct{}{}
		}
		if a := r.acks(first); len(a) == 0 || a[len(a)-1] != "8+0" {
			t.Error("at the end:", a)
		}
	}, func(c *Config) {
		step = make(chan struct{}) // in the bubble
		c.Deliver = func(context.Context, *Delivery) { <-step }
	})
}

// The handler is not given more of a bundle than the source has asked about, before that is acknowledged.
func TestAckIsDueWithinABundle(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		first := r.offered()
		// No honest source asks about a part of a bundle.
		r.feed(sync5(first+3, 1), from5(0, first, "abcdefgh"))
		if a := r.acks(first); len(a) < 2 || a[len(a)-1] != "3+5" {
			t.Error("acknowledged:", a)
		}
	})
}

// Flush waits for what was sent before it, not for what leaves together with that.
func TestFlushWithinWhatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []byte
		var mu sync.Mutex
		block := make(chan struct{})
		m := newMesh(t, 2, 1, testLimits(), memory, func(node int) Deliver {
			return func(_ context.Context, d *Delivery) {
				if d.Body[0] == 'c' {
					<-block
				}
				mu.Lock()
				got = append(got, d.Body...)
				mu.Unlock()
			}
		})
		defer m.close()
		defer close(block)
		p := m.planes[0]
		send := func(bodies string) {
			for _, b := range []byte(bodies) {
				if err := p.Send(t.Context(), 20, 0, []byte{b}); err != nil {
					t.Fatal(err)
				}
			}
		}
		send("0")
		synctest.Wait()
		near, far := memnet.Pipe()
		v := valve{near, make(chan struct{})}
		go m.planes[1].Receive(far, 10, 100, nil, nil)
		p.AddLink(20, m.planes[1].Incarnation, v)
		p.emit(20, data(20, 1)) // the only write, for now
		synctest.Wait()
		send("ab")
		flushed := make(chan error)
		go func() {
			failed, err := p.Flush(t.Context())
			if failed != nil {
				t.Error(failed)
			}
			flushed <- err
		}()
		synctest.Wait()
		send("cd")
		close(v.open)
		if err := <-flushed; err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if string(got) != "0ab" {
			t.Errorf("%q were handled when the flush returned", got)
		}
	})
}

// A node that sends to itself shares frames as well.
func TestBundlesToItself(t *testing.T) {
	var next atomic.Uint64
	m := newMesh(t, 1, 1, testLimits(), memory, func(int) Deliver {
		return func(_ context.Context, d *Delivery) {
			if n := binary.BigEndian.Uint64(d.Body); n != next.Add(1)-1 {
				t.Errorf("message %d, want %d", n, next.Load()-1)
			}
		}
	})
	p := m.planes[0]
	const messages = 20_000
	for n := range uint64(messages) {
		if err := p.Send(t.Context(), 10, uint8(n/1000%2*200), short(n)); err != nil {
			t.Fatal(err)
		}
	}
	if failed, err := p.Flush(t.Context()); failed != nil || err != nil {
		t.Fatal(failed, err)
	}
	c := p.Counters()
	if next.Load() != messages || c.Delivered != messages || c.Sent != messages || c.FramesIn > messages/2 || c.Dropped.Sum() != 0 || c.Relayed != 0 {
		t.Errorf("%d handled: %+v", next.Load(), c)
	}
}

// A node that leaves takes its bundles whole or not at all. The source learns the fate of each message.
func TestPartWithBundles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var next atomic.Uint64
		m := newMesh(t, 3, 1, testLimits(), memory, func(int) Deliver {
			return func(_ context.Context, d *Delivery) {
				time.Sleep(10 * time.Microsecond)
				if err := expect(d.Body, next.Load()); err != nil {
					t.Error(err)
				}
				next.Add(1)
			}
		})
		defer m.close()
		source, sink := m.planes[0], m.planes[2]
		source.SetMembers([]uint64{20, 30}, nil, false)
		sent, stop := uint64(0), make(chan struct{})
		go func() {
			defer close(stop)
			for ; ; sent++ {
				if err := source.Send(t.Context(), 30, 0, short(sent)); err != nil {
					if err != stream.ErrLeft {
						t.Error(err)
					}
					return
				}
			}
		}()
		for next.Load() < 5000 {
			time.Sleep(time.Millisecond)
		}
		if err := sink.CloseIncoming(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		<-stop
		failed, err := source.Flush(t.Context())
		if err != nil || len(failed) > 1 {
			t.Fatal(len(failed), err)
		}
		handled := next.Load()
		if len(failed) == 0 && handled != sent {
			t.Fatalf("%d of %d handled, and nothing is told", handled, sent)
		}
		for _, u := range failed {
			if u.Err != stream.ErrLeft || u.Messages != sent-handled || u.NotHandled != u.Messages || len(u.Bodies) != int(u.Messages) {
				t.Fatalf("%d of %d handled; %d came back, %d as not handled, with %d bodies: %v", handled, sent, u.Messages, u.NotHandled, len(u.Bodies), u.Err)
			}
			for i, b := range u.Bodies {
				if err := expect(b, handled+uint64(i)); err != nil {
					t.Fatal("what came back:", err)
				}
			}
		}
	})
}
