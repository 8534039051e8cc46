package plane

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// line is a connection with a life of a peer. It carries up to two links: one from the
// side that dialled, and one back, if the other side asks for it and is let. So where
// both are entries of each other one connection serves both.
//
// Each direction is begun at most once and ended at most once. It ends with a frame that
// says so, behind everything else; whoever hears it and sends nothing himself closes
// the connection. That the accepting side has to ask is so that the dialling side
// always knows whether anything may come: it can tell when it has received all that
// there is (see [Plane.Drain]), and nobody sends on what the other is closing.
type line struct {
	// static after construction
	p        *Plane
	conn     net.Conn
	id, life uint64 // the peer
	dialled  bool   // by this node

	// guarded by Plane.mu; theirs is changed by who reads
	mine, theirs half
	out          *outLink    // nil until there is something to write
	in           *reception  // nil until the peer sends
	timer        *time.Timer // closes a connection that the peer does not close

	tell func(error) // hears how it ended; may be nil
}

// half is the state of one direction of a line.
type half uint8

const (
	unused half = iota
	asked       // the peer, who has dialled, was asked whether it may be used
	open
	over // the end was said, or waits behind what is being written
)

// line registers a connection; it needs mu.
func (p *Plane) line(conn net.Conn, id, life uint64, dialled bool) *line {
	l := &line{p: p, conn: conn, id: id, life: life, dialled: dialled}
	if dialled {
		l.mine = open
		l.writer()
	} else {
		l.theirs, l.in = open, p.reception(l)
	}
	p.lines[l] = struct{}{}
	return l
}

// writer needs mu.
func (l *line) writer() *outLink {
	if l.out == nil {
		l.out = l.p.newLink(l)
		l.out.KeepLeftover()
	}
	return l.out
}

// peer is the other end, as logs show it.
func (l *line) peer() slog.Attr {
	return slog.Group("peer", "id", l.id, "addr", l.conn.RemoteAddr())
}

// run is the goroutine of a line. It reads until the connection ends, or another goroutine
// takes its place, see [reception.handOver].
func (l *line) run() {
	var err error
	if l.in == nil {
		err = l.listen()
	}
	if err == nil {
		err = l.in.run()
	}
	l.done(err)
}

// done does what there is to do when reading has ended, unless another goroutine goes on.
func (l *line) done(err error) {
	if err == errHandedOver {
		return
	}
	l.ended(err)
	if err != io.EOF && errors.Is(err, net.ErrClosed) {
		err = net.ErrClosed
	}
	if l.tell != nil {
		l.tell(err)
	}
}

// listen reads a line on which the peer sends nothing, until it may. Most lines stay like
// this for ever, so nothing is kept for them that is not needed.
func (l *line) listen() error {
	var b [wire.HeaderSize]byte
	for l.in == nil {
		if _, err := io.ReadFull(l.conn, b[:]); err != nil {
			return err
		}
		if err := l.local(b[:]); err != nil {
			return err
		}
	}
	return nil
}

// local takes a frame that does not leave the connection, or is not right on it.
func (l *line) local(f wire.Frame) error {
	t := f.Type()
	ok := t.ConnectionOnly() && l.id != l.p.Self && f.IsBare(t)
	sends := l.theirs == open && !l.in.last
	switch {
	case !ok:
	case t == wire.Ping && sends:
		return l.answerPing(f.Seq())
	case t == wire.Pong:
		l.p.mu.RLock()
		out := l.out
		l.p.mu.RUnlock()
		if out != nil && out.probe.hear(f.Seq()) {
			return nil
		}
	case t == wire.Share && l.dialled && l.theirs == unused:
		l.share()
		return nil
	case t == wire.Shared && !l.dialled:
		if l.shared() {
			return nil
		}
	case t == wire.End && sends:
		l.in.last = true // what came before it is taken in first
		return nil
	}
	return fmt.Errorf("%w here: a %v frame of %d bytes", wire.ErrType, t, len(f))
}

// urgent is a frame about the line.
func urgent(t wire.Type, nonce uint64) []byte {
	return wire.Append(nil, wire.Header{Type: t, Seq: nonce}, nil)
}

// quiet notes that all that the peer had to send has been taken in.
func (l *line) quiet() {
	p := l.p
	p.mu.Lock()
	l.theirs = over
	done, out := l.mine != open, l.out
	p.converge(l.id)
	p.mu.Unlock()
	p.changes.broadcast()
	if done && out != nil {
		out.RetireWithin(retireTimeout) // when all is written
	} else if done {
		l.conn.Close()
	}
}

// retireTimeout is how long a link that is not used any more may take to write what
// it holds, and the peer then to close the connection if it does not use it: a peer that
// does not read must not keep it for ever.
const retireTimeout = 10 * time.Second

// retire must be called without mu, by who has taken the link out of use and set
// mine to over.
func (l *outLink) retire() {
	l.space.broadcast() // who waits for it has another way now
	l.Finish(urgent(wire.End, 0), retireTimeout)
	l.p.mu.Lock()
	if _, up := l.p.lines[l.line]; up && l.timer == nil {
		l.timer = time.AfterFunc(retireTimeout, l.letGo)
	} else if up {
		l.timer.Reset(retireTimeout)
	}
	l.p.mu.Unlock()
}

// letGo ends a line on which this node has said the end long ago, unless the peer goes
// on using it.
func (l *line) letGo() {
	l.p.mu.RLock()
	used := l.theirs == open && !l.p.draining.Load()
	l.p.mu.RUnlock()
	if !used {
		l.p.hangUp(l, net.ErrClosed)
	}
}

// close closes the connection. What writes to it, if anything does, must know why.
func (l *line) close(out *outLink, err error) {
	if out != nil {
		out.Fail(err)
	} else {
		l.conn.Close()
	}
}

// ended takes down a line whose connection has ended. What waits for its link goes
// another way.
func (l *line) ended(err error) {
	p := l.p
	p.mu.Lock()
	was := l.mine
	l.theirs = over // nobody asks any more
	out, in := l.out, l.in
	p.mu.Unlock()
	if out != nil {
		p.unlink(out) // closing may take a while
	}
	l.close(out, err)
	if out != nil {
		left := out.Leftover()
		if p.closing.Load() {
			left.Clear()
		} else {
			p.requeue(out, &left)
			p.divert(out)
		}
		out.Close()
	}
	p.mu.Lock()
	delete(p.lines, l)
	if l.timer != nil {
		l.timer.Stop()
	}
	if out != nil {
		bytes, writes := out.Stats()
		p.counters.casts.Add(out.Frames())
		p.counters.bytesOut.Add(bytes)
		p.counters.writes.Add(writes)
	}
	if in != nil {
		bytes, reads := in.r.Stats()
		p.counters.bytesIn.Add(bytes)
		p.counters.reads.Add(reads)
	}
	closed := p.closed
	p.mu.Unlock()
	p.changes.broadcast()
	if in != nil {
		in.r.Free()
	}
	if closed || was < open { // there is no link of this node's
		return
	}
	switch why := out.Err(); { // of this side, if it ended the link: reading then says only that it is closed
	case errors.Is(why, net.ErrClosed):
	case why == io.EOF && was == open: // the peer has left
		p.Log.Info("link ended", l.peer())
	case why != io.EOF:
		p.Log.Warn("link ended", l.peer(), "err", why)
	}
}
