package node

import (
	"context"
	"fmt"
	"log/slog"
	"math/bits"
	"net"
	"time"

	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/peers"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// checkHello decides whether the other end of a connection may connect. The answer to a link's hello
// is the same for every reason, and takes the same time: a stranger that guesses learns nothing from
// it. The reason is in this node's log.
func (n *Node) checkHello(h wire.Hello, _ secure.Proof) wire.Answer {
	switch h.Role {
	case wire.RoleProbe:
		return wire.Answer{Token: handshake.ProbeAnswer(n.token, h.Token)}
	case wire.RoleLink:
	default:
		return wire.Answer{Status: wire.WrongRole, Reason: "this is a node, not a registry: join at the registry's address"}
	}
	// A peer may hear of this incarnation before the node itself does. The answer must still
	// make the deadline of the handshake, and of the dial of a link.
	ctx, cancel := context.WithTimeout(n.accepting, min(n.cfg.Timeout/2, maxHelloWait))
	defer cancel()
	var why string
	n.Await(ctx, func() bool {
		why = n.whyNoLink(h)
		return why == ""
	})
	if why == "" {
		return wire.Answer{}
	}
	return wire.Answer{Status: wire.WrongIdentity, Reason: noLink, Detail: why}
}

// noLink is the reason that a refused peer is told.
const noLink = "this node takes no link from there now: the routing table of either may be out of date"

// maxHelloWait is how long a link's hello waits for this node to hear of itself what its peer has
// heard. It is below half of the shortest lease that suits a network.
const maxHelloWait = time.Second

// whyNoLink says why a link's hello is refused, or nothing if it is not. The text has no number that
// the peer chose, since each text is logged once in a while. It needs mu.
func (n *Node) whyNoLink(h wire.Hello) string {
	inc := n.inc.Load()
	switch {
	case n.ctx.Err() != nil:
		return "this node is closing"
	case !inc.begun():
		return "this node is not registered"
	case h.To != inc.self.ID:
		return "it asked for another node: the routing table there is out of date"
	case h.ToIncarnation != inc.self.Incarnation:
		return "it asked for another incarnation: the routing table there is out of date"
	case h.From == inc.self.ID || bits.Len64(h.From) > int(inc.self.Bits):
		return "it says that it is this node itself, or has an ID beyond the ID space"
	case !inc.mayExist(h.FromIncarnation):
		return "the registry cannot have given out the incarnation that it says it has"
	case n.dead.has(h.From, h.FromIncarnation):
		return fmt.Sprintf("that incarnation of node %d is over: it was declared dead", h.From)
	}
	return ""
}

// serve is the goroutine of an accepted connection during its handshake. The other end is the
// registry's probe, or a peer.
func (n *Node) serve(accepted net.Conn, introduced func()) {
	stop := context.AfterFunc(n.accepting, func() { accepted.Close() })
	conn, h, _, err := n.cfg.Welcome(accepted, n.checkHello)
	stop()
	introduced()
	if err != nil || h.Role == wire.RoleProbe {
		if err != nil && n.accepting.Err() == nil {
			n.cfg.RefusedConn(conn, err)
			if handshake.IsStranger(err) {
				n.inc.Load().plane.CountStranger()
			}
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
	stranger := inc.plane.IsStranger(h.From, h.FromIncarnation)
	n.wg.Go(func() { n.readLink(inc, conn, ring.Ref{ID: h.From, Incarnation: h.FromIncarnation}, stranger) })
}

// readLink is the goroutine of a link from a peer.
func (n *Node) readLink(inc *incarnation, conn net.Conn, from ring.Ref, stranger bool) {
	inc.plane.ReceiveFrom(conn, from.ID, from.Incarnation, stranger,
		func() bool { return n.isDead(from.ID, from.Incarnation) || inc.dropIfRevoked(from, conn) },
		func(err error) { n.logLinkEnd(conn, from.ID, err) })
}

func (n *Node) logLinkEnd(conn net.Conn, from uint64, err error) {
	peer := slog.Group("peer", "id", from, "from", conn.RemoteAddr())
	if handshake.IsProtocolError(err) || peers.IsBound(err) {
		n.cfg.WarnOften(handshake.ReasonOf(err), "incoming link ended", peer, "err", handshake.Quoted(err))
		return
	}
	n.cfg.Log.Debug("incoming link ended", peer, "err", handshake.Quoted(err))
}
