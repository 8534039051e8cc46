package plane

import (
	"sync"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// concluded remembers the latest streams, of one direction, that ended in good order. A frame of
// such a stream may come later: an answer that another one has overtaken, or the answer to a
// question that was repeated. It is dropped, but nothing is wrong, so it does not count as stale
// like the frames of an earlier incarnation.
type concluded struct {
	mu      sync.Mutex
	streams []concludedStream // the oldest is at next once there are maxConcluded
	next    int
}

// concludedStream is the numbers of a stream's messages: from first, and below end.
type concludedStream struct{ peer, first, end uint64 }

// maxConcluded bounds what is remembered. Late frames come within seconds.
const maxConcluded = 256

func (c *concluded) add(peer, first, end uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := concludedStream{peer, first, end}
	if len(c.streams) < maxConcluded {
		c.streams = append(c.streams, s)
		return
	}
	c.streams[c.next] = s
	c.next = (c.next + 1) % maxConcluded
}

// has reports whether a frame with this number from a peer is of such a stream. First numbers are
// random, so other frames do not fit.
func (c *concluded) has(peer, seq uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.streams {
		if s.peer == peer && s.first <= seq && seq <= s.end {
			return true
		}
	}
	return false
}

// countStale counts a dropped frame of a stream to this node, unless it is a late one.
func (p *Plane) countStale(f wire.Frame) {
	if !p.concludedIn.has(f.Src(), f.Seq()) {
		p.counters.stale.Add(int64(f.Messages()))
	}
}

// countStaleOpen counts an Open that is older than the present stream, unless it is a repeat that
// the same incarnation has sent before.
func (p *Plane) countStaleOpen(r *stream.Receiver, b wire.OpenBody) {
	if b.Incarnation != r.PeerIncarnation() {
		p.counters.stale.Add(1)
	}
}

// countStaleAnswer counts a dropped answer, unless it is a late one.
func (p *Plane) countStaleAnswer(f wire.Frame) {
	switch f.Type() {
	case wire.Opened: // its number is a generation
		if b, err := wire.ParseOpened(f.Body()); err == nil && b.SourceIncarnation == p.Incarnation {
			return // the answer to a repeated question of this incarnation
		}
	case wire.Refuse:
	default:
		if p.concludedOut.has(f.Src(), f.Seq()) {
			return
		}
	}
	p.counters.stale.Add(1)
}
