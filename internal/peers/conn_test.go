package peers

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
				first.Cast(t.Context(), second.Self, 0, nil)
				first.SetRoutes(table(first, 2))
				time.Sleep(time.Hour)
				if first.HasLink(second.Self, second.Incarnation) || first.peers() != 1 || second.peers() != 1 || second.delivered.Load() != 1 {
					t.Errorf("after one end: [%s] and [%s]", states(first), states(second))
				}
				second.Cast(t.Context(), first.Self, 0, nil)
				synctest.Wait()
				if first.delivered.Load() != 1 {
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
		c.a.Cast(t.Context(), 20, 0, nil)
		c.a.SetRoutes(table(c.a, 2))
		synctest.Wait()
		if c.a.peers() != 0 || c.b.peers() != 0 || c.b.delivered.Load() != 1 {
			t.Errorf("[%s] and [%s], %d handled", states(c.a), states(c.b), c.b.delivered.Load())
		}
		c.quiet()
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

var errGone = errors.New("it has ended")

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
				c.a.Evict(20, 100, errGone)
				synctest.Wait()
				if c.a.peers() != 1 {
					t.Error("an earlier incarnation had ended")
				}
				c.a.Evict(20, 101, errGone)
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
		time.Sleep(RetireTimeout - 1)
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
	const pings = 10_000 // their answers fill the network, also if the node writes each at once
	flood := make([]byte, 0, pings*wire.HeaderSize)
	for i := range uint64(pings) {
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
