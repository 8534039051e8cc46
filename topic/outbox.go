package topic

import (
	"errors"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/topic/internal/broadcast"
)

const (
	maxRelayed = 4 << 20  // bytes of messages of others in an outbox
	maxTaken   = 64       // frames that one SendBatch gets
	takenBytes = 64 << 10 // of them, or one frame
	minBackoff = 20 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// outbox has the frames for one member, in order. Its goroutine sends them, and exists only while there
// are any. So what the core decides waits for no window, and one member that takes nothing holds up no
// other.
//
//	empty ─ frame ─▶ sending ─ all accepted ─▶ empty, forgotten
//	                   │ ▲
//	                   │ └─ after a while, or when the member's end is told
//	                   └─ member gone, or refuses, or frames came back ─▶ waiting
//
// The hub's mu guards it. Questions, answers and the node's own messages are never dropped: the core
// bounds them. Of messages of others at most maxRelayed wait. Beyond it they are dropped, and a message
// that is a question as well goes on as a question. The next question about that publisher finds
// what is missing. What a member asks its publisher for again waits once, however often it is asked for.
type outbox struct {
	to      uint64
	queue   []item
	relayed int            // bytes of queue that may be dropped
	again   map[again]bool // those of queue
	asked   *ask           // the latest question for what is retained, while an answer is in queue
	sending bool           // there is a goroutine
	pause   time.Duration  // before the next frame
	wake    chan struct{}  // of one slot: the member's end was told
}

// trouble is a stream to a member that has left frames. A member that has ended, of which the list does
// not say so yet, gives each frame back at once.
type trouble struct {
	at    time.Time
	pause time.Duration
}

// item is an encoded frame.
type item struct {
	life    uint64 // the receiver's incarnation when it was sent
	relayed bool
	again   again // zero: none
	b       []byte
}

// again is what a member has asked for: a message of this node by its number, the first number that the
// core has, or any page of what is retained.
type again struct {
	kind         broadcast.Kind
	number, life uint64
}

// Send is [broadcast.Output]. It needs mu.
func (l *life) Send(to uint64, f broadcast.Frame) {
	o := l.outbox(to)
	var a again
	if f.Origin == l.self && f.Limit == to && f.Tag == 0 { // for this member alone
		if a = (again{f.Kind, f.Number, l.h.roll.told[to]}); f.Kind == broadcast.Sync {
			a.number = f.Lo
		}
		if o.again[a] {
			return // it comes
		}
	}
	relayed := f.Kind == broadcast.Data && f.Origin != l.self
	if relayed && o.relayed+len(f.Body) > maxRelayed {
		l.h.counted.Dropped++
		if f.Tag == 0 {
			return
		}
		f.Kind, f.Body, relayed = broadcast.Sync, nil, false
	}
	if f.Kind == broadcast.Data {
		l.h.counted.Sent++
	}
	l.put(o, item{relayed: relayed, again: a, b: f.Append(make([]byte, 0, broadcast.MaxHeader/2+len(f.Body)))})
}

// outbox returns the one for a member. It needs mu.
func (l *life) outbox(to uint64) *outbox {
	o := l.outboxes[to]
	if o == nil {
		o = &outbox{to: to, again: make(map[again]bool), wake: make(chan struct{}, 1)}
		l.outboxes[to] = o
	}
	return o
}

// put needs mu.
func (l *life) put(o *outbox, it item) {
	if !o.sending {
		o.sending = true
		go l.deliverFrom(o)
	}
	it.life = l.h.roll.told[o.to]
	o.queue = append(o.queue, it)
	if it.relayed {
		o.relayed += len(it.b)
	}
	if it.again != (again{}) {
		o.again[it.again] = true
	}
}

// deliverFrom sends what an outbox has, until it has nothing.
func (l *life) deliverFrom(o *outbox) {
	backoff := minBackoff
	for {
		batch, pause := l.peek(o)
		switch {
		case pause > 0:
			l.wait(o, pause)
			continue
		case len(batch) == 0:
			return
		}
		accepted, err := l.h.service.SendBatch(l.ctx, ringdht.ID(o.to), batch)
		switch {
		case errors.Is(err, ringdht.ErrTooLarge):
			accepted++ // of a member with longer messages than the ring has
		case errors.Is(err, ringdht.ErrClosed), errors.Is(err, ringdht.ErrNotMember), errors.Is(err, ringdht.ErrEvicted):
			l.cancel()
		}
		l.accepted(o, accepted, err)
		if err == nil || accepted > 0 {
			backoff = minBackoff
			continue
		}
		l.wait(o, backoff)
		backoff = min(2*backoff, maxBackoff)
	}
}

func (l *life) wait(o *outbox, d time.Duration) {
	select {
	case <-time.After(d):
	case <-o.wake:
	case <-l.ctx.Done():
	}
}

// isGone reports whether an error of Send says that the sink's incarnation is over, or about to be.
func isGone(err error) bool {
	return errors.Is(err, ringdht.ErrNoSuchNode) || errors.Is(err, ringdht.ErrGone) || errors.Is(err, ringdht.ErrNoService)
}

// peek returns the next frames, none if the life has ended; or how long to wait before.
func (l *life) peek(o *outbox) (batch [][]byte, pause time.Duration) {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	if l.ctx.Err() != nil || l.h.n.Incarnation() != l.self.Incarnation {
		o.queue, o.relayed = nil, 0
		clear(o.again)
	}
	if pause, o.pause = o.pause, 0; pause > 0 && len(o.queue) > 0 {
		return nil, pause
	}
	bytes := 0
	for _, it := range o.queue[:min(len(o.queue), maxTaken)] {
		if bytes += len(it.b); bytes > takenBytes && len(batch) > 0 {
			break
		}
		batch = append(batch, it.b)
	}
	if len(batch) == 0 { // and another goroutine follows when there is more
		delete(l.outboxes, o.to)
	}
	return batch, 0
}

// hasEnded reports whether an error of Send, or of a stream, says that the sink has ended in good order.
func hasEnded(err error) bool {
	return errors.Is(err, ringdht.ErrNoSuchNode) || errors.Is(err, ringdht.ErrLeft)
}

// accepted removes frames that are on their way. If the member's incarnation may be over, those for
// an incarnation that is not on the list go too: the core asks others instead.
func (l *life) accepted(o *outbox, frames int, err error) {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	for i, it := range o.queue[:min(frames, len(o.queue))] {
		o.drop(it)
		o.queue[i] = item{}
	}
	o.queue = o.queue[min(frames, len(o.queue)):]
	if isGone(err) {
		l.dropStale(o, hasEnded(err))
	}
	if a := o.asked; a != nil {
		o.asked = nil
		l.sendPage(o.to, *a)
	}
}

func (o *outbox) drop(it item) {
	if it.relayed {
		o.relayed -= len(it.b)
	}
	delete(o.again, it.again)
}

// dropStale needs mu.
func (l *life) dropStale(o *outbox, ended bool) {
	now, ok := l.h.roll.told[o.to]
	var kept []item
	for _, it := range o.queue {
		if ok && it.life == now {
			kept = append(kept, it)
			continue
		}
		o.drop(it)
		if ended {
			l.sinkEnded(it.b)
		}
	}
	o.queue = kept
}

// sinkEnded tells the core if a frame that came back was for the publisher that it names. It needs mu.
func (l *life) sinkEnded(b []byte) {
	if f, err := broadcast.Parse(b); err == nil && f.Kind == broadcast.Need {
		l.core.Ended(f.Origin)
	}
}

// ended forgets a member whose end was told, and wakes its outbox. It needs mu.
func (l *life) ended(m broadcast.Member) {
	delete(l.troubles, m.ID)
	delete(l.got, m.Incarnation)
	if o := l.outboxes[m.ID]; o != nil {
		select {
		case o.wake <- struct{}{}:
		default:
		}
	}
}

// takeBack takes frames that a stream has left, though their sink may live. It needs mu.
func (l *life) takeBack(to uint64, bodies [][]byte) {
	if len(bodies) == 0 {
		return
	}
	t := l.troubles[to]
	if now := time.Now(); now.Sub(t.at) > 2*maxBackoff {
		t = trouble{now, minBackoff}
	} else {
		t = trouble{now, min(2*t.pause, maxBackoff)}
	}
	l.troubles[to] = t
	l.outbox(to).pause = t.pause
	for _, b := range bodies {
		if f, err := broadcast.Parse(b); err == nil {
			l.core.Undelivered(to, f)
		} else {
			l.put(l.outbox(to), item{b: b})
		}
	}
}
