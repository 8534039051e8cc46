package plane

import (
	"context"
	"errors"
	"math"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// reception is a link from a peer. All of it but the first fields is owned by the goroutine
// that reads the connection.
type reception struct {
	call    atomic.Uint64 // odd while its owner calls handlers, see inline.go
	watched bool          // these two are guarded by the scheduler's mu
	seen    uint64

	p    *Plane
	ctx  context.Context // of handlers that its owner calls, nil before the first
	line *line
	r    *link.Reader
	from uint64 // the peer
	last bool   // it has said that this was all

	sorting // the batch at hand

	reply    []byte  // frames that answer what was received
	ready    []*turn // streams that became ready for a handler
	accepted int     // bytes added to inboxes
	frames   int64
	relayed  int64  // messages passed on, of
	port     uint8  // this run, see onRun
	reset    uint64 // source that was last told to reset, in this batch
	bid      uint64 // source that was last bid farewell, in this batch
	pressed  int    // bytes given to what is crowded since the last respite, see press
	rest     bool   // a respite is due
	crowded  bool   // something fills up, see press
}

func (p *Plane) reception(l *line) *reception {
	return &reception{p: p, line: l, from: l.id, reset: p.Self, bid: p.Self, sorting: sorting{cast: none}, r: link.NewReader(l.conn, wire.ScanFirst, MaxFrame(p.MaxPayload))}
}

// Receive takes over a connection that a life of a peer has dialled, and whose handshake is
// done. It reads, on this goroutine and on others that take its place, until the
// connection ends, and ended then hears why;
// io.EOF and errors that match net.ErrClosed are ordinary ends. over is asked whether that
// life is over when [Plane.Gone] would find the connection: what was known when the peer
// introduced itself may be out of date. Both may be nil.
func (p *Plane) Receive(conn net.Conn, from, life uint64, over func() bool, ended func(error)) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		conn.Close()
		if ended != nil {
			ended(net.ErrClosed)
		}
		return
	}
	l := p.line(conn, from, life, false)
	l.tell = ended
	p.wg.Add(1)
	p.mu.Unlock()
	defer p.wg.Done()
	if over != nil && over() {
		conn.Close()
	} else {
		p.mu.Lock()
		p.converge(from)
		p.mu.Unlock()
		p.changes.broadcast() // for who waits in AwaitLink
	}
	l.run()
}

// run reads until the connection ends or another goroutine reads on.
func (rc *reception) run() error {
	for {
		batch, err := rc.r.Buffered()
		if err != nil {
			return err
		}
		n, err := rc.sort(batch)
		rc.r.Consume(n)
		rc.finish()
		if err != nil {
			rc.schedule()
			return err
		}
		if !rc.callHandlers() {
			return errHandedOver
		}
		rc.breathe()
	}
}

// breathe is what follows a batch.
func (rc *reception) breathe() {
	if rc.rest {
		time.Sleep(respite)
	} else if rc.crowded {
		runtime.Gosched()
	}
	rc.rest, rc.crowded = false, false
	if rc.last && rc.line.theirs == open {
		rc.line.quiet()
	}
}

// sort looks at each frame's header once: frames for this node are taken in,
// the others are noted for the link to their next hop. Bodies are not looked at.
// It returns how many bytes are whole frames. An error is about what may not come over
// a link; what came before it counts.
func (rc *reception) sort(batch []byte) (at int, err error) {
	p := rc.p
	s := p.routes.Load()
	rc.fit(len(s.ways))
	shut := p.gate.shut.Load()
	limit := MaxFrame(p.MaxPayload)

	// A message often follows one from the same source to the same sink, and goes
	// wherever that went: to the end of run, if there is one.
	var before wire.Flow
	run, onward, far := int32(-1), false, uint16(0)
	for {
		n := wire.Whole(batch[at:], limit)
		if n == 0 {
			break // half of a frame, or none at all: the reader will see
		}
		from := at
		at += n
		f := wire.Frame(batch[from:at:at])
		if run >= 0 && before.Matches(f) {
			f.SetHops(far)
			rc.runs[run].to = int32(at)
			rc.frames++
			if onward {
				rc.relayed++
			}
			continue
		}
		run = -1
		if f.Type().ConnectionOnly() || rc.last {
			if err = rc.line.local(f); err != nil {
				break
			}
			continue
		}
		rc.frames++
		before = f.Flow()
		hops := int(f.Hops())
		if rc.from != p.Self { // the loopback is no link of the ring
			hops++
			f.SetHops(uint16(min(hops, math.MaxUint16)))
		}
		dst := f.Dst()
		if dst == p.Self {
			to := int32(-1)
			switch f.Type() {
			case wire.Data, wire.Sync, wire.Open, wire.Close:
				if to = rc.sorting.local(f.Src(), from, at); to < 0 {
					rc.takeGroups(batch)
					to = rc.sorting.local(f.Src(), from, at)
				}
			case wire.Cast:
				to = rc.add(&rc.cast, from, at)
			default:
				rc.local(f)
			}
			run, onward, far = to, false, f.Hops()
			continue
		}
		if shut || s.epoch == 0 {
			// Without a table there is no idea of who exists: this node is part of an
			// epoch that others use already. The stream asks again.
			p.counters.linkDown.Add(1)
			p.wasteAt(f)
			continue
		}
		detour := f.Detour() // to its end, which lies anywhere
		if !detour && ring.Distance(p.mask, rc.from, p.Self) > ring.Distance(p.mask, rc.from, dst) {
			// It passed its sink: the peer's table is wrong. To route it on would
			// take it around the ring again.
			p.counters.overshoot.Add(1)
			p.wasteAt(f)
			continue
		}
		if hops >= p.HopLimit {
			p.counters.hopLimit.Add(1)
			p.wasteAt(f)
			rc.refuse(f, wire.HopLimit)
			continue
		}
		var i int
		if detour {
			i = s.finish(dst)
		} else if i = ring.ClosestPreceding(p.mask, p.Self, dst, s.Up); i < 0 { // p.next, without the call
			if i = p.next(s, dst); i >= 0 {
				f.SetDetour(true)
			}
		}
		if i < 0 {
			p.wasteAt(f)
			if i == nobody {
				p.counters.noRoute.Add(1)
				rc.refuse(f, wire.NoSuchNode)
			} else {
				p.counters.linkDown.Add(1) // nothing is said: this may pass, and the stream asks again
			}
			continue
		}
		to := rc.relay(i, from, at)
		switch f.Type() {
		case wire.Data, wire.Cast:
			rc.onRun(runOf(f))
			rc.relayed++
			if !f.Detour() {
				run, onward, far = to, true, f.Hops()
			}
		case wire.Trace:
			rc.answerTrace(f, false)
		}
	}
	rc.countRelays() // before they leave: their run may be counted at once
	for _, i := range rc.touched {
		rc.pass(s.ways[i], batch, rc.stretches(rc.ways[i]))
	}
	rc.clearWays()
	rc.takeGroups(batch)
	rc.takeCasts(batch)
	rc.runs = rc.runs[:0]
	return at, err
}

// pass hands frames to the writer of their next link.
func (rc *reception) pass(w way, batch []byte, spans []link.Span) {
	p := rc.p
	for len(spans) > 0 {
		taken, queued, due, err := w.link.AppendSpans(batch, spans)
		if due {
			w.link.WriteDirect()
		}
		if queued > p.LinkQueue/2 { // what is dropped counts too
			sent, _ := w.link.Stats()
			rc.press(&w.link.pace, sent, spans[len(spans)-1].To-spans[0].From)
		}
		if w.detour {
			for _, s := range spans[:taken] {
				p.counters.detoured.Add(int64(wire.Count(batch[s.From:s.To])))
			}
		}
		spans = spans[taken:]
		if err == nil {
			return
		}
		frames := batch[spans[0].From:spans[0].To]
		spans = spans[1:]
		if errors.Is(err, link.ErrFull) {
			p.dropped(frames)
			continue
		}
		// The link ended, or was retired by a new table: look again, frame by frame.
		for len(frames) > 0 {
			var f wire.Frame
			f, frames = wire.Next(frames)
			p.reroute(w.link, f)
		}
	}
}

// finish sends the answers to a batch and wakes handlers that are not for this goroutine to
// call, once for all of it.
func (rc *reception) finish() {
	p := rc.p
	if accepted := rc.accepted; accepted != 0 {
		p.inbox.Add(int64(accepted))
		rc.accepted = 0
		if accepted > fewBytes {
			rc.schedule()
		}
	}
	for b := rc.reply; len(b) > 0; {
		var f wire.Frame
		f, b = wire.Next(b)
		p.emit(f.Dst(), f) // if the source is gone by now there is nobody to tell
	}
	rc.reply = rc.reply[:0]
	rc.reset, rc.bid = p.Self, p.Self
	p.counters.frames.Add(rc.frames)
	rc.frames = 0
}

// refuse tells the source of a frame that it goes no further. Answers are never
// answered: two relays could keep each other busy for ever.
func (rc *reception) refuse(f wire.Frame, why wire.NoRouteReason) {
	if !f.Type().Refusable() {
		return
	}
	body := wire.NoRouteBody{Type: f.Type(), Reason: why, Dst: f.Dst()}
	rc.answer(wire.NoRoute, f, body.Append(nil))
}

// answer sends a frame back to where f came from, with the same seq.
func (rc *reception) answer(t wire.Type, f wire.Frame, body []byte) {
	rc.reply = wire.Append(rc.reply, wire.Header{Type: t, Dst: f.Src(), Src: rc.p.Self, Seq: f.Seq()}, body)
}

// takeCasts takes in the casts of the batch, as many as there is room for.
func (rc *reception) takeCasts(batch []byte) {
	p := rc.p
	offered := 0
	for r := rc.cast.head; r >= 0; r = rc.runs[r].next {
		frames := batch[rc.runs[r].from:rc.runs[r].to]
		offered += len(frames)
		kept, ready := p.casts.add(frames, rc.room())
		rc.accepted += kept
		if ready {
			rc.ready = append(rc.ready, &p.casts.turn)
		}
		if kept < len(frames) {
			p.counters.inboxFull.Add(int64(wire.Count(frames[kept:])))
		}
	}
	if offered > 0 {
		if crowded, done := p.casts.crowded(); crowded {
			rc.press(&p.casts.pace, done, offered)
		}
	}
	rc.cast = none
}

// local takes a frame for this node that stands alone.
func (rc *reception) local(f wire.Frame) {
	p := rc.p
	switch t := f.Type(); t {
	case wire.Trace:
		rc.answerTrace(f, true)
	case wire.Traced:
		p.traced(f)
	case wire.NoRoute:
		body, err := wire.ParseNoRoute(f.Body())
		if err != nil {
			p.counters.malformed.Add(1)
		} else if body.Type == wire.Trace {
			p.traceRefused(f, body)
		} else if o := p.outboundTo(body.Dst); o != nil {
			o.noRoute(f.Seq(), body)
		}
	case wire.Farewell:
		rc.farewell(f)
	default: // the sink's half of a conversation
		o := p.outboundTo(f.Src())
		if o == nil {
			p.strayAnswer(rc, f)
			return
		}
		if !o.answered(f) {
			p.counters.malformed.Add(1)
		}
	}
}

// strayAnswer deals with an answer to a stream that this node does not have. A
// sink that opened one for an earlier life's request is told to forget it; that
// it has numbered nothing yet makes the reset match.
func (p *Plane) strayAnswer(rc *reception, f wire.Frame) {
	p.counters.stale.Add(1)
	if f.Type() != wire.Opened {
		return
	}
	if b, err := wire.ParseOpened(f.Body()); err == nil {
		rc.reply = wire.Append(rc.reply, wire.Header{Type: wire.Close, Dst: f.Src(), Src: p.Self, Seq: b.First}, nil)
	}
}
