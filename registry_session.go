package ringdht

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// maxReport is the longest control frame that a registry takes from a node.
const maxReport = 1 << 20

// session is the conversation with one node, from its registration to its end.
type session struct {
	r      *Registry
	conn   *control.Conn
	remote net.Addr

	// owned by the session's goroutine
	left ring.Member // what it was, once it has deregistered

	member ring.Member // set under Registry.mu before the session is found in Registry.sessions
	in     bool        // under Registry.mu
	beat   control.Beat

	done chan struct{} // closed when it is no member any more; set with member
}

// run is the session's goroutine.
func (s *session) run() {
	defer s.conn.Free()
	s.conn.SetLease(s.r.cfg.handshake)
	err := s.converse()
	s.r.sessionEnded(s, err)
	s.conn.Close()
}

func (s *session) ended() <-chan struct{} { return s.done }

func (s *session) converse() error {
	for {
		t, body, err := s.conn.Recv()
		if err != nil {
			return err
		}
		switch t {
		case control.TypeRegister:
			err = s.register(body)
		case control.TypeDeregister:
			err = s.deregister(body)
		default:
			if !s.in {
				err = s.refuse(control.CodeNotMember, "register first")
			} else {
				err = s.r.report(s, t, body)
			}
		}
		if err != nil {
			return err
		}
	}
}

// errRefused ends a session whose node was told why.
var errRefused = errors.New("refused")

func (s *session) refuse(code control.Code, format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	s.r.cfg.log.Info("request refused", "from", s.remote, "reason", reason)
	if err := s.conn.Send(control.TypeRefused, control.Refused{Code: code, Reason: reason}); err != nil {
		return err
	}
	if s.in || s.left.Addr != "" {
		return nil // a member's mistake costs it nothing
	}
	s.conn.Shutdown(s.r.cfg.handshake)
	return errRefused
}

// register admits the node, or says why not.
func (s *session) register(body []byte) error {
	r := s.r
	var req control.Register
	if err := s.conn.Decode(body, &req); err != nil {
		return err
	}
	if s.in {
		return s.refuse(control.CodeProtocol, "this connection has registered node %d already", s.member.ID)
	}
	if s.left.Addr != "" {
		return s.refuse(control.CodeProtocol, "node %d has left over this connection: join again over a new one", s.left.ID)
	}
	host, port, err := net.SplitHostPort(req.Addr)
	if err != nil || host == "" || port == "" {
		return s.refuse(control.CodeProtocol, "the address %q is not host:port with both given", req.Addr)
	}
	if !req.Other && !sameHost(r.ctx, host, s.remote) {
		return s.refuse(control.CodeHost, "you advertise %s and connect from %s: if peers are to use another address than this one, say so with WithAdvertise", req.Addr, s.remote)
	}
	r.mu.Lock()
	taken, full := s.taken(req.Addr), r.full()
	r.mu.Unlock()
	if taken != "" {
		return s.refuse(control.CodeAddrTaken, "%s", taken)
	}
	if full != "" {
		return s.refuse(control.CodeFull, "%s", full)
	}
	if err := r.probe(req); err != nil {
		return s.refuse(control.CodeUnreachable, "the registry cannot reach you at %s (%v): check WithListen and WithAdvertise, and firewalls", req.Addr, err)
	}

	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return ErrClosed
	}
	// A life is a number no earlier life of any node has, also across restarts of
	// the registry: the time, made to grow.
	r.life = max(r.life+1, uint64(time.Now().UnixNano()))
	m, err := r.members.Add(req.Addr, r.life, req.Traffic, drawID)
	if err != nil { // somebody was faster
		taken, full := s.taken(req.Addr), r.full()
		r.mu.Unlock()
		if errors.Is(err, ring.ErrFull) {
			return s.refuse(control.CodeFull, "%s", full)
		}
		return s.refuse(control.CodeAddrTaken, "%s", taken)
	}
	s.member, s.in = m, true
	s.done = make(chan struct{})
	r.sessions[m.ID] = s
	count := r.members.Len()
	// The answer is queued under the lock, before any manifest can be. If it
	// cannot be delivered the session ends, and the membership with it.
	err = s.conn.Send(control.TypeRegistered, control.Registered{
		ID: m.ID, Life: m.Life, Members: count, Bits: r.cfg.bits, MaxPayload: r.cfg.maxPayload,
		HopLimit: r.hopLimit(), Lease: r.cfg.lease.Milliseconds(), Epoch: r.epoch,
	})
	r.change()
	r.mu.Unlock()
	s.conn.SetLease(r.cfg.lease)
	r.cfg.log.Info("node registered", "node", Peer{ID(m.ID), m.Addr}, "members", count)
	return err
}

// taken needs mu.
func (s *session) taken(addr string) string {
	id, ok := s.r.members.HolderOf(addr)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s is registered already, as node %d: a node joins once, and two nodes need two addresses", addr, id)
}

// full needs mu.
func (r *Registry) full() string {
	if uint64(r.members.Len()) <= ring.Mask(r.cfg.bits) {
		return ""
	}
	return fmt.Sprintf("all %d IDs of the %d-bit ring are taken: start the registry with more bits (WithBits, or -bits)", r.members.Len(), r.cfg.bits)
}

// hopLimit is more than any route can take: with tables of one entry, a message
// visits every node.
func (r *Registry) hopLimit() int {
	return int(min(ring.Mask(r.cfg.bits), math.MaxUint16))
}

func drawID(n uint64) uint64 {
	if n == 0 {
		return rand.Uint64()
	}
	return rand.Uint64N(n)
}

// probe dials the advertised address, and makes sure that the node that answers
// is the one that asks.
func (r *Registry) probe(req control.Register) error {
	conn, answer, err := r.cfg.dial(r.ctx, req.Addr, wire.Hello{Role: wire.RoleProbe})
	if err != nil {
		return err
	}
	conn.Close()
	if answer.Token != req.Token {
		return errors.New("another node answers there")
	}
	return nil
}

// sameHost says whether an advertised host is where a connection comes from. A
// name is looked up, if the connection is from an IP address.
func sameHost(ctx context.Context, host string, remote net.Addr) bool {
	from, _, err := net.SplitHostPort(remote.String())
	if err != nil {
		return false
	}
	if host == from {
		return true
	}
	fromIP := net.ParseIP(from)
	if fromIP == nil {
		return false
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip.Equal(fromIP)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if a.IP.Equal(fromIP) {
			return true
		}
	}
	return false
}

// deregister lets a node go, if it is the one that asks.
func (s *session) deregister(body []byte) error {
	r := s.r
	var req control.Deregister
	if err := s.conn.Decode(body, &req); err != nil {
		return err
	}
	r.mu.Lock()
	m, known := r.members.Get(req.ID)
	mine := s.in && s.member.ID == req.ID && s.member.Addr == req.Addr
	if mine {
		r.remove(s, "left")
		s.left = m
		err := s.conn.Send(control.TypeDeregistered, control.Deregistered{ID: req.ID})
		r.mu.Unlock()
		return err
	}
	r.mu.Unlock()
	switch {
	case s.left.Addr != "" && s.left.ID == req.ID && s.left.Addr == req.Addr:
		return s.refuse(control.CodeNotMember, "node %d (%s) has deregistered already", req.ID, req.Addr)
	case !known:
		return s.refuse(control.CodeNotMember, "no node %d is registered", req.ID)
	case m.Addr != req.Addr:
		return s.refuse(control.CodeNotYours, "node %d is registered at %s, not at %s", req.ID, m.Addr, req.Addr)
	default:
		return s.refuse(control.CodeNotYours, "node %d registered over another connection: only that one can deregister it, not one from %s", req.ID, s.remote)
	}
}

// remove takes a member out; it needs mu.
func (r *Registry) remove(s *session, why string) {
	s.in = false
	close(s.done)
	m := s.member
	r.members.Remove(m.ID)
	delete(r.sessions, m.ID)
	if r.overlay != nil {
		r.overlay.lose(m, why)
	}
	if r.run != nil {
		r.run.lose(m, why)
	}
	r.change()
	r.cfg.log.Info("node gone", "node", Peer{ID(m.ID), m.Addr}, "why", why, "members", r.members.Len())
}

// sessionEnded takes a node whose connection has ended out of the ring.
func (r *Registry) sessionEnded(s *session, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.in {
		r.remove(s, fmt.Sprintf("connection lost: %v", err))
	} else if s.left.Addr == "" && !errors.Is(err, errRefused) && r.ctx.Err() == nil {
		r.cfg.log.Warn("connection ended before registration", "from", s.remote, "err", err)
	}
}

// report takes a member's message to whom it concerns.
func (r *Registry) report(s *session, t wire.Type, body []byte) error {
	switch t {
	case control.TypeBeat:
		var b control.Beat
		if err := s.conn.Decode(body, &b); err != nil {
			return err
		}
		r.mu.Lock()
		s.beat = b
		r.mu.Unlock()
		return s.conn.Send(control.TypeBeatAnswer, control.BeatAnswer{})
	case control.TypeLinked:
		var l control.Linked
		if err := s.conn.Decode(body, &l); err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if o := r.overlay; o != nil && o.epoch == l.Epoch {
			o.linked(s.member, l.Error)
			r.change()
		}
	case control.TypeTraced:
		var told control.Traced
		if err := s.conn.Decode(body, &told); err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if answer := r.traces[told.Ask]; answer != nil {
			delete(r.traces, told.Ask)
			answer <- told
		}
	case control.TypeFinished, control.TypeSummary, control.TypePairs:
		return r.reportRun(s, t, body)
	default:
		return fmt.Errorf("a message of unknown type %d", t)
	}
	return nil
}
