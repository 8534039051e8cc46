package peers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/wire"
)

// probe is what is known about the other end of a link. A connection to a machine without power
// or network stays up for minutes: frames go into it and are lost.
type probe struct {
	mu           sync.Mutex
	nonce        uint64    // of the ping that is not answered; 0: there is none
	mark         int64     // position of the writer's head when the ping leaves
	asked        int64     // all that the writer had been given with the ping
	leftAt       time.Time // when the ping had left; zero: it waits in the queue
	answered     int64     // asked, of the latest ping that was answered
	written      int64     // bytes, at the last check
	heard        int64     // bytes from the peer, at the last check
	progressedAt time.Time // when written changed last, or there was nothing to write
}

// Unanswered reports whether the latest link to this incarnation of a node ended because it did not
// answer, see [Set.CheckLinks], and no link has replaced it.
func (s *Set) Unanswered(id, inc uint64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.unanswered[id] == inc && inc != 0
}

// CheckLinks checks the links that carry traffic. It pings those that have sent anything since
// their last answer. It ends those that did not answer for as long as limit, or that had frames
// queued and wrote nothing for as long. On a shared connection bytes from the peer count as an
// answer: the answer itself cannot overtake a long frame on a slow network. Where one direction is
// broken, the side that hears nothing ends the link.
//
// It reports whether any link waits for an answer or has frames queued. One goroutine calls it: then
// about every quarter of limit, else every half. An idle link costs nothing.
func (s *Set) CheckLinks(limit time.Duration) (busy bool) {
	now := time.Now()
	// If this process itself was suspended, answers may lie unread. No peer is to blame for that
	// time.
	anew := now.Sub(s.lastCheck) > limit
	s.lastCheck = now
	for _, l := range s.Links() {
		waits, err := l.checkAlive(now, limit, anew)
		busy = busy || waits
		if err != nil {
			s.noteUnanswered(l)
			s.endConn(l.conn, err)
		}
	}
	return busy
}

// noteUnanswered notes that a link ends because it did not answer, unless another has replaced it
// or it has ended meanwhile.
func (s *Set) noteUnanswered(l *Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.links[l.conn.peer.ID] == l {
		s.unanswered[l.conn.peer.ID] = l.conn.peer.Incarnation
	}
}

// heard is how many bytes have come from a peer that shares the connection.
func (c *Conn) heard() (bytes int64) {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	if c.in != nil {
		bytes, _ = c.in.Stats()
	}
	return bytes
}

// checkAlive pings the other end if it is time to. It reports whether the link waits for
// anything, and why it should end.
func (l *Link) checkAlive(now time.Time, limit time.Duration, anew bool) (waits bool, err error) {
	heard := l.conn.heard()
	pr := &l.probe
	pr.mu.Lock()
	defer pr.mu.Unlock()
	is := l.Progress()
	hears := heard != pr.heard
	pr.heard = heard
	if anew || is.Queued == 0 || is.Written != pr.written || pr.progressedAt.IsZero() {
		pr.written, pr.progressedAt = is.Written, now
	}
	if now.Sub(pr.progressedAt) >= limit {
		return false, fmt.Errorf("nothing could be sent for %v", limit)
	}
	switch {
	case pr.nonce == 0:
		if is.Total > pr.answered {
			pr.ask(l, is.Total)
			if is.Queued == 0 { // nothing is ahead of it
				pr.leftAt = now
			}
		}
	case is.Done < pr.mark: // under overload it may wait long
		pr.leftAt = time.Time{}
	case anew || hears || pr.leftAt.IsZero():
		pr.leftAt = now
	case now.Sub(pr.leftAt) >= limit:
		return false, fmt.Errorf("no answer for %v", limit)
	}
	return pr.nonce != 0 || is.Queued > 0, nil
}

// ask needs mu. If the ping finds no room, the next check tries again.
func (pr *probe) ask(l *Link, total int64) {
	nonce := 1 + rand.Uint64N(1<<63)
	ping := connFrame(wire.Ping, nonce)
	if mark, err := l.AppendMarked(ping); err == nil {
		pr.nonce, pr.mark, pr.asked, pr.leftAt = nonce, mark, total+int64(len(ping)), time.Time{}
	}
}

// confirm takes an answer, and reports whether it was asked for.
func (pr *probe) confirm(nonce uint64) bool {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.nonce == 0 || pr.nonce != nonce {
		return false
	}
	pr.nonce, pr.answered = 0, pr.asked
	return true
}

// answerPing answers ahead of everything else that is to be written. There is at most one ping at
// a time, so a peer whose pings pile up does not want the answers.
func (c *Conn) answerPing(nonce uint64) error {
	c.s.mu.Lock()
	out := c.ensureWriter()
	c.s.mu.Unlock()
	err := out.Urgent(connFrame(wire.Pong, nonce))
	if errors.Is(err, link.ErrFull) {
		return fmt.Errorf("%w: they come faster than the answers can be written", wire.ErrPing)
	}
	return err
}
