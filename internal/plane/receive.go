package plane

import (
	"errors"
	"math"
	"net"

	"github.com/x/ringdht/internal/demux"
	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/peers"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/internal/workers"
)

// inLink is a link from a peer. The goroutine that reads the connection owns it.
type inLink struct {
	p     *Plane
	conn  *peers.Conn
	ended func(error) // receives the reason when reading has ended; may be nil
	r     *link.Reader
	from  uint64 // the peer
	heard bool   // a frame has come

	demux demux.Demux    // of the present batch
	turns workers.Lender // of what has something for a handler now

	replies       []byte   // frames that answer what was received
	acceptedBytes int      // bytes added to inboxes, in this batch
	uncharged     int      // of these, those that the receive buffer does not count yet
	service       *service // of uncharged
	frames        int64
	relayed       int64     // messages relayed for runPort and not yet counted
	runPort       uint8     // of a traffic run, see setRunPort
	toldReset     streamKey // stream that was last answered with a Reset, in this batch
	toldFarewell  streamKey // stream that was last answered with a Farewell, in this batch
	crowdedBytes  int       // bytes offered to crowded queues since the last pause, see slowDown
	mustPause     bool      // a pause is due
	crowded       bool      // a queue fills up, see slowDown
}

func (p *Plane) newInLink(c *peers.Conn, r *link.Reader, ended func(error)) *inLink {
	l := &inLink{p: p, conn: c, r: r, ended: ended, from: c.Peer().ID, service: &p.services[0]}
	l.toldReset, l.toldFarewell = noStream, noStream
	l.demux.Clear()
	l.turns = p.workers.Lender(l.readOn)
	return l
}

// AddLink takes over a connection that this node has dialled, after its handshake, see
// [peers.Set.Dialled].
func (p *Plane) AddLink(id, inc uint64, nc net.Conn) {
	if c := p.Dialled(id, inc, nc); c != nil {
		p.wg.Go(func() { p.read(c, nil) })
	}
}

// loopback is the link of the node to itself, or nil if the plane is closed.
func (p *Plane) loopback() *peers.Link {
	l, far := p.Loopback()
	if far != nil {
		p.wg.Go(func() { p.read(far, nil) })
	}
	return l
}

// Receive takes over a connection that an incarnation of a peer has dialled, after its handshake.
// It reads until the connection ends, on this goroutine and on others that replace it. Then it
// calls ended with the reason; io.EOF and errors that match net.ErrClosed are ordinary ends.
//
// over reports whether that incarnation has ended, see [peers.Set.Accept]. Both functions may be nil.
func (p *Plane) Receive(nc net.Conn, from, inc uint64, over func() bool, ended func(error)) {
	p.ReceiveFrom(nc, from, inc, p.IsStranger(from, inc), over, ended)
}

// ReceiveFrom is [Plane.Receive] for a caller that has called [peers.Set.IsStranger]: that needs more
// stack than reading does, and the goroutine of an idle link should have a small one.
func (p *Plane) ReceiveFrom(nc net.Conn, from, inc uint64, stranger bool, over func() bool, ended func(error)) {
	c := p.Accept(nc, from, inc, stranger, over)
	if c == nil {
		if ended != nil {
			ended(net.ErrClosed)
		}
		return
	}
	p.wg.Add(1) // Close waits for the connection first, so it has not waited for wg yet
	defer p.wg.Done()
	p.read(c, ended)
}

// read reads a connection until it ends, or until another goroutine takes over, see
// [workers.Lender].
func (p *Plane) read(c *peers.Conn, ended func(error)) {
	r, err := c.AwaitReader()
	if err == nil {
		err = p.newInLink(c, r, ended).run()
	}
	p.readEnded(c, err, ended)
}

// readEnded cleans up after the last read, unless another goroutine reads on. Frames that waited
// for the connection's link take another way.
func (p *Plane) readEnded(c *peers.Conn, err error, ended func(error)) {
	if err == errHandedOver {
		return
	}
	l, left := c.End(err)
	if p.closing.Load() {
		left.Clear()
	} else if l != nil {
		p.requeue(l, &left)
		p.reattach(l)
	}
	if err = c.Remove(err); ended != nil {
		ended(err)
	}
}

// run reads until the connection ends or another goroutine reads on.
func (l *inLink) run() error {
	for {
		batch, err := l.r.Buffered()
		if err != nil {
			return err
		}
		n, err := l.dispatch(batch)
		l.r.Consume(n)
		if n > 0 && !l.heard {
			l.heard = true
			l.conn.Heard()
		}
		l.finishBatch()
		if err != nil {
			l.turns.Leave()
			return err
		}
		if !l.turns.Call() {
			return errHandedOver
		}
		l.afterBatch()
	}
}

// errHandedOver ends a reader whose connection was handed over.
var errHandedOver = errors.New("another goroutine reads on")

// readOn is the new reader of a connection that was handed over.
func (l *inLink) readOn() {
	l.afterBatch()
	l.p.readEnded(l.conn, l.run(), l.ended)
}

// noStream is a stream that is none.
var noStream = streamKey{port: noPort}

// dispatch looks at each frame's header once. It takes in frames for this node and notes the
// others for the link to their next hop. It does not look at bodies. It returns how many bytes
// are whole frames. An error is about a frame that may not come over a link; the frames before it
// count.
func (l *inLink) dispatch(batch []byte) (at int, err error) {
	p := l.p
	s := p.Routes()
	l.demux.FitWays(len(s.Ways))
	shut := p.fence.Up()
	limit := MaxFrame(p.MaxPayload)

	// A message often follows one from the same source to the same sink, and goes the same way:
	// it extends run, if there is one.
	var before wire.Flow
	run, onward, far := int32(-1), false, uint16(0)
	for {
		n := wire.Whole(batch[at:], limit)
		if n == 0 {
			break // part of a frame, or none: the reader checks it
		}
		from := at
		at += n
		f := wire.Frame(batch[from:at:at])
		if run >= 0 && before.Matches(f) {
			f.SetHops(far)
			l.demux.Extend(run, at)
			l.frames++
			if onward {
				l.relayed += int64(f.Messages())
			}
			continue
		}
		run = -1
		if f.Type().ConnectionOnly() || l.conn.Ending() {
			if err = l.conn.Handle(f); err != nil {
				break
			}
			continue
		}
		l.frames++
		before = f.Flow()
		hops := int(f.Hops())
		if l.from != p.Self { // the loopback is not a link of the ring
			hops++
			f.SetHops(uint16(min(hops, math.MaxUint16)))
		}
		dst := f.Dst()
		if dst == p.Self {
			if !l.acceptable(f) {
				p.counters.malformed.Add(int64(f.Messages()))
				p.countWasteHere(f)
				continue
			}
			switch f.Type() {
			case wire.Data, wire.Sync, wire.Open, wire.Close:
				port := wire.StreamPort(f.Port())
				if run = l.demux.AddSource(f.Src(), port, from, at); run < 0 {
					l.receiveSources(batch)
					run = l.demux.AddSource(f.Src(), port, from, at)
				}
			case wire.Cast:
				if f.Port() == wire.NamedCast {
					l.receiveNamedCast(f)
					continue
				}
				run = l.demux.AddCast(from, at)
			default:
				l.handleFrame(f)
			}
			onward, far = false, f.Hops()
			continue
		}
		action, i := ring.Drop, 0
		if !shut {
			action, i = s.Relay(l.from, dst, hops, f.Detour())
		}
		if action != ring.Forward {
			if i = s.WayOf(action, i, dst); i < 0 {
				l.unroutable(f, action)
				continue
			}
			f.SetDetour(true) // no change if the action is Direct: it was set
		}
		to := l.demux.AddRelay(i, from, at)
		switch f.Type() {
		case wire.Data, wire.Cast:
			l.setRunPort(runOf(f))
			l.relayed += int64(f.Messages())
			if !f.Detour() {
				run, onward, far = to, true, f.Hops()
			}
		case wire.Trace:
			l.answerTrace(f, false)
		}
	}
	l.handOn(s, batch)
	return at, err
}

// acceptable reports whether a frame for this node can be from where it says, and has a port that its
// type can have. Only the loopback brings frames of the node itself.
func (l *inLink) acceptable(f wire.Frame) bool {
	src, port := f.Src(), f.Port()
	return src <= l.p.mask && (src != l.p.Self || l.from == src) &&
		(port <= wire.NamedCast || port >= firstTraffic || f.Type() != wire.Cast)
}

// handOn hands on the frames that dispatch has noted.
func (l *inLink) handOn(s *peers.Snapshot, batch []byte) {
	l.countRelays() // before they leave: their traffic run may be counted at once
	for _, i := range l.demux.Ways() {
		l.forward(s.Ways[i], batch, l.demux.Relayed(i))
	}
	l.receiveSources(batch)
	l.receiveCasts(batch)
	l.demux.Clear()
}

// forward hands frames to the writer of their next link. Frames that find its queue full are
// dropped and counted. Frames whose link has ended take another way.
func (l *inLink) forward(w peers.Way, batch []byte, spans []link.Span) {
	p := l.p
	for offered := spans; len(spans) > 0; offered = nil {
		taken, queued, due, err := w.Link.AppendSpans(batch, spans)
		if due {
			w.Link.WriteDirect()
		}
		if queued > p.LinkQueue/2 && offered != nil {
			// Dropped frames count too, although queued does not include them: the peer has sent
			// too much with them as well.
			bytes := 0
			for _, s := range offered {
				bytes += s.To - s.From
			}
			sent, _ := w.Link.Stats()
			l.slowDown(&w.Link.Throttle, sent, bytes)
		}
		if w.Detour {
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
			p.countQueueFull(frames)
			continue
		}
		// The link has ended, or a new table has retired it. Route each frame again.
		for len(frames) > 0 {
			var f wire.Frame
			f, frames = wire.Next(frames)
			p.reroute(w.Link, f)
		}
	}
}

// finishBatch sends the answers to a batch. It also leaves handlers to workers if the batch is
// too large to call them here.
func (l *inLink) finishBatch() {
	p := l.p
	l.chargeAccepted()
	if l.acceptedBytes > fewBytes {
		l.turns.Leave()
	}
	l.acceptedBytes = 0
	for b := l.replies; len(b) > 0; {
		var f wire.Frame
		f, b = wire.Next(b)
		p.emit(f.Dst(), f) // nothing to do if there is no way back to the source
	}
	l.replies = l.replies[:0]
	l.toldReset, l.toldFarewell = noStream, noStream
	p.counters.frames.Add(l.frames)
	l.frames = 0
}

// unroutable drops and counts a frame that this node can neither take in nor send on. It tells
// the source only of reasons that will not pass.
func (l *inLink) unroutable(f wire.Frame, a ring.Action) {
	l.p.countUnroutable(f, a)
	l.p.countWasteHere(f)
	switch a {
	case ring.HopLimit:
		l.refuse(f, wire.HopLimit)
	case ring.NoSuchNode:
		l.refuse(f, wire.NoSuchNode)
	}
}

// refuse tells the source of a frame that the frame was dropped. Answers are never answered, or
// two relays could keep each other busy for ever.
func (l *inLink) refuse(f wire.Frame, why wire.NoRouteReason) {
	if !f.Type().Refusable() {
		return
	}
	body := wire.NoRouteBody{Type: f.Type(), Reason: why, Dst: f.Dst()}
	l.answer(wire.NoRoute, f, body.Append(nil))
}

// answer sends a frame back to the source of f, on the same stream and with the same sequence number.
func (l *inLink) answer(t wire.Type, f wire.Frame, body []byte) {
	l.replies = wire.Append(l.replies, wire.Header{Type: t, Port: wire.StreamPort(f.Port()), Dst: f.Src(), Src: l.p.Self, Seq: f.Seq()}, body)
}

// handleFrame handles a frame for this node that is not one of many.
func (l *inLink) handleFrame(f wire.Frame) {
	p := l.p
	switch t := f.Type(); t {
	case wire.Trace:
		l.answerTrace(f, true)
	case wire.Traced:
		p.traced(f)
	case wire.NoRoute:
		body, err := wire.ParseNoRoute(f.Body())
		if err != nil {
			p.counters.malformed.Add(1)
		} else if body.Type == wire.Trace {
			p.traceRefused(f, body)
		} else if o := p.findOutbound(body.Dst, f.Port()); o != nil {
			o.handleNoRoute(f.Seq(), body)
		}
	case wire.Farewell:
		l.handleFarewell(f)
	case wire.Opened, wire.Refuse, wire.Ack, wire.Reset, wire.Closed: // an answer to this node's half of a stream
		o := p.findOutbound(f.Src(), f.Port())
		if o == nil {
			p.strayAnswer(l, f)
			return
		}
		if !o.handleAnswer(f) {
			p.counters.malformed.Add(1)
		} else if t == wire.Opened && p.neverAsked(f) {
			l.denyOpened(f)
		}
	default: // of a later program
		p.counters.unknown.Add(1)
	}
}
