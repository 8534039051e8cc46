package node

import (
	"context"
	"fmt"
	"log/slog"
	"math/bits"
	"net"

	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// checkHello decides whether the other end of a connection may connect.
func (n *Node) checkHello(h wire.Hello) wire.Answer {
	switch h.Role {
	case wire.RoleProbe:
		return wire.Answer{Token: handshake.ProbeAnswer(n.token, h.Token)}
	case wire.RoleLink:
	default:
		return wire.Answer{Status: wire.WrongRole, Reason: "this is a node, not a registry: join at the registry's address"}
	}
	// A peer may hear of this incarnation before the node itself does. The answer must still
	// make its deadline.
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.Timeout/2)
	defer cancel()
	if h.To != 0 || h.ToIncarnation != 0 {
		n.Await(ctx, func() bool {
			inc := n.inc.Load()
			return inc != nil && h.ToIncarnation <= inc.self.Incarnation
		})
	}
	inc := n.inc.Load()
	switch {
	case n.ctx.Err() != nil:
		return wire.Answer{Status: wire.WrongIdentity, Reason: "this node is closing"}
	case inc == nil:
		return wire.Answer{Status: wire.WrongIdentity, Reason: "this node is not registered"}
	case h.To != inc.self.ID:
		return wire.Answer{Status: wire.WrongIdentity, Reason: fmt.Sprintf("node %d is not here: your routing table is out of date", h.To)}
	case h.ToIncarnation != inc.self.Incarnation:
		return wire.Answer{Status: wire.WrongIdentity, Reason: fmt.Sprintf(
			"this is another incarnation of node %d: your routing table is out of date", inc.self.ID)}
	case h.From == inc.self.ID || bits.Len64(h.From) > int(inc.self.Bits):
		return wire.Answer{Status: wire.WrongIdentity, Reason: fmt.Sprintf("node %d cannot be at the other end of a link to node %d", h.From, inc.self.ID)}
	case n.isDead(h.From, h.FromIncarnation):
		return wire.Answer{Status: wire.WrongIdentity, Reason: fmt.Sprintf("that incarnation of node %d is over: it was declared dead", h.From)}
	}
	return wire.Answer{}
}

// serve is the goroutine of an accepted connection during its handshake. The other end is the
// registry's probe, or a peer.
func (n *Node) serve(conn net.Conn, introduced func()) {
	stop := context.AfterFunc(n.ctx, func() { conn.Close() })
	h, err := n.cfg.Welcome(conn, n.checkHello)
	stop()
	introduced()
	if err != nil || h.Role == wire.RoleProbe {
		if err != nil && n.ctx.Err() == nil {
			n.cfg.RefusedConn(conn, err)
		}
		conn.Close()
		return
	}
	inc := n.inc.Load()
	if inc.self.Incarnation != h.ToIncarnation { // it ended in between
		conn.Close()
		return
	}
	// Reading takes a goroutine of its own: the stack that the handshake has grown would stay
	// as large, 2 KiB more for each idle link.
	n.wg.Go(func() { n.readLink(inc, conn, ring.Ref{ID: h.From, Incarnation: h.FromIncarnation}) })
}

// readLink is the goroutine of a link from a peer.
func (n *Node) readLink(inc *incarnation, conn net.Conn, from ring.Ref) {
	inc.plane.Receive(conn, from.ID, from.Incarnation,
		func() bool { return n.isDead(from.ID, from.Incarnation) },
		func(err error) { n.logLinkEnd(conn, from.ID, err) })
}

func (n *Node) logLinkEnd(conn net.Conn, from uint64, err error) {
	level := slog.LevelDebug
	if handshake.IsProtocolError(err) {
		level = slog.LevelWarn
	}
	n.cfg.Log.Log(n.ctx, level, "incoming link ended", slog.Group("peer", "id", from, "from", conn.RemoteAddr()), "err", err)
}
