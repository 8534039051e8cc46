package plane

import (
	"sync/atomic"

	"github.com/x/ringdht/internal/runcount"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/status"
)

// counters are what the plane counts by itself; see [Plane.Counters] for the rest.
type counters struct {
	sent                                     atomic.Int64 // by streams that have ended
	casts, delivered, panics                 atomic.Int64
	retransmitted, duplicates                atomic.Int64
	queueFull, linkDown, noRoute, hopLimit   atomic.Int64
	overshoot, inboxFull, stale, malformed   atomic.Int64
	refused, detoured, requeued, unlisted    atomic.Int64
	strangers, linksShed                     atomic.Int64
	unknown                                  atomic.Int64 // frames of types for extensions
	frames, bytesIn, reads, bytesOut, writes atomic.Int64 // of connections that have ended
	relayed                                  runcount.Counter
	wasted                                   runcount.Counter // see TakeRelays
	hops                                     [HopCounts]atomic.Int64
	latency                                  latency
}

// CountStranger counts a connection that was refused for its credentials.
func (p *Plane) CountStranger() { p.counters.strangers.Add(1) }

// Counters returns a snapshot. The fields are read one after the other, so under traffic they are
// not of one instant.
func (p *Plane) Counters() status.Counters { return p.count(p.outgoingCounters()) }

func (p *Plane) count(out outgoing) status.Counters {
	c := &p.counters
	s := status.Counters{
		Sent: out.sent, Delivered: c.delivered.Load(),
		Relayed:       c.relayed.Total(),
		Retransmitted: c.retransmitted.Load(), Duplicates: c.duplicates.Load(), Panics: c.panics.Load(),
		Detoured: c.detoured.Load(), Requeued: c.requeued.Load(), Unlisted: c.unlisted.Load(),
		Strangers: c.strangers.Load(), LinksShed: c.linksShed.Load(),
		Dropped: status.Dropped{
			QueueFull: c.queueFull.Load(), LinkDown: c.linkDown.Load(), NoRoute: c.noRoute.Load(),
			HopLimit: c.hopLimit.Load(), Overshoot: c.overshoot.Load(), InboxFull: c.inboxFull.Load(), Stale: c.stale.Load(),
			Malformed: c.malformed.Load(), Refused: c.refused.Load(), Unknown: c.unknown.Load(),
		},
		FramesIn:   c.frames.Load(),
		SendBuffer: out.stored, ReceiveBuffer: p.inbox.Load(), HandlerBacklog: p.backlog.Load(), Queued: out.waiting,
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
			o.mu.Lock()
			if o.s.State() != stream.Ended { // else counters.sent has its messages
				accepted, _ := o.s.Progress()
				sum.sent += int64(accepted)
				sum.stored += int64(o.bytes)
				sum.waiting += int64(o.size())
				sum.streams++
				sum.inFlight += int64(o.s.InFlight())
				sum.windows += int64(o.s.Window())
			}
			o.mu.Unlock()
		}
		if p.counters.sent.Load() == before {
			break // no stream has ended in between, so each was counted once
		}
	}
	return sum
}
