package plane

import (
	"context"
	"sync"
	"time"

	"github.com/x/ringdht/internal/stream"
)

// Stuck is what is known of a stream on which nothing comes through.
type Stuck struct {
	Sink     uint64
	Healed   bool          // it gets on again, and the other fields are empty
	Silent   time.Duration // for so long
	Answered []uint64      // the nodes that answered a trace, from the first hop on
	Complete bool          // the sink, and so each node on the way, answered it
}

// maxStuckTraces bounds the traces of streams that are stuck. A node has many streams, and a liar
// may have stopped them all.
const maxStuckTraces = 4

// stuckTrace is how long such a trace takes at most: three questions.
const stuckTrace = 3*traceRepeat - traceRepeat/2

// stuckState is what a stream has told about being stuck. The stream's lock guards it.
type stuckState struct {
	at      time.Duration // when its route was traced last; 0 while it gets on
	told    bool          // OnStuck was called
	tracing bool
}

// stuckSinks counts the streams by sink about which OnStuck was called and that do not get on again.
// The sink is healed with the last of them. Its lock is a leaf.
type stuckSinks struct {
	mu   sync.Mutex
	told map[uint64]int
}

// add adds one stream to a sink, or takes one away, and returns how many there are.
func (x *stuckSinks) add(sink uint64, n int) (left int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.told == nil {
		x.told = make(map[uint64]int)
	}
	if left = x.told[sink] + n; left > 0 {
		x.told[sink] = left
	} else {
		delete(x.told, sink)
	}
	return left
}

// checkStuck has the route of a stream traced on which nothing comes through, and tells when it
// gets on again. It needs mu.
func (o *outbound) checkStuck() {
	p, now, state := o.p, o.p.now(), &o.stuck
	if p.OnStuck == nil {
		return
	}
	silent := o.s.Silent(now)
	switch {
	case silent < p.StuckAfter:
		if state.told && p.stuckSinks.add(o.sink, -1) == 0 && o.s.State() != stream.Ended {
			p.OnStuck(Stuck{Sink: o.sink, Healed: true})
		}
		state.at, state.told = 0, false
	case state.tracing || state.at > 0 && now-state.at < p.StuckAgain || p.fence.Up() || o.sink == p.Self:
	case p.tracing.Add(1) > maxStuckTraces: // at the next tick, perhaps
		p.tracing.Add(-1)
	default:
		state.at, state.tracing = now, true
		p.background(o.traceStuck)
	}
}

// traceStuck traces the route of a stream that is stuck, and tells about it if it still is. It runs
// on a goroutine of its own.
func (o *outbound) traceStuck() {
	p := o.p
	defer p.tracing.Add(-1)
	ctx, cancel := context.WithTimeout(p.ctx, stuckTrace)
	defer cancel()
	hops, err := p.Trace(ctx, o.sink)
	found := Stuck{Sink: o.sink, Complete: err == nil}
	for _, h := range hops {
		found.Answered = append(found.Answered, h.ID)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stuck.tracing = false
	if found.Silent = o.s.Silent(p.now()); found.Silent >= p.StuckAfter && o.stuck.at > 0 {
		if !o.stuck.told {
			o.stuck.told = true
			p.stuckSinks.add(o.sink, 1)
		}
		p.OnStuck(found)
	}
}
