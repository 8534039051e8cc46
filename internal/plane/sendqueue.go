package plane

import (
	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/peers"
	"github.com/x/ringdht/internal/wire"
)

// sendQueue holds the frames of an outgoing stream that wait for their first link. The link pulls
// all that have gathered when it is about to write. While it writes, the source needs no lock but
// its stream's. The stream's lock guards the queue.
//
// Every frame of the stream goes through the queue, so frames leave in order. A link that ends,
// or is no longer the way, takes with it only what it has begun to write. The queue holds at most
// what the stream keeps for retransmission, and its few questions: an answer to a question means
// that all frames before it have left. Only a sink that answers what it was not asked could bring
// more here; appendFrames drops that.
type sendQueue struct {
	queued      fifo.Queue
	inStore     int             // bytes behind queued, admitted, that only the stream's store holds
	inStoreFrom fifo.Cursor     // where they begin
	link        *peers.Link     // that is to pull; nil if there is none
	reserved    int             // bytes that wait, as counted in link.Reserved, or a few more
	chosenFrom  *peers.Snapshot // the routes by which the link was chosen
	detour      bool            // frames are to be marked
}

// size is the number of bytes that wait.
func (q *sendQueue) size() int { return q.queued.Size() + q.inStore }

// enqueueAdmitted is enqueue for the message that was admitted last, of n bytes. It stays in the
// store until the link takes it from there.
func (o *outbound) enqueueAdmitted(n int) (due *peers.Link, err error) {
	o.extend(n)
	if o.link != nil && o.chosenFrom == o.p.Routes() {
		o.reserve()
		return nil, nil
	}
	return o.attach()
}

// extend adds the message that was admitted last, of n bytes, to what waits. If nothing waits it
// begins a frame, since none joins a frame that has left. It needs mu.
func (o *outbound) extend(n int) {
	if o.inStore == 0 {
		o.inStoreFrom = o.s.Last(n)
	}
	o.inStore += n
}

// enqueue sends frames on their way. Its only error is [stream.ErrNoSuchNode], which a relay
// would have sent back. If no link is up, the frames are counted as dropped and the stream
// repeats them. It needs mu.
func (o *outbound) enqueue(frames []byte) error {
	if !o.appendFrames(frames) {
		return nil
	}
	if o.link != nil && o.chosenFrom == o.p.Routes() {
		o.reserve()
		return nil
	}
	due, err := o.attach()
	if due != nil {
		due.WriteAsync()
	}
	return err
}

// enqueueAhead makes frames leave right before the message that is admitted next. It needs mu.
func (o *outbound) enqueueAhead(frames []byte) {
	o.appendFrames(frames)
	o.scratch = frames[:0]
}

// appendFrames adds frames to what waits, and reports whether it did. It drops them if more waits
// than the stream's data and maxQuestions. It needs mu.
func (o *outbound) appendFrames(frames []byte) bool {
	if len(frames) == 0 {
		return false
	}
	o.collect()
	if o.queued.Size()+len(frames) > o.s.Bytes()+maxQuestions {
		o.p.counters.queueFull.Add(int64(wire.Count(frames)))
		return false
	}
	o.queued.Append(frames)
	return true
}

// collect moves what only the store holds into queued, which is then everything in the order in
// which it leaves.
func (o *outbound) collect() {
	if o.inStore > 0 {
		o.takeFromStore(&o.queued)
	}
}

// takeFromStore appends what only the store holds to a queue. The cursor goes, or an idle stream would
// keep a chunk that the store has freed.
func (o *outbound) takeFromStore(q *fifo.Queue) {
	o.s.Copy(o.inStoreFrom, o.inStore, q)
	o.inStore, o.inStoreFrom = 0, fifo.Cursor{}
}

// maxQuestions bounds the bytes of questions that wait for a link.
const maxQuestions = 64 << 10

// attach tells the link that is now the way to the sink to pull. It needs mu, and something that
// waits. The caller must call WriteAsync on due, if there is one, or WriteDirect once it has
// released mu.
func (o *outbound) attach() (due *peers.Link, err error) {
	p := o.p
	for {
		s := p.Routes() // loaded before the choice: if the routes change in between, the next frame chooses again
		w, err := p.towards(o.sink)
		if w.Link == nil && err == nil && o.link != nil {
			return nil, nil // no way now, but a link that ends writes what it holds
		}
		if w.Link == nil {
			p.countUnplaced(o.dropQueued(), err)
			return nil, err
		}
		now := false
		if w.Link != o.link {
			now, err = w.Link.Enlist(o)
		}
		switch {
		case err == nil:
			if w.Link != o.link {
				o.detach()
			}
			o.link, o.chosenFrom, o.detour = w.Link, s, w.Detour
			o.reserve()
			if now {
				due = w.Link
			}
			return due, nil
		case o.sink == p.Self: // the plane closes
			p.counters.linkDown.Add(o.dropQueued())
			return nil, nil
		}
		p.Unlink(w.Link) // no later snapshot has it, so the loop ends
	}
}

// dropQueued drops what waits and returns the number of messages, see [wire.Count]. It needs mu.
func (o *outbound) dropQueued() int64 {
	n := o.countFrames()
	o.queued.Clear()
	o.detach()
	return int64(n)
}

// Pull hands frames to the link, see [link.Source]. A link that the stream has left for another
// one gets nothing.
func (o *outbound) Pull(w *link.Writer, q *fifo.Queue, limit int) (more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.link == nil || o.link.Writer != w {
		return false
	}
	if o.p.fence.Up() {
		o.p.counters.linkDown.Add(o.dropQueued())
		return false
	}
	if !o.detour && o.queued.Size() == 0 && o.inStore <= limit { // the usual case: no need to collect
		o.takeFromStore(q)
		o.detach()
		return false
	}
	o.collect()
	if o.detour {
		limit = o.queued.Size() // all that are marked leave, and no others
		for chunk := range o.queued.Chunks() {
			markDetour(chunk, true)
			o.p.counters.detoured.Add(int64(wire.Count(chunk)))
		}
	}
	o.queued.Move(q, limit)
	if o.queued.Size() > 0 {
		o.link.Release(o.reserved - o.queued.Size())
		o.reserved = o.queued.Size()
		return true
	}
	o.detach()
	return false
}

// reserveAhead is how many bytes a stream reserves ahead on its link, so that not every small
// message must.
const reserveAhead = 512

// reserve updates the link's count of what waits, when it has grown.
func (q *sendQueue) reserve() {
	if more := q.size() - q.reserved; more > 0 {
		more += min(reserveAhead, q.link.Low()/16)
		q.link.Reserve(more)
		q.reserved += more
	}
}

// detach leaves the link, if there is one.
func (q *sendQueue) detach() {
	if q.link != nil {
		q.link.Release(q.reserved)
	}
	q.link, q.chosenFrom, q.reserved = nil, nil, 0
}

// congested returns a channel to wait for if streams have reserved too much on this one's link.
func (o *outbound) congested() <-chan struct{} {
	if o.link == nil || o.chosenFrom != o.p.Routes() {
		return nil
	}
	return o.link.Crowded()
}

// reattach makes the streams whose frames wait for a link that has ended take another way.
func (p *Plane) reattach(l *peers.Link) {
	for _, o := range p.outgoingStreams() {
		o.mu.Lock()
		if o.link == l {
			frames := int64(o.countFrames())
			o.detach()
			due, err := o.attach()
			if due != nil {
				due.WriteAsync()
			}
			if err != nil {
				o.noSuchNode()
			} else if o.link != nil {
				p.counters.requeued.Add(frames)
			}
		}
		o.mu.Unlock()
	}
}

// countFrames counts what waits, by messages.
func (o *outbound) countFrames() (n int) {
	o.collect()
	for chunk := range o.queued.Chunks() {
		n += wire.Count(chunk)
	}
	return n
}
