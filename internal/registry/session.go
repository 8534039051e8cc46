package registry

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// maxReport is the longest control frame that a registry takes from a node.
const maxReport = 2 << 20

// session is a connection to one node, and what is known of who is at its other end.
type session struct {
	r      *Registry
	conn   *control.Conn
	remote net.Addr

	// under Registry.mu
	member         ring.Member // once it has registered
	attached       bool        // found in Registry.sessions
	left           bool        // it was a member, and is none any more
	lastWord       membership.LastHeard
	sent, received int64      // in the run under way, as the latest heartbeat says
	loopback       []ring.Ref // members to warn of, now that this one is there

	done chan struct{} // closed when it is not in any more; set with member
}

// run is the session's goroutine.
func (s *session) run() {
	defer s.conn.Free()
	s.conn.SetLease(s.r.cfg.Timeout)
	err := s.receiveLoop()
	s.r.sessionEnded(s, err)
	s.conn.Close()
}

func (s *session) receiveLoop() error {
	for {
		t, body, err := s.conn.Recv()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if left := s.remainingSilence(); left > 0 { // it was not the node that was late
				s.conn.SetLease(left)
				continue
			}
		}
		if err != nil {
			return err
		}
		registered := s.noteArrival()
		switch t {
		case control.TypeRegister:
			err = s.register(body)
		case control.TypeDeregister:
			err = s.deregister(body)
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

// registered is also true of a member that has left: it does no harm.
func (s *session) hasRegistered() bool {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	return s.attached || s.left
}

// errRefused ends a session whose node was told why.
var errRefused = errors.New("refused")

func (s *session) refuse(code control.Code, format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	s.r.cfg.Log.Info("request refused", "from", s.remote, "reason", reason)
	if err := s.conn.Send(control.TypeRefused, control.Refused{Code: code, Reason: reason}); err != nil {
		return err
	}
	if s.hasRegistered() {
		return nil // a member's mistake costs it nothing
	}
	s.conn.Shutdown(s.r.cfg.Timeout)
	return errRefused
}

// unregister takes the session out; it needs mu.
func (s *session) detach() {
	if s.attached {
		s.attached = false
		delete(s.r.sessions, s.member.Ref())
		close(s.done)
	}
}

// deregister begins to let a node go, if it is the one that asks.
func (s *session) deregister(body []byte) error {
	r := s.r
	var req control.Deregister
	if err := s.conn.Decode(body, &req); err != nil {
		return err
	}
	if addr, err := dial.HostPort(req.Addr); err == nil { // else it is no member's
		req.Addr = addr
	}
	r.mu.Lock()
	m, known := r.members.Holder(req.ID)
	same := s.member.ID == req.ID && s.member.Addr == req.Addr
	own, left := same && s.attached, same && s.left
	if own {
		r.members.Leave(r.now(), s.member.Ref()) // m may be a later life, if this one's end is still to be told
		r.wake()
	}
	r.mu.Unlock()
	switch {
	case own:
		return nil // the answer comes when everybody has let go of it
	case left:
		return s.refuse(control.CodeNotMember, "node %d (%s) has deregistered already", req.ID, req.Addr)
	case !known:
		return s.refuse(control.CodeNotMember, "no node %d is registered", req.ID)
	case m.Addr != req.Addr:
		return s.refuse(control.CodeNotYours, "node %d is registered at %s, not at %s", req.ID, m.Addr, req.Addr)
	default:
		return s.refuse(control.CodeNotYours, "node %d registered over another connection: only that one can deregister it, not one from %s", req.ID, s.remote)
	}
}

// sessionEnded takes note that a node's connection has ended.
func (r *Registry) sessionEnded(s *session, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case s.attached && r.closed: // it is the registry that has hung up, which says nothing of the member
		s.detach()
	case s.attached:
		ref := s.member.Ref()
		s.detach()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			r.members.Silent(r.now(), ref)
		} else {
			r.members.Disconnected(r.now(), ref, fmt.Sprintf("connection lost: %v", err))
		}
		r.wake()
	case !s.left && s.done == nil && !errors.Is(err, errRefused) && r.ctx.Err() == nil:
		r.cfg.WarnOften(handshake.ReasonOf(err), "connection ended before registration", "from", s.remote, "err", err)
	}
}

// report takes a member's message to whom it concerns.
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
			r.cfg.Log.Info("links missing", "node", peer(s.member), "epoch", l.Epoch, "err", handshake.Brief(l.Error))
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.members.Linked(s.member.Ref(), l.Epoch)
		r.wake()
	case control.TypeTrouble:
		var told control.Trouble
		if err := s.conn.Decode(body, &told); err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.members.Trouble(r.now(), s.member.Ref(), ring.Ref{ID: told.ID, Incarnation: told.Incarnation}, handshake.Brief(told.Error))
		r.wake()
	case control.TypeTraced:
		var told control.Traced
		if err := s.conn.Decode(body, &told); err != nil {
			return err
		}
		r.traces.deliver(s, told)
	case control.TypeFinished, control.TypeSummary, control.TypePairs:
		return r.reportRun(s, t, body)
	default:
		return fmt.Errorf("a message of unknown type %d", t)
	}
	return nil
}

// heard takes a heartbeat and answers it.
func (r *Registry) handleHeartbeat(s *session, b control.Beat) error {
	var reported *status.Node
	if len(b.Status) > 0 {
		reported = control.Unpack(peer(s.member), s.member.Incarnation, b.Status[0])
	}
	ref := s.member.Ref()
	r.mu.Lock()
	s.sent, s.received = max(0, b.Sent), max(0, b.Received)
	if s.attached { // else it has left, or has come back over another connection
		r.reports.update(ref, reported)
	}
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
	return s.conn.PassNow(answer)
}

// heard takes note that something has come from the node, and says whether it is, or was, a
// member.
func (s *session) noteArrival() (registered bool) {
	r := s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accountForStalls()
	s.lastWord = r.members.HeardNow(r.now())
	return s.attached || s.left // what has left does no harm
}

// remaining is how much longer the node may be silent, 0 if it must be given up.
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
		left = max(left, r.cfg.Lease/64) // not again at once
	}
	return left
}
