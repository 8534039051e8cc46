package peers

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// A lagging connection delays each write.
type lagging struct {
	net.Conn
	lag time.Duration
}

func (c lagging) Write(b []byte) (int, error) {
	time.Sleep(c.lag)
	return c.Conn.Write(b)
}

// If each node asks to share what the other has dialled, and both are allowed to, then only one
// of them moves.
func TestSharesThatCross(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.close()
		lag := func(near, far time.Duration) func(testing.TB) (net.Conn, net.Conn) {
			return func(t testing.TB) (net.Conn, net.Conn) {
				a, b := memory(t)
				return lagging{a, near}, lagging{b, far}
			}
		}
		dialOver(t, lag(3*time.Second, time.Second), c.b, c.a)
		synctest.Wait()
		c.a.Ask(20, 101) // this takes so long that the node dials itself
		dialOver(t, lag(time.Second, 3*time.Second), c.a, c.b)
		time.Sleep(time.Minute)
		c.one(c.b, c.a)
		if c.a.peers() != 1 {
			t.Error(c.a.peers(), "connections")
		}
		c.quiet()
	})
}

// An answer of an incarnation that has ended does not replace the link to the next one.
func TestSharedByAnEarlierIncarnation(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		nc := r.incoming(30, 1)
		synctest.Wait()
		r.p.Ask(30, 1)
		near, far := memnet.Pipe()
		r.p.AddLink(30, 2, near)
		nc.Write(connFrame(wire.Shared, 0))
		synctest.Wait()
		if !r.p.HasLink(30, 2) {
			t.Error("replaced")
		}
		nc.Close()
		far.Close()
	})
}
