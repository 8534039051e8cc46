package stream

import (
	"errors"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

// sourceNode is the process that sends. A new incarnation of it remembers nothing.
type sourceNode struct {
	w        *world
	id       uint64
	inc, gen uint64
	top      uint64 // the greatest incarnation so far
	smaller  uint64 // how many were smaller than one before
	s        *Sender
	log      *streamLog // nil until open
	ticked   Time
	flushed  bool

	waiting int         // bytes that were admitted and have not left
	from    fifo.Cursor // where they begin
	port    uint8       // of the latest message
	early   []message   // accepted before the stream is open
}

// incarnationStep is the distance between incarnations, with room for smaller, unused ones in between.
const incarnationStep = 1000

// restart begins another incarnation, which remembers nothing of the one before. behind means that
// it came from a clock that is behind.
func (c *sourceNode) restart(behind bool) {
	if behind {
		c.smaller++
		c.inc = c.top - c.smaller
	} else {
		c.top += incarnationStep
		c.inc = c.top
	}
	c.gen, c.s, c.log, c.waiting = 0, nil, nil, 0
}

func (c *sourceNode) open() {
	c.gen++
	c.s, c.log, c.flushed = NewSender(c.id, c.inc, sinkID, c.gen), nil, false
	c.waiting, c.early = 0, nil
	c.send(c.s.Start(c.w.now, nil))
}

func (c *sourceNode) act() {
	w := c.w
	if w.chance(w.restartSource) {
		c.restart(w.chance(w.behind))
	}
	for n := w.rng.IntN(8); n > 0 && w.chance(w.push); n-- {
		if c.s == nil || c.s.State() == Ended {
			c.open()
		}
		switch {
		case c.s.State() == Open:
			c.push()
		case c.s.State() == Opening && w.chance(w.early) && c.s.Backlog() < 10_000:
			m := c.draw()
			c.early = append(c.early, m)
			if c.s.Push(m.port, m.body) > 0 {
				w.ledger.fail("a message was sent before its stream was open")
			}
		}
	}
	if c.s == nil {
		return
	}
	if w.chance(w.flush) {
		c.send(c.s.Flush(w.now, nil))
	}
	if w.chance(w.ask) {
		c.send(c.s.Ask(w.now, nil))
	}
	if w.chance(w.close) {
		c.send(c.s.Close(w.now, nil))
	}
	if !w.chance(w.gather) {
		c.leave()
	}
}

// draw makes up a message.
func (c *sourceNode) draw() message {
	w := c.w
	size := 0
	if w.maxSize > 0 {
		size = w.rng.IntN(w.maxSize + 1)
		if w.chance(0.5) {
			size /= 8
		}
	}
	if w.maxSize > wire.MaxBundled && w.chance(0.2) {
		size = wire.MaxBundled + w.rng.IntN(2)
	}
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(w.rng.Uint32())
	}
	if w.chance(0.2) {
		c.port = uint8(w.rng.IntN(3))
	}
	return message{c.port, body}
}

func (c *sourceNode) push() {
	w := c.w
	m := c.draw()
	room := c.s.Room(len(m.body))
	if !room && (!w.chance(w.backlog) || c.s.Backlog() > 10_000) {
		c.send(c.s.Ask(w.now, nil))
		return
	}
	if room && c.s.Due() {
		c.send(c.s.AskAhead(w.now, nil))
	}
	n := c.accept(m)
	if (n > 0) != room {
		w.ledger.fail("Room said %v, Push admitted %d bytes", room, n)
	}
	if !room {
		c.send(c.s.Ask(w.now, nil))
		return
	}
	for !c.s.Due() && w.chance(0.3) {
		if m = c.draw(); !c.s.Room(len(m.body)) {
			return
		}
		if n = c.accept(m); n == 0 || n > wire.HeaderSize+len(m.body) {
			w.ledger.fail("a message of %d bytes that has room costs %d", len(m.body), n)
		}
	}
}

// accept gives a message to the sender. It waits with others until leave.
func (c *sourceNode) accept(m message) (n int) {
	if err := c.log.accepted(c.s.Accepted(), m.port, m.body); err != nil {
		c.w.ledger.fail("%w", err)
	}
	if n = c.s.Push(m.port, m.body); n > 0 {
		if c.waiting == 0 {
			c.from = c.s.Last(n)
		}
		c.waiting += n
	}
	return n
}

// leave sends what was admitted, several messages in a frame where they fit.
func (c *sourceNode) leave() {
	if c.waiting == 0 {
		return
	}
	var q fifo.Queue
	c.s.Copy(c.from, c.waiting, &q)
	c.waiting = 0
	for chunk := range q.Chunks() {
		c.transmit(chunk)
	}
	q.Clear()
}

// send sends frames behind all that was admitted before them.
func (c *sourceNode) send(out []byte) {
	if len(out) > 0 {
		c.leave()
		c.transmit(out)
	}
}

func (c *sourceNode) transmit(out []byte) {
	for _, f := range frames(out) {
		if f.Type() == wire.Data {
			if err := c.log.leaves(f); err != nil {
				c.w.ledger.fail("source %d: %w", c.id, err)
			}
		}
	}
	c.w.send(out)
}

// finish flushes, once, and closes when nothing is pending.
func (c *sourceNode) finish() {
	w := c.w
	if c.s == nil || c.s.State() != Open {
		return
	}
	c.leave()
	if c.s.Pending() == 0 {
		c.send(c.s.Close(w.now, nil))
	} else if !c.flushed {
		c.flushed = true
		c.send(c.s.Flush(w.now, nil))
	}
}

func (c *sourceNode) tick() {
	if c.s != nil && c.s.Waiting() && c.w.now-c.ticked >= tick {
		c.ticked = c.w.now
		c.send(c.s.Tick(c.w.now, nil))
	}
}

func (c *sourceNode) receive(f wire.Frame) {
	w := c.w
	if f.Type() == wire.Farewell {
		c.farewell(f)
		return
	}
	if c.s == nil || c.s.State() == Ended && c.s.Err() == nil {
		if b, err := wire.ParseOpened(f.Body()); err == nil && f.Type() == wire.Opened {
			w.send(wire.Append(nil, wire.Header{Type: wire.Close, Dst: sinkID, Src: c.id, Seq: b.First}, nil))
		}
		return
	}
	was := c.s.State()
	var out []byte
	var err error
	switch f.Type() {
	case wire.Opened:
		var b wire.OpenedBody
		b, err = wire.ParseOpened(f.Body())
		bundle := 0
		if f.Bundles() {
			bundle = w.bundle
		}
		out = c.s.Opened(w.now, f.Seq(), b, bundle, nil)
		if was == Opening && c.s.State() == Open {
			c.log = w.ledger.opened(c.id, c.inc, c.gen, c.s.First())
			for i, m := range c.early {
				if err := c.log.accepted(c.s.First()+uint64(i), m.port, m.body); err != nil {
					w.ledger.fail("%w", err)
				}
			}
		}
		if c.log != nil && b.First == c.log.first {
			c.log.grant = max(c.log.grant, int(b.Window))
		}
	case wire.Ack:
		if c.log != nil && f.Seq()-c.log.first <= uint64(len(c.log.sent)) {
			var a wire.AckBody
			a, _, _ = wire.ParseAck(f.Body(), nil)
			c.log.grant = max(c.log.grant, int(a.Window))
		}
		out, _, err = c.s.Ack(w.now, f.Seq(), f.Body(), nil)
	case wire.Refuse:
		var b wire.RefuseBody
		b, err = wire.ParseRefuse(f.Body())
		c.s.Refused(f.Seq(), b)
		if later := c.s.NewerIncarnation(); later > 0 {
			if later <= c.inc || later > c.top || c.s.State() != Opening {
				w.ledger.fail("source %d gives up incarnation %d in state %d: the sink remembers %d, the greatest was %d", c.id, c.inc, c.s.State(), later, c.top)
			}
			c.restart(false)
			c.open()
			return
		}
	case wire.Reset:
		c.s.Reset(f.Seq())
	case wire.Closed:
		c.s.Closed(f.Seq())
	case wire.NoRoute:
		var b wire.NoRouteBody
		b, err = wire.ParseNoRoute(f.Body())
		c.s.NoRoute(f.Seq(), b)
	}
	if err != nil {
		w.ledger.fail("source %d cannot read a %v: %v", c.id, f.Type(), err)
	}
	c.send(out)
	if was != Ended && c.s.State() == Ended {
		c.ended()
	}
	c.check()
}

// ended judges the reason: a stream must not fail if both ends live and its frames arrive.
func (c *sourceNode) ended() {
	w := c.w
	if c.log != nil {
		c.log.ended(c.s)
	}
	switch err := c.s.Err(); {
	case err == nil:
	case errors.Is(err, ErrReset):
		// An Open of an earlier incarnation with a greater number may come late, and replace the stream.
		if c.log.sinkIncarnation == w.sink.inc && c.inc == c.top {
			w.ledger.fail("source %d: a stream was reset by the incarnation that opened it", c.id)
		}
		if c.s.Pending() == 0 {
			w.ledger.fail("source %d: a stream with nothing pending failed", c.id)
		}
	case err == ErrLeft:
		if w.leave == 0 {
			w.ledger.fail("source %d: %v", c.id, err)
		}
		if c.log != nil && c.s.Pending() == 0 || c.s.Unknown() != 0 {
			w.ledger.fail("source %d: the sink left, %d messages are pending, %d of unknown outcome", c.id, c.s.Pending(), c.s.Unknown())
		}
		if n := c.log; n != nil && uint64(n.done) != c.s.Delivered()-n.first {
			w.ledger.fail("source %d: the sink left with %d messages handled, and the source believes %d", c.id, n.done, c.s.Delivered()-n.first)
		}
	case errors.Is(err, ErrRefused):
		if w.refuse == 0 {
			w.ledger.fail("source %d: %v", c.id, err)
		}
	case errors.Is(err, ErrNoSuchNode), errors.Is(err, ErrGone):
		if w.noRoute == 0 {
			w.ledger.fail("source %d: %v", c.id, err)
		}
	default:
		w.ledger.fail("source %d: %v", c.id, err)
	}
}

func (c *sourceNode) check() {
	if c.log != nil {
		c.w.ledger.check(c.log, c.s)
	}
}

// farewell handles the Farewell of a sink, and confirms it.
func (c *sourceNode) farewell(f wire.Frame) {
	over := c.s == nil || c.s.State() == Ended
	if !over && c.s.Farewell(c.w.now, f.Seq()) {
		over = true
		c.ended()
	}
	if over {
		c.w.send(wire.Append(nil, wire.Header{Type: wire.Close, Dst: sinkID, Src: c.id, Seq: f.Seq()}, nil))
	}
	c.check()
}
