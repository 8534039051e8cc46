package peers

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// A node that wants a link to a peer that has dialled it shares that connection.
func TestShare(t *testing.T) {
	for name, higher := range map[string]bool{"lower dialled": false, "higher dialled": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t)
				defer c.close()
				first, second := c.a, c.b
				if higher {
					first, second = second, first
				}
				if second.Ask(first.Self, first.Incarnation) {
					t.Error("there is nothing to share")
				}
				waited := make(chan error)
				go func() { waited <- second.AwaitLink(t.Context(), first.Self, first.Incarnation) }()
				synctest.Wait()
				c.dial(first, second)
				if err := <-waited; err != nil {
					t.Fatal(err)
				}
				c.one(first, second)
				c.one(first, second)
				c.quiet()
			})
		})
	}
}

// If both nodes dial, the connection that the lower ID has dialled stays, whichever came first.
func TestBothDial(t *testing.T) {
	for name, higher := range map[string]bool{"the lower first": false, "the higher first": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t)
				defer c.close()
				net := memnet.New(1)
				net.Delay("", "", time.Second, 0)
				first, second := c.a, c.b
				if higher {
					first, second = second, first
				}
				c.dialAcross(net, first, second)
				c.dialAcross(net, second, first)
				time.Sleep(time.Minute)
				c.one(c.a, c.b)
				if c.a.peers() != 1 || c.b.peers() != 1 {
					t.Errorf("[%s] and [%s]", states(c.a), states(c.b))
				}
				c.quiet()
			})
		})
	}
}

// The accepting side asks while the dialling side sends End: the dialling side sends nothing
// then, and the accepting side learns that it must dial.
func TestAskCrossesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.close()
		net := memnet.New(1)
		net.Delay("", "", time.Second, 0)
		c.dialAcross(net, c.a, c.b)
		synctest.Wait()
		c.a.SetRoutes(table(c.a, 2))
		if !c.b.Ask(10, 100) {
			t.Error("it did not ask")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		time.Sleep(4 * time.Second)
		if c.b.Ask(10, 100) || c.b.AwaitLink(ctx, 10, 100) == nil {
			t.Error("it may send on what the other has ended")
		}
		if c.a.peers() != 0 || c.b.peers() != 0 {
			t.Errorf("[%s] and [%s]", states(c.a), states(c.b))
		}
		c.quiet()
	})
}

// A side that has sent End does not let the other begin.
func TestEndedConnIsNotShared(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		near, far := memnet.Pipe()
		r.p.AddLink(30, 1, near)
		r.p.SetRoutes(Routes{Epoch: 1})
		b := make([]byte, 100)
		if n, err := far.Read(b); err != nil || wire.Frame(b[:n]).Type() != wire.End {
			t.Errorf("%x, %v", b[:n], err)
		}
		far.Write(connFrame(wire.Share, 0))
		if n, err := far.Read(b); err == nil {
			t.Errorf("it answered: %x", b[:n])
		}
		far.Close()
	})
}

// A node asks the incarnation that has dialled, and no other.
func TestAskForAnIncarnation(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		if r.p.Ask(10, 2) || r.p.Ask(11, 1) || !r.p.Ask(10, 1) || !r.p.Ask(10, 1) {
			t.Error("asked the wrong one, or not the right one")
		}
		b := make([]byte, 100)
		r.from.SetReadDeadline(time.Now().Add(time.Second))
		for range 2 {
			if n, err := r.from.Read(b); err == nil && (n != wire.HeaderSize || wire.Frame(b).Type() != wire.Share) {
				t.Errorf("%x", b[:n])
			}
		}
	})
}

// If the peer ends its direction and dials again, the other direction moves there as well,
// whatever the IDs.
func TestConvergeAfterAnEnd(t *testing.T) {
	for name, higher := range map[string]bool{"the lower": false, "the higher": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t)
				defer c.close()
				first, second := c.a, c.b
				if higher {
					first, second = second, first
				}
				c.dial(first, second)
				second.AwaitLink(t.Context(), first.Self, first.Incarnation)
				first.SetRoutes(Routes{Epoch: 2, Successor: second.Self})
				synctest.Wait()
				first.SetRoutes(table(first, 3, second.Self))
				c.dial(first, second)
				synctest.Wait()
				c.one(first, second)
				if first.peers() != 1 {
					t.Error(first.peers(), "connections")
				}
				c.quiet()
			})
		})
	}
}

// A connection is not used if both directions have links already.
func TestOneConnIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.close()
		c.dial(c.b, c.a)
		c.a.AwaitLink(t.Context(), 20, 101)
		for _, p := range c.owners {
			c.dial(p, c.owners[2-p.Self/10])
			synctest.Wait()
			c.one(c.b, c.a)
		}
		c.quiet()
	})
}

// Of the connections that an incarnation of a peer has dialled, two stay. The one that makes way
// is the oldest that has carried no frame, or else the oldest. None is asked for without need.
func TestManyConnsOfOnePeer(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{15}, Authoritative: true, Successor: 15})
		r.link(15)
		used := r.incoming(15, 1)
		used.Write(connFrame(wire.Ping, 1))
		synctest.Wait()
		var conns []net.Conn
		for range 100 {
			conns = append(conns, r.incoming(15, 1))
			synctest.Wait()
		}
		other := r.incoming(15, 2) // a later incarnation
		synctest.Wait()
		if n := r.p.peers(); n != 1+2+1+1 { // that from 10, two from 15, one to it, one from the later one
			t.Errorf("%d connections", n)
		}
		if got := r.p.Traffic().Shed; got != 99 {
			t.Errorf("%d were ended", got)
		}
		// The peer has a lower ID, so the link moves to the first connection that allows it; all
		// are asked until one does.
		used.Write(connFrame(wire.Shared, 0))
		synctest.Wait()
		l := r.p.linkTo(15)
		if l.conn.dialled || l.conn.recvState != dirOpen {
			t.Error("the link did not move")
		}
		for range 2 { // both carry frames now, so the older one makes way
			late := r.incoming(15, 1)
			late.Write(connFrame(wire.Ping, 1))
			synctest.Wait()
			conns = append(conns, late)
		}
		r.p.mu.RLock()
		for c := range r.p.conns {
			if c == l.conn {
				t.Error("the oldest is still there")
			}
		}
		r.p.mu.RUnlock()
		for _, nc := range append(conns, used, other) {
			nc.Close()
		}
		synctest.Wait()
		if i := &r.p.incoming; i.n != 1 || len(i.byPeer) != 1 || i.members.n != 1 || i.strangers.n != 0 {
			t.Errorf("the account has %d, %d peers, %d silent", i.n, len(i.byPeer), i.members.n)
		}
	})
}
