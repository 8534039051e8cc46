package peers

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// owner is the least that an owner of a set does: it reads connections, counts frames for itself,
// relays the others, and sends on what a link had not begun to write.
type owner struct {
	*Set
	Self, Incarnation uint64

	frames, delivered, relayed, requeued atomic.Int64

	wg sync.WaitGroup
}

func newOwner(c Config) *owner {
	return &owner{Set: New(c), Self: c.Self, Incarnation: c.Incarnation}
}

func (o *owner) Close(err error) {
	o.Set.Close(err)
	o.wg.Wait()
}

func (o *owner) AddLink(id, inc uint64, nc net.Conn) {
	if c := o.Dialled(id, inc, nc); c != nil {
		o.wg.Go(func() { o.read(c, nil) })
	}
}

func (o *owner) Receive(nc net.Conn, id, inc uint64, over func() bool, ended func(error)) {
	if c := o.Accept(nc, id, inc, o.IsStranger(id, inc), over); c != nil {
		o.read(c, ended)
	}
}

func (o *owner) read(c *Conn, ended func(error)) {
	in, err := c.AwaitReader()
	for heard := false; err == nil; {
		var batch []byte
		if batch, err = in.Buffered(); err != nil {
			break
		}
		at := 0
		for err == nil {
			n := wire.Whole(batch[at:], o.cfg.MaxFrame)
			if n == 0 {
				break
			}
			f := wire.Frame(batch[at : at+n : at+n])
			at += n
			if f.Type().ConnectionOnly() || c.Ending() {
				err = c.Handle(f)
			} else {
				o.take(f)
			}
		}
		in.Consume(at)
		if at > 0 && !heard {
			heard = true
			c.Heard()
		}
		if err == nil && c.Ending() {
			c.PeerEnded()
		}
	}
	if _, left := c.End(err); left.Size() > 0 {
		for left.Size() > 0 {
			chunk := left.Front()
			for b := chunk; len(b) > 0; {
				var f wire.Frame
				if f, b = wire.Next(b); f.Type() != wire.Ping && o.send(f) {
					o.requeued.Add(1)
				}
			}
			left.Discard(len(chunk))
		}
	}
	if err = c.Remove(err); ended != nil {
		ended(err)
	}
}

func (o *owner) take(f wire.Frame) {
	o.frames.Add(1)
	if f.Dst() == o.Self {
		o.delivered.Add(1)
	} else if o.send(f) {
		o.relayed.Add(1)
	}
}

// send reports whether a link has taken a frame.
func (o *owner) send(f wire.Frame) bool {
	for {
		s := o.Routes()
		action, i := s.Next(f.Dst())
		if i = s.WayOf(action, i, f.Dst()); i < 0 {
			return false
		}
		_, err := s.Ways[i].Link.Append(f)
		if err == nil || err == link.ErrFull {
			return err == nil
		}
		o.Unlink(s.Ways[i].Link)
	}
}

func (o *owner) Cast(_ context.Context, sink uint64, port uint8, body []byte) error {
	o.send(wire.Append(nil, wire.Header{Type: wire.Cast, Port: port, Dst: sink, Src: o.Self}, body))
	return nil
}

// peers counts the connections with others.
func (o *owner) peers() (n int) {
	for range o.Conns() {
		n++
	}
	return n
}

// linkTo returns the link to a peer, or nil.
func (o *owner) linkTo(id uint64) *Link {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.links[id]
}

// table returns routes with these entries, the first of which is the successor.
func table(o *owner, epoch uint64, entries ...uint64) Routes {
	r := Routes{Epoch: epoch, Entries: entries, Authoritative: true, Successor: o.Self}
	if len(entries) > 0 {
		r.Successor = entries[0]
	}
	return r
}

func config(id, inc uint64, l *logs) Config {
	return Config{
		Self: id, Incarnation: inc, Bits: 16, HopLimit: 1000, MaxFrame: wire.HeaderSize + 64<<10,
		LinkQueue: 4 << 20, LinkLow: 256 << 10, Log: l.logger(),
	}
}

func memory(testing.TB) (net.Conn, net.Conn) { return memnet.Pipe() }

// The loopback brings a node's frames back to it, and is no peer's.
func TestLoopback(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		l, far := r.p.Loopback()
		if again, none := r.p.Loopback(); again != l || none != nil {
			t.Error("there are two")
		}
		r.p.wg.Go(func() { r.p.read(far, nil) })
		l.Append(data(20, 1))
		r.feed()
		if self := (ring.Ref{ID: 20, Incarnation: 200}); l.Peer() != self || r.p.delivered.Load() != 1 || r.p.peers() != 1 {
			t.Errorf("%d delivered, %d peers", r.p.delivered.Load(), r.p.peers())
		}
		r.p.Close(net.ErrClosed)
		if l, _ := newClosed().Loopback(); l != nil {
			t.Error("a closed set has one")
		}
	})
}

func newClosed() *Set {
	s := New(config(20, 200, newLogs()))
	s.Close(net.ErrClosed)
	return s
}

// A set that is closed takes no connection, closes it, and says why to what waits.
func TestClosedSet(t *testing.T) {
	s := newClosed()
	for what, take := range map[string]func(nc net.Conn) *Conn{
		"dialled":  func(nc net.Conn) *Conn { return s.Dialled(30, 1, nc) },
		"accepted": func(nc net.Conn) *Conn { return s.Accept(nc, 30, 1, false, nil) },
	} {
		near, far := memnet.Pipe()
		if take(far) != nil {
			t.Error(what)
		}
		if _, err := near.Read(make([]byte, 1)); err == nil {
			t.Error(what, "is open")
		}
		near.Close()
	}
	if err := s.AwaitLink(t.Context(), 30, 1); err != net.ErrClosed {
		t.Error(err)
	}
}
