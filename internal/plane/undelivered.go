package plane

import (
	"context"
	"sync"

	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/internal/wire"
)

// Undelivered describes a stream that ended before everything on it was known to be delivered.
type Undelivered struct {
	Sink     uint64
	Messages uint64 // handlers' messages (ports below 128) that were not known to be delivered
	// NotHandled is how many of these, the latest ones, are known not to have been handled, and
	// never will be. The outcome of those before them is unknown.
	NotHandled uint64
	Bodies     [][]byte // their bodies, oldest first; nil if too many bytes are retained already
	Err        error    // why the stream ended
	Many       bool     // several sinks, too many to list; Sink is 0, Err the latest
}

// firstTraffic is the lowest port of traffic runs. Ports below it are the handlers'.
const firstTraffic = 128

// maxLosses is how many streams to one sink the next Flush tells apart, and maxStored how many to
// all sinks. Streams beyond these are added up.
const (
	maxLosses = 32
	maxStored = 4096
)

// maxCalls is how many calls of the callback may wait. The callback is not told of streams
// beyond; Flush and Close are.
const maxCalls = 4096

// loss is an Undelivered that the callback, the next Flush or Close is to tell, see losses.go.
type loss struct {
	Undelivered
	from, seq   uint64 // of the first and the last stream in it
	size        int    // of the messages, in bytes of frames of their own
	withBodies  bool   // the callback gets the bodies
	forCallback bool   // for the callback, and told once that has returned
}

// losses keeps streams that ended with messages pending until they have been told. Its lock is a
// leaf.
type losses struct {
	mu        sync.Mutex
	seq       uint64 // of the latest loss
	bySink    map[uint64][]loss
	rest      []loss            // of sinks for which bySink had no room
	stored    int               // entries of bySink
	flushes   int               // under way
	late      bool              // something that was told is kept for them
	heldBytes int               // bytes of frames whose bodies wait in bySink
	calls     []loss            // for the callback, in order
	callBytes int               // bytes of frames whose bodies wait in calls
	calling   bool              // the goroutine that calls back runs
	called    uint64            // the seq up to which the callback has returned
	latest    map[uint64]uint64 // by sink, the seq of the latest loss for which the callback has not returned

	returned notify.Change // a callback has returned
}

// recordLoss records what is pending on a stream at its end. The sender calls it, so mu is held.
func (o *outbound) recordLoss() {
	p := o.p
	err := o.s.Err()
	if err == nil {
		return
	}
	l := loss{Undelivered: Undelivered{Sink: o.sink, Err: err}}
	unknown := o.s.Unknown()
	for port, body := range o.s.Unacknowledged() {
		if port < firstTraffic {
			l.Messages++
			l.size += wire.HeaderSize + len(body)
			if unknown == 0 {
				l.NotHandled++
			}
		} else if p.OnLostTraffic != nil {
			p.OnLostTraffic(o.sink, port, body, unknown > 0)
		}
		if unknown > 0 {
			unknown--
		}
	}
	if l.Messages == 0 {
		return
	}
	x := &p.losses
	x.mu.Lock()
	defer x.mu.Unlock()
	x.seq++
	l.from, l.seq = x.seq, x.seq
	keep := x.heldBytes == 0 || x.heldBytes+l.size <= p.SendBuffer // in bundles short messages take less than their size here
	l.forCallback = p.OnUndelivered != nil && len(x.calls) < maxCalls
	l.withBodies = l.forCallback && (x.callBytes == 0 || x.callBytes+l.size <= p.SendBuffer)
	if keep || l.withBodies {
		l.Bodies = o.bodies(l)
	} else {
		p.counters.unlisted.Add(int64(l.Messages))
	}
	if l.forCallback {
		x.queueCall(p, l)
	}
	if !keep {
		l.Bodies = nil
	}
	p.counters.unlisted.Add(int64(x.add(l)))
}

// bodies copies the handlers' pending messages into one buffer. It needs mu.
func (o *outbound) bodies(l loss) [][]byte {
	buf := make([]byte, 0, l.size-int(l.Messages)*wire.HeaderSize)
	bodies := make([][]byte, 0, l.Messages)
	for port, body := range o.s.Unacknowledged() {
		if port < firstTraffic {
			n := len(buf)
			buf = append(buf, body...)
			bodies = append(bodies, buf[n:len(buf):len(buf)])
		}
	}
	return bodies
}

// queueCall queues a loss for the callback. It needs mu.
func (x *losses) queueCall(p *Plane, l loss) {
	if !l.withBodies {
		l.Bodies, l.size = nil, 0
	}
	x.callBytes += l.size
	x.calls = append(x.calls, l)
	if x.latest == nil {
		x.latest = make(map[uint64]uint64)
	}
	x.latest[l.Sink] = l.seq
	if !x.calling {
		x.calling = true
		p.wg.Go(p.callBack)
	}
}

// callBack calls the callback while there are losses to tell. It has a goroutine of its own: all
// workers may be waiting in Flush.
func (p *Plane) callBack() {
	x := &p.losses
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.calls) > 0 {
		l := x.calls[0]
		x.calls[0] = loss{}
		x.calls = x.calls[1:]
		x.callOne(p, l)
	}
	x.calls, x.calling = nil, false
}

// callOne tells the callback of one loss, without mu. A callback that ends its goroutine
// (runtime.Goexit, and so t.Fatal) counts as not told, and another goroutine tells the rest.
func (x *losses) callOne(p *Plane, l loss) {
	x.mu.Unlock()
	ok, returned := false, false
	defer func() {
		x.mu.Lock()
		x.callBytes -= l.size
		if !ok {
			x.takeBack(l)
		}
		x.called = l.seq
		if x.late = x.flushes > 0; !x.late {
			x.forgetTold(l.Sink)
		}
		if x.latest[l.Sink] == l.seq {
			delete(x.latest, l.Sink)
		}
		x.returned.Broadcast()
		if !returned {
			p.wg.Go(p.callBack)
		}
	}()
	ok = p.callUser(l.Undelivered)
	returned = true
}

// callUser calls the callback. It returns false if the callback panics, and does not return if it
// ends its goroutine.
func (p *Plane) callUser(u Undelivered) (ok bool) {
	defer func() {
		switch v := recover(); {
		case v != nil:
			p.counters.panics.Add(1)
			p.logPanic("callback for undelivered messages panicked", "sink", u.Sink, v)
		case !ok:
			p.counters.panics.Add(1)
			p.logPanic("callback for undelivered messages ended its goroutine", "sink", u.Sink, "runtime.Goexit")
		}
	}()
	call{p: p, undelivered: &u}.inside(p.Owner)
	return true
}

// awaitCalls waits until the callback has returned for all losses of these sinks so far, or of
// all sinks. Handlers and callbacks do not wait: they might wait for themselves.
func (p *Plane) awaitCalls(ctx context.Context, sinks []uint64) error {
	if ctx.Value(handlerKey{}) == p {
		return nil
	}
	x := &p.losses
	until := x.untold(sinks)
	for first := true; ; first = false {
		returned := x.returned.Next()
		x.mu.Lock()
		done := x.called >= until
		x.mu.Unlock()
		if done || first && Inside(p.Owner) { // a handler or callback with another context
			return nil
		}
		if err := p.await(ctx, returned, nil); err != nil {
			return err
		}
	}
}

func (x *losses) untold(sinks []uint64) (seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(sinks) == 0 {
		for _, s := range x.latest {
			seq = max(seq, s)
		}
	}
	for _, sink := range sinks {
		seq = max(seq, x.latest[sink])
	}
	return seq
}
