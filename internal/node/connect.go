package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// connect registers with the registry: as a newcomer, or to go on with an incarnation that has
// not ended. With anyID it does not ask for the ID of the incarnation before.
func (n *Node) connect(ctx context.Context, anyID bool) error {
	conn, _, proof, err := n.cfg.Dial(ctx, n.registry, wire.Hello{Role: wire.RoleMember})
	n.noteCredentials(err)
	switch {
	case errors.Is(err, secure.ErrRevoked):
		return fmt.Errorf("%w: %w", errExpelled, err)
	case dial.IsRefused(err):
		return unanswered{fmt.Errorf("%w: is the registry running there?", err)}
	case err != nil && !errors.Is(err, errs.ErrHandshake) && !dial.IsMalformed(err):
		return unanswered{err}
	case err != nil:
		return err
	}
	ctl := control.NewConn(conn, n.cfg.Codec, wire.MaxLength+wire.PrefixSize)
	sent := n.cfg.Now()
	err = n.register(ctx, ctl, proof.State, anyID)
	n.noteCredentials(err)
	if err != nil {
		ctl.Accuse(err)
		ctl.Close()
		ctl.Free()
		return handshake.Quoted(err) // the registry may be another process than it should
	}
	defer n.followLater(ctl)
	defer n.beatIfOld(ctl, sent)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ctl.Store(ctl)
	if n.unlisting && !n.deregistering && n.unlists.Load() { // it may have begun since Register
		ctl.Send(control.TypeLeaving, control.Leaving{}) // an error ends readControl, too
	}
	n.disconnected, n.outage = make(chan struct{}), outage{}
	n.changed.Broadcast()
	inc := n.inc.Load()
	inc.resend.Store(true)
	inc.connectEpoch.Store(inc.local.Load().Epoch)
	inc.contact.restart(sent)
	inc.wake()
	if n.closed {
		ctl.Close()
	}
	return nil
}

// followLater tells the registry of services that were asked for since it was sent Register.
func (n *Node) followLater(ctl *control.Conn) {
	if later := n.follows.later(); len(later) > 0 {
		ctl.Send(control.TypeFollow, control.Follow{Services: later})
	}
}

// beatIfOld sends a heartbeat at once if the registry took its time to admit the node: it has surely
// heard the node when Register was sent, which is not recent then. Until a heartbeat is answered the
// node is not authoritative, and no source hears that a node behind it is gone.
func (n *Node) beatIfOld(ctl *control.Conn, sent time.Time) {
	if inc := n.inc.Load(); handshake.Elapsed(sent, n.cfg.Now()) >= inc.lease()/6 {
		inc.sendHeartbeatOver(ctl) // an error ends readControl, too
	}
}

// register sends Register over a new connection, and acts on the answer. cs is that of TLS in a
// secure ring.
func (n *Node) register(ctx context.Context, ctl *control.Conn, cs *tls.ConnectionState, anyID bool) error {
	inc := n.inc.Load()
	// The address may have changed: the machine is in another network, or reaches the
	// registry another way.
	addr, err := n.advertised(ctl.LocalAddr())
	if err != nil {
		return err
	}
	req := control.Register{
		Addr: addr, Other: n.cfg.Advertise != "" || n.listensByName(ctl.LocalAddr()), Traffic: n.cfg.Traffic, Token: n.token, Seen: n.maxIncarnation.Load(),
		Name: n.info.NameOf(), Tags: n.info.Tags(), Services: n.info.Services(), Uses: n.follows.register(), Confirms: true, Keys: servicesOf(n.noted),
	}
	on := inc.ctx.Err() == nil && n.security.goesOnOver(cs) // the incarnation goes on
	if inc.begun() {
		local := inc.local.Load()
		req.Epoch, req.Size, req.Plan, req.Run = local.Epoch, local.Size, local.Plan, inc.traffic.latest()
		req.Want, req.ID = !anyID, inc.self.ID // the same ID, if it is free
		if on {
			req.Identity, req.ListEpoch = string(local.Identity), local.ListEpoch
			req.Incarnation, req.Ready, req.Over = inc.self.Incarnation, inc.isReady(), n.presentable(local.Over)
			req.Every = int64(inc.pace.Load())
			req.Leaving = n.asksToUnlist()
			req.Recovery, req.ToldBy, req.BackWith = n.recoveries.Recovery, n.recoveries.ToldBy, n.recoveries.BackWith
		}
	}
	if n.cfg.ID != nil && !inc.begun() {
		req.Want, req.ID = true, uint64(*n.cfg.ID)
	}
	if inc.ctx.Err() == nil && !on && n.isLeaving() {
		return expiredError{} // another incarnation would begin only to leave
	}
	if n.security != nil {
		if req.Proof, err = n.security.proof(cs); err != nil {
			return err
		}
		if !on {
			n.security.setAdmitting(true)
			defer n.security.setAdmitting(false)
		}
	}
	stop := context.AfterFunc(ctx, ctl.Close) // not a deadline: Recv sets its own
	defer stop()
	ctl.SetLease(3 * n.cfg.Timeout)                                    // the registry dials back first, and may wait for members of the ring that was
	if err := ctl.SendRegister(req); errors.Is(err, wire.ErrTooLong) { // other errors end Recv
		return err
	}
	t, body, err := ctl.Recv()
	var answer control.Registered
	switch {
	case err != nil:
		err = unanswered{err}
	case t == control.TypeBye: // the registry closes
		err = unanswered{byeError(ctl, body)}
	case t == control.TypeRefused:
		err = refusal(ctl, body)
	case t == control.TypeViolation:
		err = ctl.Accused(body)
	case t != control.TypeRegistered:
		err = fmt.Errorf("%w: the registry answered with a message of type 0x%02X", wire.ErrOrder, uint8(t))
	default:
		err = ctl.Decode(body, &answer)
	}
	if !stop() && ctx.Err() != nil {
		return unanswered{context.Cause(ctx)}
	}
	if err == nil && n.security != nil {
		err = n.security.admit(answer.Admission, answer.ID, answer.Incarnation, answer.Time)
		if errors.Is(err, secure.ErrNotAdmitted) { // no refusal: the next connection shows a new key
			err = unanswered{keyChangedError(err.Error())}
		}
	}
	if err == nil {
		n.registryNumber = answer.Registry
	}
	switch {
	case err != nil:
		return err
	case on && (answer.ID != inc.self.ID || answer.Incarnation != inc.self.Incarnation):
		return fmt.Errorf("the registry takes node %d for node %d", inc.self.ID, answer.ID)
	case on && answer.Identity != "" && req.Identity != "" && answer.Identity != req.Identity:
		return fmt.Errorf("%w: it takes this member of ring %s into ring %s", errs.ErrOtherRing, ring.Identity(req.Identity).Short(), ring.Identity(answer.Identity).Short())
	case on && (answer.Bits != inc.self.Bits || answer.MaxPayload != inc.self.MaxPayload):
		return fmt.Errorf("%w: the ring has IDs of %d bits and messages of %d bytes now, not of %d and %d", errs.ErrEvicted,
			answer.Bits, answer.MaxPayload, inc.self.Bits, inc.self.MaxPayload)
	case on:
		if was := n.setAddress(addr); was != addr {
			n.cfg.Log.Info("the node's address has changed", "node", n.Peer(), "was", was)
		}
		n.recoveries = n.recoveries.Registered(answer.Registry)
		n.notesConnected(answer.Incarnation, ctl, answer.Notes)
		inc.plane.LowerFence()
	default:
		n.end(inc, expiredError{}) // unless it has ended before
		n.setAddress(addr)
		n.recoveries = membership.Recoveries{}.Registered(answer.Registry)
		if err := n.begin(answer, req.Seen, ctl); err != nil {
			return err
		}
	}
	n.unlists.Store(answer.Unlists)
	n.forsaking.OwnRing()
	ctl.SetLease(0) // from here on, heartbeatLoop measures the registry's silence
	return nil
}

// keyChangedError is the error for an admission that the ring's key has not signed, from a registry
// that has proven to hold that key.
type keyChangedError string

func (e keyChangedError) Error() string {
	return string(e) + ": the ring's key may have changed at this moment: the node connects again"
}

// setAddress stores the address under which the registry knows the node, and returns the one
// before.
func (n *Node) setAddress(addr string) (was string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	was, n.addr = n.addr, addr
	return was
}

// listensByName reports whether the node advertises the name on which it listens. A registry looks up
// no names to compare them with the IP address of a connection, so the node says that its name is
// meant. local is this end of the connection to the registry.
func (n *Node) listensByName(local net.Addr) bool {
	host, _, _ := net.SplitHostPort(n.cfg.Listen)
	own, _, err := handshake.NetHostPort(local)
	return host != "" && net.ParseIP(host) == nil && !dial.IsLoopback(n.cfg.Listen) && err == nil && net.ParseIP(own) != nil
}

// advertised is the address for peers to dial. local is this end of the connection to the
// registry.
func (n *Node) advertised(local net.Addr) (string, error) {
	if n.cfg.Advertise != "" {
		return n.cfg.Advertise, nil
	}
	host, _, _ := net.SplitHostPort(n.cfg.Listen)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		own, _, err := handshake.NetHostPort(local)
		if err != nil {
			return "", fmt.Errorf("the connection to the registry comes from %w: say with WithAdvertise where peers can dial the node", err)
		}
		host = own
	}
	_, port, err := handshake.NetHostPort(n.listener.Addr())
	if err != nil {
		return "", fmt.Errorf("the transport listens on %w", err)
	}
	addr, err := dial.HostPort(net.JoinHostPort(host, port))
	if err != nil {
		return "", fmt.Errorf("this node has no address that others can dial (%w): give it one with WithAdvertise", err)
	}
	return addr, nil
}
