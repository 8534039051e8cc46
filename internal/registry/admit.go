package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// maxLoopbackWarnings bounds the members that one registration logs for a loopback address.
const maxLoopbackWarnings = 10

// register makes the node a member, or refuses it and says why.
func (s *session) register(body []byte) error {
	r := s.r
	var req control.Register
	if err := s.conn.Decode(body, &req); err != nil {
		return err
	}
	r.mu.Lock()
	attached, left, id := s.attached, s.ended, s.member.ID
	r.mu.Unlock()
	switch {
	case attached:
		return s.refuse(control.CodeProtocol, "this connection has registered node %d already", id)
	case left:
		return s.refuse(control.CodeProtocol, "node %d has left over this connection: join again over a new one", id)
	}
	host, port, err := dial.SplitHostPort(req.Addr)
	if err != nil {
		return s.refuse(control.CodeProtocol, "%v: check WithListen and WithAdvertise", err)
	}
	if _, _, err := handshake.NetHostPort(s.remote); err != nil && !req.Other {
		return s.refuse(control.CodeHost, "the registry's transport reports your connection's origin as %v: set the address that peers can dial (WithAdvertise)", err)
	}
	req.Addr = net.JoinHostPort(host, port) // canonical from here on
	// The rest ends when the node hangs up, or takes too long.
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	ctx, stop := context.WithTimeoutCause(ctx, 2*r.cfg.Timeout, errTooManyDials)
	defer stop()
	defer s.conn.Watch(func() { cancel(errHungUp) })()
	if !req.Other && !sameHost(host, s.remote) {
		return s.refuse(control.CodeHost, "you advertise %s but connect from %s: if peers shall dial another address than the one you connect from, set it (WithAdvertise)", req.Addr, s.remote)
	}
	if err := cmp.Or(control.CheckInfo(req.Name, req.Tags, req.Services), control.CheckUses(req.Services, req.Uses), control.CheckKeys(req.Keys)); err != nil {
		return s.refuse(control.CodeProtocol, "%v: check what the node says of itself (WithName, WithTags, the names of its services)", err)
	}
	if !ring.Identity(req.Identity).Valid() {
		return s.refuse(control.CodeProtocol, "%.40q is not the identity of a ring", req.Identity)
	}
	switch tooLarge := req.ID > ring.Mask(r.cfg.Bits); {
	case tooLarge && req.Incarnation != 0: // no other answer lets it end its incarnation one day
		why := fmt.Sprintf("node %d is a member of a ring with larger IDs, this is a %d-bit ring", req.ID, r.cfg.Bits)
		return s.refuseOtherRing(req, why, why)
	case tooLarge && req.Want:
		return s.refuse(control.CodeProtocol, "there is no ID %d in a %d-bit ring", req.ID, r.cfg.Bits)
	}
	creds, refused, err := s.authorize(&req)
	if refused || err != nil {
		return err
	}
	if req.Incarnation == 0 {
		if refused, err := s.dialBack(ctx, req); refused || err != nil {
			return err
		}
	}
	refused, err = s.admitBy(ctx, req, creds, false)
	if errors.Is(err, membership.ErrElsewhere) { // it has moved, or claims to have
		if refused, err := s.dialBack(ctx, req); refused || err != nil {
			return err
		}
		refused, err = s.admitBy(ctx, req, creds, true)
	}
	switch {
	case refused:
		return err
	case err != nil:
		return s.notAdmitted(req, err)
	}
	r.mu.Lock()
	s.conn.SetLease(r.members.Timeout(s.member.Ref()))
	r.mu.Unlock()
	s.warnOfLoopbacks()
	return nil
}

// notAdmitted refuses the node for the membership's reason. Any other error ends the session.
func (s *session) notAdmitted(req control.Register, err error) error {
	r := s.r
	switch {
	case errors.Is(err, errHostFull):
		return s.refuse(control.CodeFull, "your host has %d members, and more than three quarters of the IDs of a ring are for no single host: start the registry with more bits (WithBits, or -bits)", mostOfHost(r.cfg.Bits))
	case errors.Is(err, ring.ErrFull):
		return s.refuse(control.CodeFull, "all %d IDs of the %d-bit ring are taken: start the registry with more bits (WithBits, or -bits)", len(r.Members()), r.cfg.Bits)
	case errors.Is(err, membership.ErrIDTaken):
		return s.refuse(control.CodeIDTaken, "ID %d is another node's", req.ID)
	case errors.Is(err, membership.ErrKeysFull):
		return s.refuse(control.CodeFull, "%v: it has %d", err, membership.MaxKeyServices)
	case errors.Is(err, membership.ErrNameTaken):
		return s.refuse(control.CodeNameTaken, "%v", err)
	case errors.Is(err, membership.ErrWait):
		return s.refuse(control.CodeWait, "%v: join again in a while", err)
	case errors.Is(err, membership.ErrOtherRing):
		return s.refuseOtherRing(req, err.Error(), fmt.Sprintf("it is a member of ring %s, this is ring %s", req.Identity, r.identity()))
	case errors.Is(err, membership.ErrEvicted) && err != membership.ErrEvicted:
		return s.refuse(control.CodeEvicted, "this incarnation of node %d is over: %v", req.ID, err)
	case errors.Is(err, membership.ErrEvicted):
		return s.refuse(control.CodeEvicted, "this incarnation of node %d is over: it was declared dead", req.ID)
	case errors.Is(err, membership.ErrNotYours):
		return s.refuse(control.CodeNotYours, "incarnation %d of node %d belongs to another process: join as a new node", req.Incarnation, req.ID)
	}
	return err
}

// warnOfLoopbacks logs the members that others cannot dial, now that this node is a member.
func (s *session) warnOfLoopbacks() {
	r := s.r
	r.mu.Lock()
	var local []status.Peer
	for _, ref := range s.loopback {
		if m, ok := r.members.Holder(ref.ID); ok && m.Incarnation == ref.Incarnation {
			local = append(local, peer(m))
		}
	}
	s.loopback = nil
	r.mu.Unlock()
	for _, p := range local[:min(len(local), maxLoopbackWarnings)] {
		r.cfg.Log.Warn("a node advertises a loopback address, which members on other machines cannot dial: let it join by another address of the registry's than localhost, or use WithAdvertise", "node", p)
	}
	if more := len(local) - maxLoopbackWarnings; more > 0 {
		r.cfg.Log.Warn("more nodes advertise loopback addresses", "nodes", more)
	}
}

// The causes of a registration's context.
var (
	errHungUp       = errors.New("the node hung up before it was answered")
	errTooManyDials = errors.New("too many others are being dialled")
)

// admit makes the node a member, or the member that it was. It waits while the registry cannot tell
// which IDs are free. verified says that the node was dialled at its address.
func (s *session) admit(ctx context.Context, req control.Register, creds credentials, verified bool) error {
	r := s.r
	var err error
	info, follows := ring.NewInfo(req.Name, req.Tags, req.Services), ring.NewInfo("", nil, req.Uses)
	waitErr := r.Await(ctx, func() bool {
		request := membership.Request{
			Addr: req.Addr, Token: req.Token, Traffic: req.Traffic, Want: req.Want, ID: req.ID, Seen: req.Seen, Info: info, Follows: follows, Verified: verified,
			Incarnation: req.Incarnation, Identity: ring.Identity(req.Identity), Epoch: req.Epoch, Size: control.Int(req.Size), Plan: req.Plan, Ready: req.Ready, Over: req.Over[:min(len(req.Over), control.MaxOver)], Pace: control.Int(req.Every), ListEpoch: req.ListEpoch, Confirms: req.Confirms, Leaving: req.Leaving, Keys: req.Keys,
			Recoveries: membership.Recoveries{Recovery: req.Recovery, ToldBy: req.ToldBy, BackWith: req.BackWith},
		}
		var m ring.Member
		if err = r.mayAdmit(req, creds); err != nil {
			return true
		}
		host := dial.Source(s.remote)
		if !r.hosts.admits(request.Ref(), host, r.cfg.Bits) {
			err = errHostFull
			return true
		}
		run, ok := r.latestRun(req)
		if !ok {
			err = membership.Overclaims("traffic run", req.Run)
			return true
		}
		if req.Incarnation != 0 {
			m, err = r.members.Resume(r.now(), request)
		} else {
			m, err = r.members.Admit(r.now(), r.wallNanos(), request)
		}
		if errors.Is(err, membership.ErrWait) {
			r.saveIfDue() // it may wait for that
			return !s.hold()
		}
		if err == nil {
			r.runs.skipTo(run)
			r.hosts.put(m.Ref(), host)
			err = s.attach(m, req.Run, creds)
		}
		r.wake()
		return true
	})
	r.mu.Lock()
	s.letGo()
	r.mu.Unlock()
	if waitErr != nil && err == nil {
		err = waitErr
	}
	return err
}

// attach makes the session that of a member. latestRun is the latest run that the member knows. The
// answer is queued before any message of the reconcile loop; if it cannot be sent, the session
// ends. It needs mu.
func (s *session) attach(m ring.Member, latestRun uint64, creds credentials) error {
	r := s.r
	if old := r.sessions[m.Ref()]; old != nil { // its connection has ended, which this registry has not noticed
		old.detach()
		r.wg.Go(old.conn.Close)
	}
	s.member, s.attached, s.since = m, true, time.Now()
	s.done = make(chan struct{})
	r.sessions[m.Ref()] = s
	s.loopback = r.loopbacks.put(m.Ref(), m.Addr)
	r.reports.begin(m.Ref(), r.members.Info(m.Ref()))
	r.others.drop(m.Addr)
	s.introduced()
	s.conn.Registered()
	registered := control.Registered{
		ID: m.ID, Incarnation: m.Incarnation, Members: int64(r.members.Len()), Bits: int64(r.cfg.Bits), MaxPayload: int64(r.cfg.MaxPayload),
		HopLimit: int64(r.hopLimit()), Lease: r.cfg.Lease.Milliseconds(), Epoch: r.members.Epoch(),
		Identity: string(r.members.Identity()), Unlists: true,
	}
	if len(r.members.Keys(m.Ref())) > 0 {
		registered.Notes, registered.Registry = true, r.members.Number()
	}
	if r.sec != nil {
		registered.Admission, registered.Time = r.issue(m, creds)
	}
	err := s.conn.Send(control.TypeRegistered, registered)
	if r.sec != nil && err == nil { // before any table
		err = s.conn.Send(control.TypeTrust, r.sec.trustMessage())
	}
	if u := r.runs.current; u != nil {
		u.memberRegistered(s, latestRun)
	}
	return err
}

// hopLimit returns more hops than any route can take. With tables of one entry, a message visits
// every node.
func (r *Registry) hopLimit() int {
	return int(min(ring.Mask(r.cfg.Bits), math.MaxUint16))
}

// sameHost reports whether an advertised host, in its canonical form, is the host of a connection.
// It looks up no names: a stranger must not make the registry ask for names of its choice. Only
// "localhost" is known to be this machine.
func sameHost(host string, remote net.Addr) bool {
	from, _, err := net.SplitHostPort(remote.String())
	if err != nil {
		return false
	}
	fromIP, err := netip.ParseAddr(from)
	if err != nil {
		return strings.EqualFold(host, from)
	}
	// A zone names an interface, and each machine has names of its own.
	fromIP = fromIP.Unmap().WithZone("")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.WithZone("") == fromIP
	}
	return fromIP.IsLoopback() && dial.IsLoopback(net.JoinHostPort(host, "1"))
}
