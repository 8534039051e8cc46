package ringtest

import (
	"context"
	"net"
	"slices"
	"testing"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// RefOf names the present incarnation of a node.
func RefOf(n *Node) ring.Ref {
	return ring.Ref{ID: uint64(n.ID()), Incarnation: n.Incarnation()}
}

// TryLink dials a node as a peer does, in the name of any incarnation, without a node behind the
// connection. It returns nil if the node refuses. In a secure ring from must be one of the ring's
// nodes, whose key it uses: then it is that node which does not keep to the protocol.
func (tr *Ring) TryLink(to *Node, from ring.Ref) net.Conn {
	c := DialConfig()
	if tr.Net != nil {
		c.Transport = tr.Net.Host("raw")
	}
	if i := slices.IndexFunc(tr.Nodes, func(n *Node) bool { return RefOf(n) == from }); tr.Secure && i >= 0 {
		c.Security = NodeOf(tr.Nodes[i]).Config().Security
	}
	conn, _, _, err := c.Dial(context.Background(), to.Peer().Addr, wire.Hello{
		Role: wire.RoleLink, From: from.ID, FromIncarnation: from.Incarnation, To: uint64(to.ID()), ToIncarnation: to.Incarnation(),
	})
	if err != nil {
		return nil
	}
	return conn
}

// Link is [Ring.TryLink] for a link that must be accepted. It closes it when the test ends.
func (tr *Ring) Link(t testing.TB, to *Node, from ring.Ref) net.Conn {
	t.Helper()
	conn := tr.TryLink(to, from)
	if conn == nil {
		t.Fatalf("node %d refuses a link from %d", to.ID(), from.ID)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
