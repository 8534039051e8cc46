package peers

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/x/ringdht/memnet"
)

// couple is two nodes, 10 in incarnation 100 and 20 in incarnation 101, that name each other and
// are not linked yet.
type couple struct {
	t      testing.TB
	a, b   *owner
	owners []*owner
	logs   *logs
}

func newCouple(t testing.TB) *couple {
	c := &couple{t: t, logs: newLogs()}
	t.Cleanup(c.close)
	c.a, c.b = newOwner(config(10, 100, c.logs)), newOwner(config(20, 101, c.logs))
	c.owners = []*owner{c.a, c.b}
	c.a.SetRoutes(table(c.a, 1, 20))
	c.b.SetRoutes(table(c.b, 1, 10))
	return c
}

func (c *couple) close() {
	for _, o := range c.owners {
		o.Close(net.ErrClosed)
	}
}

// dial makes a connection, as if one node had dialled the other.
func (c *couple) dial(from, to *owner) { dialOver(c.t, memory, from, to) }

func dialOver(t testing.TB, pipe func(testing.TB) (net.Conn, net.Conn), from, to *owner) {
	near, far := pipe(t)
	go to.Receive(far, from.Self, from.Incarnation, nil, nil)
	from.AddLink(to.Self, to.Incarnation, near)
}

// dialAcross is dial over a network in which the host of each node is named after its ID.
func (c *couple) dialAcross(across *memnet.Network, from, to *owner) {
	dialOver(c.t, func(t testing.TB) (near, far net.Conn) {
		l, err := across.Host(fmt.Sprint(to.Self)).Listen(t.Context(), ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if near, err = across.Host(fmt.Sprint(from.Self)).Dial(t.Context(), l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		if far, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		return near, far
	}, from, to)
}

// states describes the connections between the two, as one of them sees them.
func states(o *owner) string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	var all []string
	for c := range o.conns {
		if c.peer.ID == o.Self {
			continue
		}
		how := "accepted"
		if c.dialled {
			how = "dialled"
		}
		s := fmt.Sprintf("%s %d %d", how, c.sendState, c.recvState)
		if o.links[c.peer.ID] == c.out && c.out != nil {
			s += " link"
		}
		all = append(all, s)
	}
	return strings.Join(all, ", ")
}

var both = fmt.Sprintf("%d %d link", dirOpen, dirOpen)

// one checks that there is one connection for both directions, and which node has dialled it.
func (c *couple) one(dialler, other *owner) {
	c.t.Helper()
	if d, o := states(dialler), states(other); d != "dialled "+both || o != "accepted "+both {
		c.t.Errorf("%d has [%s], %d has [%s]", dialler.Self, d, other.Self, o)
	}
}

// quiet checks that nothing was logged, and that no link seems broken.
func (c *couple) quiet() {
	c.t.Helper()
	if all := c.logs.all(); len(all) > 0 {
		c.t.Error("logged:", all)
	}
	for _, o := range c.owners {
		select {
		case <-o.Broken:
			c.t.Errorf("%d takes a link for broken", o.Self)
		default:
		}
	}
}
