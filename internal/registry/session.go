package registry

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// session is the connection of one node, and the member that it registered as.
type session struct {
	r      *Registry
	conn   *control.Conn
	remote net.Addr
	proof  secure.Proof // of the node's key; zero in an open ring
	heard  func()       // says that it has registered, or tried to
	// introduced gives back the place of a connection that has not registered. It may be called again.
	introduced func()

	notes map[string]*noteReader // guarded by keys.mu: by service

	// guarded by Registry.mu
	since          time.Time   // when it was attached
	held           bool        // it waits for its answer, see hold
	endedAt        time.Time   // when something came after its membership had ended
	member         ring.Member // set when it registers
	attached       bool        // in Registry.sessions
	ended          bool        // it was a member, and is one no longer
	lastWord       membership.LastHeard
	sent, received int64      // in the current run, by the latest heartbeat
	loopback       []ring.Ref // members to warn of, now that this node is a member

	done chan struct{} // closed when detached; set with member
}

// run is the goroutine of the session.
func (s *session) run() {
	defer s.conn.Free()
	defer s.introduced()
	s.conn.SetLease(s.r.cfg.Timeout)
	err := s.receiveLoop()
	s.conn.Accuse(err)
	s.r.sessionEnded(s, err)
	s.conn.Close()
	s.r.keys.forget(s)
}

// receiveLoop handles messages until the connection ends, or the node is silent for too long.
func (s *session) receiveLoop() error {
	for {
		t, body, err := s.conn.Recv()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if left := s.remainingSilence(); left > 0 { // this process was late, not the node
				s.conn.SetLease(left)
				continue
			}
		}
		if err != nil {
			return err
		}
		registered := s.noteArrival()
		if s.lingers() {
			return errLingers
		}
		switch t {
		case control.TypeRegister:
			s.heard()
			// On a goroutine of its own: the stack that it grows would stay with the session.
			done := make(chan error, 1)
			s.r.wg.Go(func() { done <- s.register(body) })
			err = <-done
		case control.TypeDeregister:
			if !registered && s.r.sec != nil { // the answers name members
				err = s.refuse(control.CodeNotMember, "register first")
			} else {
				err = s.deregister(body)
			}
		default:
			if !registered {
				err = s.refuse(control.CodeNotMember, "register first")
			} else {
				err = s.r.handleReport(s, t, body)
			}
		}
		if err != nil {
			return err
		}
	}
}

// hasRegistered is also true of a node that has left: it does no harm.
func (s *session) hasRegistered() bool {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	return s.attached || s.ended
}

// errRefused ends a session whose node was told the reason.
var errRefused = errors.New("refused")

// refuse tells the node why its request is refused. A member stays connected: its mistake costs it
// nothing. Any other session ends.
func (s *session) refuse(code control.Code, format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	if code != control.CodeOtherRing { // that has a warning
		s.r.cfg.InfoOften(fmt.Sprint(code), "request refused", "from", s.remote, "reason", reason)
	}
	if err := s.conn.Send(control.TypeRefused, control.Refused{Code: code, Reason: reason}); err != nil {
		return err
	}
	if s.hasRegistered() {
		return nil
	}
	s.conn.Shutdown(s.r.cfg.Timeout)
	return errRefused
}

// detach takes the session out of Registry.sessions. It needs mu.
func (s *session) detach() {
	if s.attached {
		s.attached = false
		delete(s.r.sessions, s.member.Ref())
		close(s.done)
	}
}

// deregister begins a member's leaving, if the request comes over the member's own connection.
func (s *session) deregister(body []byte) error {
	r := s.r
	var req control.Deregister
	if err := s.conn.Decode(body, &req); err != nil {
		return err
	}
	if addr, err := dial.HostPort(req.Addr); err == nil {
		req.Addr = addr
	} else { // it is no member's address
		req.Addr = handshake.Quote(req.Addr)
	}
	r.mu.Lock()
	m, known := r.members.Holder(req.ID)
	same := s.member.ID == req.ID && s.member.Addr == req.Addr
	own, ended := same && s.attached, same && s.ended
	if own && r.members.Leave(r.now(), s.member.Ref()) {
		r.wake()
	} else if own { // its end is not applied yet, and m may be a later incarnation
		own, ended = false, true
	}
	r.mu.Unlock()
	switch {
	case own:
		return nil // the answer comes when all members have taken it out of their tables
	case ended:
		return s.refuse(control.CodeNotMember, "node %d (%s) has left the ring already, or was declared dead", req.ID, req.Addr)
	case !known:
		return s.refuse(control.CodeNotMember, "no node %d is registered", req.ID)
	case m.Addr != req.Addr:
		return s.refuse(control.CodeNotYours, "node %d is registered at %s, not at %s", req.ID, m.Addr, req.Addr)
	default:
		return s.refuse(control.CodeNotYours, "node %d registered over another connection: only that one can deregister it, not one from %s", req.ID, s.remote)
	}
}

// sessionEnded tells the membership how a member's connection ended.
func (r *Registry) sessionEnded(s *session, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case s.attached && r.closed: // the registry has hung up, which says nothing about the member
		s.detach()
	case s.attached:
		ref := s.member.Ref()
		if handshake.IsProtocolError(err) {
			r.cfg.WarnOften(handshake.ReasonOf(err), "a member's connection ended for a violation", "node", peer(s.member), "from", s.remote, "err", err)
		}
		s.detach()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			r.members.Silent(r.now(), ref)
		} else {
			r.members.Disconnected(r.now(), ref, fmt.Sprintf("connection lost: %v", handshake.Quoted(err)))
		}
		r.wake()
	case !s.ended && s.done == nil && !errors.Is(err, errRefused) && r.ctx.Err() == nil:
		r.cfg.WarnOften(handshake.ReasonOf(err), "connection ended before registration", "from", s.remote, "err", handshake.Quoted(err))
	}
}

// handleReport handles a message of a member.
func (r *Registry) handleReport(s *session, t wire.Type, body []byte) error {
	switch t {
	case control.TypeBeat:
		var b control.Beat
		if err := s.conn.Decode(body, &b); err != nil {
			return err
		}
		return r.handleHeartbeat(s, b)
	case control.TypeLinked:
		var l control.Linked
		if err := s.conn.Decode(body, &l); err != nil {
			return err
		}
		if l.Error != "" {
			r.cfg.InfoOften(fmt.Sprint(s.member.ID), "links missing", "node", peer(s.member), "epoch", l.Epoch, "err", handshake.Quote(l.Error))
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.members.Linked(s.member.Ref(), l.Epoch)
		r.wake()
	case control.TypeTrouble:
		var trouble control.Trouble
		if err := s.conn.Decode(body, &trouble); err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.members.Trouble(r.now(), s.member.Ref(), ring.Ref{ID: trouble.ID, Incarnation: trouble.Incarnation}, handshake.Quote(trouble.Error))
		r.wake()
	case control.TypeStuck:
		var stuck control.Stuck
		if err := s.conn.Decode(body, &stuck); err != nil {
			return err
		}
		stuck.Answered = stuck.Answered[:min(len(stuck.Answered), control.MaxStuckHops)]
		stuck.Silent = min(max(0, stuck.Silent), math.MaxInt32)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.members.Stuck(r.now(), s.member.Ref(), stuck)
		r.wake()
	case control.TypeLookup:
		return s.lookup(body)
	case control.TypeFollow:
		return s.follow(body)
	case control.TypeListed:
		var l control.Listed
		if err := s.conn.Decode(body, &l); err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.members.Listed(s.member.Ref(), l.ListEpoch)
		r.wake()
	case control.TypeLeaving:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.members.Unlist(s.member.Ref())
		r.wake()
	case control.TypeNote:
		return r.handleNote(s, body)
	case control.TypeTraced:
		var traced control.Traced
		if err := s.conn.Decode(body, &traced); err != nil {
			return err
		}
		traced.Error = handshake.Quote(traced.Error)
		traced.Hops = traced.Hops[:min(len(traced.Hops), maxTracedHops)]
		r.traces.deliver(s, traced)
	case control.TypeFinished, control.TypeSummary, control.TypePairs:
		return r.reportRun(s, t, body)
	case control.TypeViolation:
		return s.conn.Accused(body)
	default:
		if !t.Extension() {
			return control.Unexpected(t)
		}
		r.cfg.WarnOften("unknown type", "ignored a message of a later type", "from", s.remote, "node", peer(s.member), "type", t)
	}
	return nil
}

// handleHeartbeat keeps what a heartbeat reports and answers it.
func (r *Registry) handleHeartbeat(s *session, b control.Beat) error {
	var reported *status.Node
	if len(b.Status) > 0 {
		reported = control.Unpack(peer(s.member), s.member.Incarnation, b.Status[0])
	}
	ref := s.member.Ref()
	r.mu.Lock()
	s.sent, s.received = max(0, b.Sent), max(0, b.Received)
	if s.attached { // else it has left, or is back over another connection
		if reported != nil {
			reported.Keys = r.ownKeys(ref, reported.Keys)
		}
		now := time.Now()
		r.history.advance(now, r.members.Len())
		since, grown := r.reports.update(now, ref, reported)
		r.history.spread(since, now, grown)
	}
	r.noteFigures(s)
	interval := r.members.Heartbeat(ref, control.Int(b.Every))
	r.members.RanLate(ref, time.Duration(min(max(0, b.Late), handshake.MaxLease.Milliseconds()))*time.Millisecond)
	patience := r.members.Timeout(ref)
	answer, err := r.reports.answerFor(interval, r.cfg.Codec)
	attached := s.attached
	r.mu.Unlock()
	if err != nil {
		return err
	}
	if !attached { // the answer would say that it is a member
		return nil
	}
	s.conn.SetLease(patience) // before the node may rely on it
	if err := s.conn.PassNow(answer); err != nil {
		return err
	}
	r.renewIfDue(s)
	return nil
}

// noteArrival notes when the node last sent something. It reports whether the node is a member or
// was one.
func (s *session) noteArrival() (registered bool) {
	r := s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accountForStalls()
	s.lastWord = r.members.HeardNow(r.now())
	return s.attached || s.ended
}

// remainingSilence returns how much longer the node may be silent, or 0 if it is dead.
func (s *session) remainingSilence() time.Duration {
	r := s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if !s.attached {
		return 0
	}
	r.accountForStalls()
	left := r.members.TimeLeft(r.now(), s.member.Ref(), s.lastWord)
	if left > 0 {
		left = max(left, r.cfg.Lease/64) // so as not to ask again at once
	}
	return left
}
