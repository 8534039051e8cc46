package plane

import (
	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/wire"
)

// exit is where the frames of an outgoing stream wait for their first link. The link
// pulls them when it is about to write, all that have gathered: while it writes, the
// source needs no lock but its stream's. It is guarded by outbound.mu.
//
// Every frame of the stream goes this way, so they leave in order, and a link that
// ends or is not the way any more takes nothing with it that it has not begun to
// write. What is here is at most what the stream holds to be sent again, and the few
// frames in which it asks: an answer to a question means that all before it has left.
// Only a sink that answers what it was not asked could bring more here, see leave.
type exit struct {
	fresh  fifo.Queue
	new    int         // bytes behind fresh that were admitted and are in the stream's store only
	from   fifo.Cursor // where they begin
	link   *outLink    // that has been told to pull, nil if none has
	claim  int         // bytes that wait, as counted in link.waiting: as many, or a few more
	by     *snapshot   // what the link was chosen from
	detour bool        // frames are to be marked
}

// size is how many bytes wait.
func (e *exit) size() int { return e.fresh.Size() + e.new }

// leaveOne is leave for the frame that was admitted last. It stays where it is, in the
// store, until the link takes it from there.
func (o *outbound) leaveOne(f wire.Frame) (due *outLink, err error) {
	o.stretch(len(f))
	if o.link != nil && o.by == o.p.routes.Load() {
		o.count()
		return nil, nil
	}
	return o.enlist()
}

// stretch adds the frame that was admitted last, of n bytes, to what waits. It needs mu.
func (o *outbound) stretch(n int) {
	if o.new == 0 {
		o.from = o.s.Last(n)
	}
	o.new += n
}

// leave sends frames on their way. The only error is [stream.ErrNoSuchNode], which a
// relay would have sent back; frames for which no link is up are counted and left to
// their stream. It needs mu.
func (o *outbound) leave(frames []byte) error {
	if !o.join(frames) {
		return nil
	}
	if o.link != nil && o.by == o.p.routes.Load() {
		o.count()
		return nil
	}
	due, err := o.enlist()
	if due != nil {
		due.WriteAsync()
	}
	return err
}

// ahead has frames leave right before the message that is admitted next. It needs mu.
func (o *outbound) ahead(frames []byte) {
	o.join(frames)
	o.out = frames[:0]
}

// join adds frames to what waits, and says whether it did. It needs mu.
func (o *outbound) join(frames []byte) bool {
	if len(frames) == 0 {
		return false
	}
	o.collect()
	if o.fresh.Size()+len(frames) > o.s.Bytes()+freshAsks {
		o.p.counters.queueFull.Add(int64(wire.Count(frames)))
		return false
	}
	o.fresh.Append(frames)
	return true
}

// collect takes what is in the store only into fresh, where everything is in the order in
// which it leaves.
func (o *outbound) collect() {
	if o.new > 0 {
		o.s.View(o.from, o.new, &o.fresh)
		o.new = 0
	}
}

// freshAsks is how many bytes of questions may wait for a link.
const freshAsks = 64 << 10

// enlist tells the link that is now on the way to the sink to pull. It needs mu, and
// something that waits. A link that is due has to be written to when mu is free again.
func (o *outbound) enlist() (due *outLink, err error) {
	p := o.p
	for {
		s := p.routes.Load() // before the look at them: if they change in between, the next frame looks again
		w, err := p.towards(o.sink)
		if w.link == nil && err == nil && o.link != nil {
			return nil, nil // no way now, but a link that ends writes what it holds
		}
		if w.link == nil {
			p.nowhere(o.giveUp(), err)
			return nil, err
		}
		now := false
		if w.link != o.link {
			now, err = w.link.Enlist(o)
		}
		switch {
		case err == nil:
			if w.link != o.link {
				o.unlist()
			}
			o.link, o.by, o.detour = w.link, s, w.detour
			o.count()
			if now {
				due = w.link
			}
			return due, nil
		case o.sink == p.Self: // the plane closes
			p.counters.linkDown.Add(o.giveUp())
			return nil, nil
		}
		p.unlink(w.link) // from now on no snapshot has it, so this comes to an end
	}
}

// giveUp drops what waits and says how many frames it was. It needs mu.
func (o *outbound) giveUp() int64 {
	n := o.waiting()
	o.fresh.Clear()
	o.unlist()
	return int64(n)
}

// Pull is the link's turn, see [link.Source]. A link that the stream has left for
// another gets nothing.
func (o *outbound) Pull(w *link.Writer, q *fifo.Queue, limit int) (more bool) {
	o.lock()
	defer o.mu.Unlock()
	if o.link == nil || o.link.Writer != w {
		return false
	}
	if o.p.gate.shut.Load() {
		o.p.counters.linkDown.Add(o.giveUp())
		return false
	}
	if !o.detour && o.fresh.Size() == 0 && o.new <= limit { // as ever, and no need to gather
		o.s.View(o.from, o.new, q)
		o.new = 0
		o.unlist()
		return false
	}
	o.collect()
	if o.detour {
		limit = o.fresh.Size() // so that those that are marked go, and no others
		o.fresh.CopyViews()
		for chunk := range o.fresh.Chunks() {
			mark(chunk, true)
			o.p.counters.detoured.Add(int64(wire.Count(chunk)))
		}
	}
	o.fresh.Move(q, limit)
	if o.fresh.Size() > 0 {
		o.link.wait(o.fresh.Size() - o.claim)
		o.claim = o.fresh.Size()
		return true
	}
	o.unlist()
	return false
}

// claimAhead is how much a stream counts ahead for its link, so that not every small
// message has to be.
const claimAhead = 512

// count brings what waits for the link up to date when it has grown.
func (e *exit) count() {
	if more := e.size() - e.claim; more > 0 {
		more += min(claimAhead, e.link.Low()/16)
		e.link.waiting.Add(int64(more))
		e.claim += more
	}
}

// unlist lets go of the link, if there is one.
func (e *exit) unlist() {
	if e.link != nil {
		e.link.wait(-e.claim)
	}
	e.link, e.by, e.claim = nil, nil, 0
}

// wait counts bytes that wait in streams for the link, and tells those who wait for
// them to become less.
func (l *outLink) wait(more int) {
	if after := l.waiting.Add(int64(more)); after <= int64(l.Low()) && after-int64(more) > int64(l.Low()) {
		l.space.broadcast()
	}
}

// congested returns a channel to wait for if streams have too much for the link of this
// one already: twice as much as lets those go on who wait.
func (o *outbound) congested() <-chan struct{} {
	l := o.link
	if l == nil || l.waiting.Load() <= 2*int64(l.Low()) || o.by != o.p.routes.Load() {
		return nil
	}
	space := l.space.wait()
	if l.waiting.Load() <= 2*int64(l.Low()) {
		return nil
	}
	return space
}

// divert has the streams whose frames wait for a link that has ended take another way.
func (p *Plane) divert(l *outLink) {
	for _, o := range p.outgoing() {
		o.lock()
		if o.link == l {
			frames := int64(o.waiting())
			o.unlist()
			due, err := o.enlist()
			if due != nil {
				due.WriteAsync()
			}
			if err != nil {
				o.nobody()
			} else if o.link != nil {
				p.counters.requeued.Add(frames)
			}
		}
		o.mu.Unlock()
	}
}

// waiting counts the frames that wait.
func (o *outbound) waiting() (n int) {
	o.collect()
	for chunk := range o.fresh.Chunks() {
		n += wire.Count(chunk)
	}
	return n
}
