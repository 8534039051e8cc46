package node

import (
	"crypto/tls"
	"errors"
	"net"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// handleCredentials handles what the registry of a secure ring says of them: a new admission, or
// the keys to trust.
func (inc *incarnation) handleCredentials(ctl *control.Conn, t wire.Type, body []byte) error {
	c := inc.n.security
	if c == nil {
		return errOpenRing
	}
	if t == control.TypeAdmission {
		var a control.Admission
		if err := ctl.Decode(body, &a); err != nil {
			return err
		}
		return c.admit(a.Admission, inc.self.ID, inc.self.Incarnation, a.Time)
	}
	var trust control.Trust
	if err := ctl.Decode(body, &trust); err != nil {
		return err
	}
	if err := c.trustAll(trust); err != nil {
		return err
	}
	if c.isRevoked(c.public) {
		return errExpelled
	}
	for ref, conn := range inc.plane.Conns() {
		inc.dropIfRevoked(ref, conn)
	}
	return nil
}

// dropIfRevoked ends all that there is with an expelled peer, given a connection with it. The
// registry declares its incarnation dead as well, but that may come later. It reports whether the
// peer is expelled.
func (inc *incarnation) dropIfRevoked(ref ring.Ref, conn net.Conn) bool {
	c := inc.n.security
	if c == nil {
		return false
	}
	key, ok := keyOf(conn)
	if !ok || !c.isRevoked(key) {
		return false
	}
	inc.markDead([]ring.Ref{ref})
	inc.n.cfg.Log.Warn("a link to an expelled node was closed", "node", inc.n.Peer(), "peer", ref.ID, "incarnation", ref.Incarnation)
	return true
}

// keyOf returns the key that the other end of a connection has proven.
func keyOf(conn net.Conn) (secure.Key, bool) {
	c, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return secure.Key{}, false // the link of the node to itself
	}
	cs := c.ConnectionState()
	p, err := secure.PresentedIn(&cs)
	return p.Key, err == nil
}

// expel ends the membership for good: the registry has expelled this node. Calls fail with an
// error that says so, and the node does not reconnect.
func (n *Node) expel(inc *incarnation, err error) {
	n.cfg.Log.Warn("the node was expelled from the ring, and does not join again", "node", n.Peer(), "incarnation", n.Incarnation(), "err", handshake.Quote(err.Error()))
	n.expelled.Store(true)
	n.end(inc, errExpelled)
	n.mu.Lock()
	n.changed.Broadcast()
	n.mu.Unlock()
	n.members.Broadcast()
}

// ended returns the error for a call that failed because its incarnation has ended. The last one
// of an expelled node may have ended before for another reason.
func (n *Node) ended(err error) error {
	if err != nil && n.expelled.Load() && errors.Is(err, errs.ErrEvicted) {
		return errExpelled
	}
	return err
}

// warnOfAge logs that the admission expires soon, and that it has expired. The registry renews it
// when half of its time is left, so it was away for long.
func (n *Node) warnOfAge() {
	if n.security == nil {
		return
	}
	if what, until := n.security.ageWarning(); what != "" {
		n.cfg.Log.Warn(what, "node", n.Peer(), "until", until.UTC(), "registry", n.registry)
	}
}

// presentable returns those of the ended incarnations that a registry would believe: in a secure
// ring, those with the ring's signature.
func (n *Node) presentable(over []control.Over) []control.Over {
	if n.security == nil {
		return over
	}
	return slices.DeleteFunc(slices.Clone(over), func(o control.Over) bool { return o.Signature == "" })
}

// errOpenRing is the error of a message that only a secure ring has.
var errOpenRing = errors.New("the registry sent credentials of a secure ring to a node that joined an open one")
