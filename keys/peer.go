package keys

import (
	"errors"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/keys/internal/channel"
	"github.com/x/ringdht/status"
)

const (
	maxUnlisted  = 4096     // lives that the list does not have
	maxAsked     = 64       // of which the registry is asked at a time
	maxBody      = 16 << 10 // bytes of a channel in one message of the ring, if its messages may be so long
	maxTaken     = 8        // such messages that one SendBatch gets
	maxOpen      = 4096     // messages of another life that are not answered: its core keeps to it
	maxUnacked   = 1 << 14  // frames: all that the cores of an honest life let be on their way, and more
	maxGive      = 64 << 20 // bytes of the state of an arc
	minBackoff   = 20 * time.Millisecond
	maxBackoff   = 2 * time.Second
	askPause     = 100 * time.Millisecond
	maxAskPause  = time.Second
	frameReserve = 1 << 10 // bytes of a frame besides its body
)

// peer is another life, and the channel to it.
type peer struct {
	l       *life
	life    uint64
	id      ringdht.ID
	named   bool // id is known
	listed  bool // by the list, which then tells its end
	left    bool // the list does not have it any more, and it may wind up still
	channel *channel.Channel
	sent    int           // frames
	open    int           // messages that this life has not answered
	closed  int           // sent when this life had said Closed
	sending bool          // there is a goroutine
	pause   time.Duration // the latest; it doubles with each failure
	due     bool          // there is one before it sends again
	resting bool          // it waits for that
	wake    chan struct{} // of one slot
}

// peer returns the one for a life. It needs mu.
func (l *life) peer(other uint64) *peer {
	p := l.peers[other]
	if p == nil {
		p = &peer{l: l, life: other, wake: make(chan struct{}, 1)}
		p.id, p.listed = l.h.roll.ids[other]
		p.named = p.listed
		p.channel = channel.New(l.self, other, p)
		l.peers[other] = p
		if !p.listed {
			l.ask()
		}
	}
	return p
}

// listed names a life. It needs mu.
func (l *life) listed(other uint64, id ringdht.ID) {
	p := l.peers[other]
	if p == nil {
		return
	}
	if p.named && p.id != id { // another node has said that it is this life
		l.h.malformed.Add(1)
		p.channel.Close()
		delete(l.peers, other)
		p.signal()
		return
	}
	if !p.named { // the outbox reads the ID of one that is
		p.id = id
	}
	p.named, p.listed = true, true
	p.signal()
}

// ask asks the registry for the lives that the list does not have, as long as there are any. It needs mu.
func (l *life) ask() { l.after(&l.asking, askPause, maxAskPause, l.askNow) }

func (l *life) askNow() {
	asked := 0
	for other, p := range l.peers {
		if asked++; !p.listed && asked <= maxAsked {
			l.note(arc.AppendNote(nil, arc.Frame{Kind: arc.Where, Life: other}))
		} else if p.listed {
			asked--
		}
	}
	if asked > 0 {
		l.ask()
	} else {
		l.asking.pause = 0
	}
}

// answered takes the registry's answer to ask: the ID of a life, or that it is over. It needs mu.
func (l *life) answered(f arc.Frame) {
	p := l.peers[f.Life]
	switch {
	case p == nil || p.listed:
	case f.Refused:
		l.h.gone(f.Life)
	case !p.named:
		p.id, p.named = ringdht.ID(f.Point), true
		p.signal()
		l.source.Retry()
	}
}

// take takes a body of a member, and reports whether it makes sense.
func (h *hub) take(source ringdht.ID, body []byte) (ok bool) {
	from, to, err := channel.Lives(body)
	if err != nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.life
	if l == nil || to != l.self || h.roll.over[from] {
		h.stale.Add(1)
		return true
	}
	if from == arc.Registry || from == l.self { // their frames come in other ways
		return false
	}
	if l.peers[from] == nil && len(l.peers) >= len(h.roll.ids)+maxUnlisted {
		return false
	}
	p := l.peer(from)
	if !p.named {
		p.id, p.named = source, true
	}
	if p.id != source {
		return false
	}
	err = p.channel.Receive(body)
	if errors.Is(err, channel.ErrViolation) || p.channel.Unacknowledged() > maxUnacked {
		h.gone(from)
		return false
	}
	p.pause = 0
	p.signal()
	if h.leaving {
		h.announce()
	}
	l.settle()
	return true
}

// Deliver is channel.Output.
func (p *peer) Deliver(frame []byte) {
	f, err := arc.ParseFrame(frame)
	switch {
	case errors.Is(err, arc.ErrKind): // of a later version
		return
	case err != nil:
		p.violation()
		return
	case f.Kind == arc.Msg || f.Kind == arc.Give: // the core keeps it
		f.Body = append([]byte{}, f.Body...)
	}
	if f.Kind == arc.Msg {
		if p.open++; p.open > maxOpen {
			p.violation()
			return
		}
	}
	p.l.handle(p.life, f)
}

// violation ends the channel of a life that breaks the rules. It needs mu.
func (p *peer) violation() {
	p.l.h.malformed.Add(1)
	p.channel.Close()
	p.l.later.push(func() { p.l.h.gone(p.life) })
}

// Admit is channel.Output.
func (p *peer) Admit(total uint64, _ []byte) bool { return total <= maxGive+frameReserve }

// signal lets the outbox look. It needs mu.
func (p *peer) signal() {
	switch {
	case p.sending:
		if p.resting {
			select {
			case p.wake <- struct{}{}:
			default:
			}
		}
	case p.named && p.channel.Pending():
		p.sending = true
		go p.send()
	}
}

// send is the outbox: it sends what the channel has, until it has nothing.
func (p *peer) send() {
	p.l.awaitReady()
	var bodies [maxTaken][]byte
	for {
		p.rest()
		batch := p.next(&bodies)
		if len(batch) == 0 {
			return
		}
		if _, err := p.l.h.traffic.SendBatch(p.l.ctx, p.id, batch); err != nil {
			p.l.h.mu.Lock()
			p.ended(err)
			p.l.h.mu.Unlock()
		}
	}
}

// awaitReady waits until the tables lead to this life, once. The others drop what comes before, and the
// stream sends it again after half a second: so long a move of a newcomer would take.
func (l *life) awaitReady() {
	if !l.ready.Load() && l.h.n.Ready(l.ctx) == nil {
		l.ready.Store(true)
	}
}

// next takes the next bodies. If there are none the goroutine ends.
func (p *peer) next(bodies *[maxTaken][]byte) (batch [][]byte) {
	h := p.l.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if most := min(maxBody, h.n.MaxPayload()); most >= channel.MinBody && p.there() {
		for len(batch) < maxTaken && p.channel.Pending() {
			b := &bodies[len(batch)]
			*b = p.channel.Take((*b)[:0], most)
			batch = append(bodies[:len(batch)], *b)
		}
	}
	p.sending = len(batch) > 0
	return batch
}

// there reports whether the channel is in use. It needs mu.
func (p *peer) there() bool { return p.l.h.life == p.l && p.l.peers[p.life] == p }

// rest waits for the pause that is due.
func (p *peer) rest() {
	p.l.h.mu.Lock()
	pause := p.pause
	p.resting, p.due = p.due, false
	resting := p.resting
	p.l.h.mu.Unlock()
	if !resting {
		return
	}
	select {
	case <-time.After(pause):
	case <-p.wake:
	case <-p.l.ctx.Done():
	}
	p.l.h.mu.Lock()
	p.resting = false
	p.l.h.mu.Unlock()
}

// ended notes that some bodies may not arrive. It needs mu.
func (p *peer) ended(err error) {
	switch {
	case !p.there():
	case p.left && isGone(err):
		p.l.h.gone(p.life)
	default:
		p.channel.StreamEnded()
		p.pause, p.due = min(max(2*p.pause, minBackoff), maxBackoff), true
		p.signal()
	}
}

// undelivered hears that a stream has ended with bodies that may not have arrived.
func (h *hub) undelivered(u status.Undelivered) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.life
	if l == nil {
		return
	}
	for _, p := range l.peers {
		if p.named && p.id == u.Sink {
			p.ended(u.Err)
		}
	}
}
