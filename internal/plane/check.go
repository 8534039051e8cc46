package plane

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/wire"
)

// probe is what is known of whether the other end of a link is still there. A
// connection to a machine that lost its power, or its network, stays up for minutes:
// frames go into it and nothing comes of them.
type probe struct {
	mu       sync.Mutex
	nonce    uint64    // of the question that is not answered; 0: there is none
	mark     int64     // where the head of the writer's queue is when the question leaves
	asked    int64     // all the writer had been given when it was asked
	left     time.Time // when it had left; zero: it waits in the queue
	answered int64     // asked, of the latest question that was answered
	written  int64     // at the last look
	moved    time.Time // when that had changed, or there was nothing to write
}

// CheckLinks looks after the links that carry traffic: it asks those that have sent
// anything since their last answer to answer, and ends those that did not answer, or
// moved no byte though they had some queued, for as long as limit. The caller, one
// goroutine, calls it every quarter of limit or so. An idle link costs nothing.
func (p *Plane) CheckLinks(limit time.Duration) {
	now := time.Now()
	// If this very process was stopped then the answers may lie unread: nobody is to
	// blame for what was not done meanwhile.
	anew := now.Sub(p.checked) > limit
	p.checked = now
	p.mu.RLock()
	links := make([]*outLink, 0, len(p.links))
	for _, l := range p.links {
		links = append(links, l)
	}
	p.mu.RUnlock()
	for _, l := range links {
		if err := l.check(now, limit, anew); err != nil {
			p.mu.Lock()
			p.silent[l.id] = l.life
			p.mu.Unlock()
			p.hangUp(l.line, err)
		}
	}
}

// check asks the other end if it is time to, and says why the link should end.
func (l *outLink) check(now time.Time, limit time.Duration, anew bool) error {
	pr := &l.probe
	pr.mu.Lock()
	defer pr.mu.Unlock()
	is := l.Progress()
	if anew || is.Queued == 0 || is.Written != pr.written || pr.moved.IsZero() {
		pr.written, pr.moved = is.Written, now
	}
	if now.Sub(pr.moved) >= limit {
		return fmt.Errorf("nothing could be sent for %v", limit)
	}
	switch {
	case pr.nonce == 0:
		if is.Total > pr.answered {
			pr.ask(l, is.Total)
		}
	case is.Started < pr.mark: // under overload it may wait long
	case anew || pr.left.IsZero():
		pr.left = now
	case now.Sub(pr.left) >= limit:
		return fmt.Errorf("no answer for %v", limit)
	}
	return nil
}

// ask needs mu. Where the question finds no room the next look tries again.
func (pr *probe) ask(l *outLink, total int64) {
	nonce := 1 + rand.Uint64N(1<<63)
	ping := wire.Append(nil, wire.Header{Type: wire.Ping, Seq: nonce}, nil)
	if mark, err := l.AppendMarked(ping); err == nil {
		pr.nonce, pr.mark, pr.asked, pr.left = nonce, mark, total+int64(len(ping)), time.Time{}
	}
}

// hear takes an answer, and says whether it was asked for.
func (pr *probe) hear(nonce uint64) bool {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.nonce == 0 || pr.nonce != nonce {
		return false
	}
	pr.nonce, pr.answered = 0, pr.asked
	return true
}

// answerPing answers before anything else that is to be written. There is at most one
// question at a time, so if answers pile up then the peer asks what it does not want
// to know.
func (l *line) answerPing(nonce uint64) error {
	l.p.mu.Lock()
	out := l.writer()
	l.p.mu.Unlock()
	err := out.Urgent(urgent(wire.Pong, nonce))
	if errors.Is(err, link.ErrFull) {
		return fmt.Errorf("%w here: one ping after the other, and none was answered yet", wire.ErrType)
	}
	return err
}
