package plane

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// The end of one direction is not that of the other, in either order. The connection ends with
// the second.
func TestHalfEnds(t *testing.T) {
	for name, dialler := range map[string]bool{"the dialling side": true, "the accepting side": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t)
				defer c.close()
				c.dial(c.a, c.b)
				c.b.AwaitLink(t.Context(), 10, 100)
				first, second := c.a, c.b
				if !dialler {
					first, second = second, first
				}
				first.Cast(t.Context(), second.Self, 0, message(0))
				first.SetRoutes(table(first, 2))
				time.Sleep(time.Hour)
				if first.HasLink(second.Self, second.Incarnation) || first.peers() != 1 || second.peers() != 1 || c.next[second.Self/10-1].Load() != 1 {
					t.Errorf("after one end: [%s] and [%s]", states(first), states(second))
				}
				second.Cast(t.Context(), first.Self, 0, message(0))
				synctest.Wait()
				if c.next[first.Self/10-1].Load() != 1 {
					t.Error("the other direction has ended too")
				}
				second.SetRoutes(table(second, 2))
				synctest.Wait()
				if first.peers() != 0 || second.peers() != 0 {
					t.Errorf("after the other: [%s] and [%s]", states(first), states(second))
				}
				c.quiet()
			})
		})
	}
}

// A side that was only dialled closes the connection when the other has ended.
func TestUnsharedEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.close()
		c.dial(c.a, c.b)
		c.a.Cast(t.Context(), 20, 0, message(0))
		c.a.SetRoutes(table(c.a, 2))
		synctest.Wait()
		if c.a.peers() != 0 || c.b.peers() != 0 || c.next[1].Load() != 1 {
			t.Errorf("[%s] and [%s], %d handled", states(c.a), states(c.b), c.next[1].Load())
		}
		c.quiet()
	})
}

// A node that leaves waits for what comes over a connection that it has dialled itself, however
// long that takes. No accepted message is lost.
func TestDrainOfASharedConn(t *testing.T) {
	for name, dialled := range map[string]bool{"dialled": true, "accepted": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t)
				defer c.close()
				net := memnet.New(1)
				if dialled {
					c.dialAcross(net, c.a, c.b)
					c.b.AwaitLink(t.Context(), 10, 100)
				} else {
					c.dialAcross(net, c.b, c.a)
					c.a.AwaitLink(t.Context(), 20, 101)
				}
				c.exchange(1)
				net.Delay("20", "10", 2*time.Second, 0)
				const n = 50
				for i := range uint64(n) {
					if err := c.b.Send(t.Context(), 10, 0, short(1+i)); err != nil {
						t.Fatal(err)
					}
				}
				drained := make(chan error, 1)
				go func() { drained <- c.a.Drain(t.Context()) }()
				synctest.Wait()
				select {
				case <-drained:
					t.Error("it did not wait for its peer")
				default:
				}
				start := time.Now()
				c.b.SetRoutes(Routes{Epoch: 2, Successor: 10}) // it has removed the node from its table
				if err := <-drained; err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took >= retireTimeout || c.next[0].Load() != 1+n {
					t.Errorf("%d handled, after %v", c.next[0].Load(), took)
				}
				c.a.Close(errBroken)
				if failed, err := c.b.Flush(t.Context()); failed != nil || err != nil {
					t.Error(len(failed), err)
				}
			})
		})
	}
}

// A peer that does not end its link is waited for, but not for ever.
func TestDrainOfAStuckSharedConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.close()
		c.dial(c.a, c.b)
		c.b.AwaitLink(t.Context(), 10, 100)
		c.a.SetRoutes(Routes{Epoch: 2, Successor: 20}) // this direction ended long ago
		time.Sleep(time.Hour)
		start := time.Now()
		if err := c.a.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < retireTimeout || took > 3*retireTimeout {
			t.Error("it took", took)
		}
	})
}

// A direction has not ended before what came with the End is taken in.
func TestEndComesLast(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		_, far := memnet.Pipe()
		r.p.mu.Lock()
		c := r.p.newConn(far, 30, 1, false)
		r.p.mu.Unlock()
		cast := wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: 30}, nil)
		if _, err := c.in.dispatch(append(cast, connFrame(wire.End, 0)...)); err != nil {
			t.Fatal(err)
		}
		if c.recvState != dirOpen || !c.in.sawEnd {
			t.Error("ended before it was all taken in, or not heard")
		}
		c.in.finishBatch()
		c.in.schedule()
		c.peerEnded()
		synctest.Wait()
		if c.recvState != dirEnded || r.p.Counters().Delivered != 1 {
			t.Error("not ended, or not handled")
		}
		c.teardown(net.ErrClosed)
	})
}

// Both nodes notice when a shared connection breaks. What waits takes another way or is sent
// again.
func TestSharedConnBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.close()
		c.dial(c.a, c.b)
		c.b.AwaitLink(t.Context(), 10, 100)
		c.a.mu.RLock()
		l := c.a.links[20]
		c.a.mu.RUnlock()
		l.Fail(errBroken)
		synctest.Wait()
		for _, p := range c.planes {
			if p.peers() != 0 {
				t.Errorf("%d has [%s]", p.Self, states(p))
			}
			select {
			case <-p.Broken:
			default:
				t.Errorf("%d was not told", p.Self)
			}
		}
		go func() {
			time.Sleep(time.Second)
			c.dial(c.b, c.a)
			c.a.AwaitLink(t.Context(), 20, 101)
		}()
		c.exchange(100)
		c.one(c.b, c.a)
	})
}

// A link is out of use as soon as its End is read, even if closing takes a while.
func TestEndedConnClosesSlowly(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		near, far := memnet.Pipe()
		slow := slowClose{near, make(chan struct{}), make(chan struct{})}
		r.p.AddLink(30, 1, slow)
		synctest.Wait()
		far.Close()
		<-slow.closing
		if r.p.HasLink(30, 1) {
			t.Error("it is used until the connection is closed")
		}
		close(slow.let)
	})
}

// An incarnation that has ended loses the connection, whichever side dialled it. A later one does
// not get what was asked of an earlier one.
func TestSharedConnOfAnEndedIncarnation(t *testing.T) {
	for name, dialled := range map[string]bool{"dialled": true, "accepted": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t)
				defer c.close()
				if dialled {
					c.dial(c.a, c.b)
					c.b.AwaitLink(t.Context(), 10, 100)
				} else {
					c.dial(c.b, c.a)
					c.a.AwaitLink(t.Context(), 20, 101)
				}
				if c.a.Ask(20, 102) || c.a.HasLink(20, 102) {
					t.Error("taken for another incarnation")
				}
				c.a.Evict(20, 100)
				synctest.Wait()
				if c.a.peers() != 1 {
					t.Error("an earlier incarnation had ended")
				}
				c.a.Evict(20, 101)
				synctest.Wait()
				if c.a.peers() != 0 || c.a.HasLink(20, 101) || c.b.peers() != 0 {
					t.Errorf("[%s] and [%s]", states(c.a), states(c.b))
				}
			})
		})
	}
}

// A peer that neither uses a connection nor closes it cannot keep it once this side has ended. A
// peer that uses it can.
func TestEndIsNotWaitedForLong(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		near, far := memnet.Pipe()
		r.p.AddLink(30, 1, near)
		r.p.SetRoutes(Routes{Epoch: 1})
		time.Sleep(retireTimeout - 1)
		if r.p.peers() != 2 {
			t.Error("it has not waited")
		}
		time.Sleep(time.Second)
		if r.p.peers() != 1 {
			t.Error("it waits for ever")
		}
		far.Close()
	})
}

// Frames about the connection come at the right time and from the right side, or the connection
// ends. The log and the peer are told which rule was broken.
func TestHostileConns(t *testing.T) {
	frame := func(t wire.Type) []byte { return connFrame(t, 0) }
	all := func(f ...[]byte) (b []byte) {
		for _, f := range f {
			b = append(b, f...)
		}
		return b
	}
	flood := make([]byte, 0, 100*wire.HeaderSize)
	for i := range uint64(100) {
		flood = append(flood, connFrame(wire.Ping, i)...)
	}
	for name, c := range map[string]struct {
		dialled bool // by the node under test
		send    []byte
		broken  wire.Rule // 0 if none
	}{
		"share":                        {true, frame(wire.Share), 0},
		"share, data":                  {true, all(frame(wire.Share), data(40, 1)), 0},
		"share, ping":                  {true, all(frame(wire.Share), frame(wire.Ping)), 0},
		"share, end":                   {true, all(frame(wire.Share), data(40, 1), frame(wire.End)), 0},
		"share twice":                  {true, all(frame(wire.Share), frame(wire.Share)), wire.ErrShare},
		"share with a sink":            {true, wire.Append(nil, wire.Header{Type: wire.Share, Dst: 20}, nil), wire.ErrNotBare},
		"share with a body":            {true, wire.Append(nil, wire.Header{Type: wire.Share}, []byte{1}), wire.ErrNotBare},
		"data":                         {true, data(40, 1), wire.ErrNotOpen},
		"ping":                         {true, frame(wire.Ping), wire.ErrNotOpen},
		"end":                          {true, frame(wire.End), wire.ErrNotOpen},
		"shared by the accepting side": {true, frame(wire.Shared), wire.ErrShared},
		"share, end, end":              {true, all(frame(wire.Share), frame(wire.End), frame(wire.End)), wire.ErrNotOpen},
		"share, end, data":             {true, all(frame(wire.Share), frame(wire.End), data(40, 1)), wire.ErrNotOpen},
		"share, end, ping":             {true, all(frame(wire.Share), frame(wire.End), frame(wire.Ping)), wire.ErrNotOpen},
		"share, end, share":            {true, all(frame(wire.Share), frame(wire.End), frame(wire.Share)), wire.ErrShare},
		"share by the dialling side":   {false, frame(wire.Share), wire.ErrShare},
		"shared and never asked":       {false, frame(wire.Shared), wire.ErrShared},
		"pong and never asked":         {false, frame(wire.Pong), wire.ErrPong},
		"end and more":                 {false, all(frame(wire.End), data(40, 1)), wire.ErrNotOpen},
		"end twice":                    {false, all(frame(wire.End), frame(wire.End)), wire.ErrNotOpen},
		"pings without end":            {false, flood, wire.ErrPing},
		"pings without end, shared":    {true, all(frame(wire.Share), flood), wire.ErrPing},
		"a type that there is not":     {false, frame(wire.Violated + 1), wire.ErrType},
		"a type of the conversation":   {true, frame(wire.FirstControl), wire.ErrType},
		"a later type":                 {false, frame(0x30), 0},
		"a later type, dialled":        {true, wire.Append(nil, wire.Header{Type: 0x3f, Dst: 7}, make([]byte, 9)), 0},
		"too long, dialled":            {true, []byte{byte(wire.Share), 0xff, 0xff, 0xff}, wire.ErrTooLong},
		"too short":                    {false, []byte{byte(wire.Ping), 0, 0, 1, 0}, wire.ErrShort},
	} {
		t.Run(name, func(t *testing.T) {
			withRig(t, func(t *testing.T, r *rig) {
				r.link(40)
				r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{40}, Keep: []uint64{30}, Authoritative: true, Successor: 40})
				near, far := memnet.Pipe()
				ended := make(chan error, 1)
				if c.dialled {
					r.p.AddLink(30, 1, far)
				} else {
					go r.p.Receive(far, 30, 1, nil, func(err error) { ended <- err })
				}
				synctest.Wait()
				before := r.p.peers()
				near.Write(c.send) // and it does not read
				synctest.Wait()
				if up := r.p.peers() == before; up != (c.broken == 0) {
					t.Errorf("the connection stands: %v", up)
				}
				if c.broken == 0 {
					near.Close()
					return
				}
				if !c.dialled {
					if err := <-ended; !errors.Is(err, c.broken) {
						t.Error(err)
					}
				} else if !strings.Contains(strings.Join(r.logs.all(), ""), c.broken.Error()) {
					t.Error("logged", r.logs.all())
				}
				if v := lastFrame(t, near); v.Type() != wire.Violated || v.Seq() != uint64(c.broken) {
					t.Errorf("the peer was told %x", v)
				}
				near.Close()
			})
		})
	}
}

// lastFrame reads to the end and returns the last frame.
func lastFrame(t *testing.T, conn net.Conn) (f wire.Frame) {
	t.Helper()
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Error(err)
	}
	for len(b) > 0 {
		f, b = wire.Next(b)
	}
	return f
}

// A violation that is received ends the connection, is in the log as a quoted text, and is not
// answered.
func TestViolationsAreNotAnswered(t *testing.T) {
	for _, dialled := range []bool{false, true} {
		withRig(t, func(t *testing.T, r *rig) {
			near, far := memnet.Pipe()
			ended := make(chan error, 1)
			if dialled {
				r.p.AddLink(30, 1, far)
			} else {
				go r.p.Receive(far, 30, 1, nil, func(err error) { ended <- err })
			}
			synctest.Wait()
			near.Write(wire.Violation{Code: 21, Rule: "R21", Text: "a \x1b[2J"}.Append(nil))
			if b, err := io.ReadAll(near); err != nil || len(b) > 0 {
				t.Errorf("%x, %v", b, err)
			}
			synctest.Wait()
			said := strings.Join(r.logs.all(), "")
			if !dialled {
				said = fmt.Sprint(<-ended)
			}
			if !strings.Contains(said, "R21") || strings.Contains(said, "\x1b") {
				t.Errorf("%q", said)
			}
			near.Close()
		})
	}
}

// A frame of a later type is relayed by its destination, and counted and dropped at its sink.
func TestLaterTypesAreRelayed(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(30)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		later := func(dst uint64) wire.Frame {
			return wire.Append(nil, wire.Header{Type: 0x2f, Dst: dst, Src: 10, Seq: 7}, []byte("later"))
		}
		r.from.Write(later(20))
		r.from.Write(later(30))
		want := later(30)
		want.SetHops(1)
		if got := r.arrived(30, 7); string(got[0]) != string(want) {
			t.Errorf("%x, want %x", got, want)
		}
		r.from.Write(later(25)) // there is no such node, and no answer to such a frame
		r.from.Write(connFrame(0x30, 1))
		synctest.Wait()
		if c := r.p.Counters(); c.Dropped.Unknown != 2 || c.Dropped.NoRoute != 1 || c.Dropped.Sum() != 1 || c.FramesIn != 3 {
			t.Errorf("%+v", c)
		}
	})
}
