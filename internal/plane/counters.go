package plane

import (
	"sync/atomic"

	"github.com/x/ringdht/internal/stream"
)

// Counters is a snapshot of what a plane has done since it started, and of what it holds now.
type Counters struct {
	Sent, Delivered, Relayed  int64 // messages, on streams and casts alike
	Casts                     int64 // of Sent, those without a stream
	Retransmitted, Duplicates int64
	Panics                    int64 // handlers and callbacks that panicked
	Detoured                  int64 // frames that this node sent on a detour
	Requeued                  int64 // frames that waited for a link when it ended and took another way
	Unlisted                  int64 // messages of unknown outcome whose bodies are returned nowhere
	Dropped                   Dropped

	FramesIn, BytesIn, Reads int64 // from peers, over all connections
	BytesOut, Writes         int64 // to peers, over all connections

	Gauges
}

// Gauges are numbers that go down as well: what a plane holds now. A sum over planes must leave out
// the gauges of those that have closed.
type Gauges struct {
	SendBuffer, ReceiveBuffer, HandlerBacklog int64 // bytes in use
	Queued                                    int64 // bytes waiting for links
}

// Dropped counts dropped frames, by reason. The source of a stream repeats its frames; a cast is
// lost.
type Dropped struct {
	QueueFull int64 // the queue of a link was full
	LinkDown  int64 // no link to the next hop
	NoRoute   int64 // no node has the ID; the source was told
	HopLimit  int64 // crossed too many links; the source was told
	Overshoot int64 // passed its sink before it came here
	InboxFull int64 // the receive buffer was full
	Stale     int64 // of an earlier incarnation of its stream
	Malformed int64 // a body that cannot be parsed
	Refused   int64 // requests for a stream beyond the limit; the source was told
}

type counters struct {
	sent                                     atomic.Int64 // by streams that have ended
	casts, delivered, panics                 atomic.Int64
	retransmitted, duplicates                atomic.Int64
	queueFull, linkDown, noRoute, hopLimit   atomic.Int64
	overshoot, inboxFull, stale, malformed   atomic.Int64
	refused, detoured, requeued, unlisted    atomic.Int64
	frames, bytesIn, reads, bytesOut, writes atomic.Int64 // of connections that have ended
	relayed                                  relays
	wasted                                   relays // see TakeRelays
	hops                                     [HopCounts]atomic.Int64
	latency                                  latency
}

// Counters returns a snapshot. The fields are read one after the other, so under traffic they are
// not of one instant.
func (p *Plane) Counters() Counters { return p.count(p.outgoingCounters()) }

func (p *Plane) count(out outgoing) Counters {
	c := &p.counters
	s := Counters{
		Sent: out.sent, Delivered: c.delivered.Load(),
		Relayed:       c.relayed.total(),
		Retransmitted: c.retransmitted.Load(), Duplicates: c.duplicates.Load(), Panics: c.panics.Load(),
		Detoured: c.detoured.Load(), Requeued: c.requeued.Load(), Unlisted: c.unlisted.Load(),
		Dropped: Dropped{
			QueueFull: c.queueFull.Load(), LinkDown: c.linkDown.Load(), NoRoute: c.noRoute.Load(),
			HopLimit: c.hopLimit.Load(), Overshoot: c.overshoot.Load(), InboxFull: c.inboxFull.Load(), Stale: c.stale.Load(),
			Malformed: c.malformed.Load(), Refused: c.refused.Load(),
		},
		FramesIn: c.frames.Load(),
		Gauges: Gauges{
			SendBuffer: out.stored, ReceiveBuffer: p.inbox.Load(), HandlerBacklog: p.backlog.Load(), Queued: out.waiting,
		},
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	// A connection that ends adds its own numbers to these with the lock held. Read without it
	// they could go back once, which a monitor takes for a restart.
	s.BytesIn, s.Reads = c.bytesIn.Load(), c.reads.Load()
	s.BytesOut, s.Writes = c.bytesOut.Load(), c.writes.Load()
	for c := range p.conns {
		if c.in != nil {
			bytes, reads := c.in.r.Stats()
			s.BytesIn, s.Reads = s.BytesIn+bytes, s.Reads+reads
		}
	}
	casts := c.casts.Load()
	for _, l := range p.allLinks() {
		casts += l.Frames()
		bytes, writes := l.Stats()
		s.BytesOut, s.Writes = s.BytesOut+bytes, s.Writes+writes
		s.Queued += int64(l.Queued())
	}
	s.Sent, s.Casts = s.Sent+casts, casts
	return s
}

// outgoing is the sum over the outgoing streams: messages accepted since the plane started, bytes
// kept, bytes that wait for the first link, streams, bytes in flight, and windows.
type outgoing struct {
	sent, stored, waiting      int64
	streams, inFlight, windows int64
}

// outgoingCounters asks each stream, so that accepting a message need not count it.
func (p *Plane) outgoingCounters() (sum outgoing) {
	for range 10 {
		before := p.counters.sent.Load()
		sum = outgoing{sent: before}
		for _, o := range p.outgoingStreams() {
			o.lock()
			if o.s.State() != stream.Ended { // else counters.sent has its messages
				accepted, _ := o.s.Progress()
				sum.sent += int64(accepted)
				sum.stored += int64(o.bytes)
				sum.waiting += int64(o.size())
				sum.streams++
				sum.inFlight += int64(o.s.InFlight())
				sum.windows += int64(o.s.Window())
			}
			o.unlock()
		}
		if p.counters.sent.Load() == before {
			break // no stream has ended in between, so each was counted once
		}
	}
	return sum
}
