package plane

import (
	"sync/atomic"

	"github.com/x/ringdht/internal/runcount"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/status"
)

// counters are what the plane counts by itself; see [Plane.Counters] for the rest.
type counters struct {
	sent                                   atomic.Int64 // by streams that have ended
	casts                                  atomic.Int64 // that no link was given
	delivered, panics                      atomic.Int64
	retransmitted, duplicates              atomic.Int64
	queueFull, linkDown, noRoute, hopLimit atomic.Int64
	overshoot, inboxFull, stale, malformed atomic.Int64
	refused, detoured, requeued, unlisted  atomic.Int64
	strangers                              atomic.Int64
	unknown                                atomic.Int64 // frames of types for extensions
	frames                                 atomic.Int64
	relayed                                runcount.Counter
	wasted                                 runcount.Counter // see TakeRelays
	hops                                   [HopCounts]atomic.Int64
	latency                                latency
}

// CountStranger counts a connection that was refused for its credentials.
func (p *Plane) CountStranger() { p.counters.strangers.Add(1) }

// Counters returns a snapshot. The fields are read one after the other, so under traffic they are
// not of one instant.
func (p *Plane) Counters() status.Counters { return p.count(p.outgoingCounters()) }

func (p *Plane) count(out outgoing) status.Counters {
	c, t := &p.counters, p.Traffic()
	casts := c.casts.Load() + t.Casts
	return status.Counters{
		Sent: out.sent + casts, Casts: casts, Delivered: c.delivered.Load(),
		Relayed:       c.relayed.Total(),
		Retransmitted: c.retransmitted.Load(), Duplicates: c.duplicates.Load(), Panics: c.panics.Load(),
		Detoured: c.detoured.Load(), Requeued: c.requeued.Load(), Unlisted: c.unlisted.Load(),
		Strangers: c.strangers.Load(), LinksShed: t.Shed,
		Dropped: status.Dropped{
			QueueFull: c.queueFull.Load(), LinkDown: c.linkDown.Load(), NoRoute: c.noRoute.Load(),
			HopLimit: c.hopLimit.Load(), Overshoot: c.overshoot.Load(), InboxFull: c.inboxFull.Load(), Stale: c.stale.Load(),
			Malformed: c.malformed.Load(), Refused: c.refused.Load(), Unknown: c.unknown.Load() + t.Unknown,
		},
		FramesIn: c.frames.Load(), BytesIn: t.BytesIn, Reads: t.Reads, BytesOut: t.BytesOut, Writes: t.Writes,
		SendBuffer: out.stored, ReceiveBuffer: p.inboxBytes(), HandlerBacklog: p.backlog.Load(), Queued: out.waiting + t.Queued,
	}
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
