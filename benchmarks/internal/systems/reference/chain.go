package reference

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// Raw returns the reference for one hop.
func Raw() bench.System { return chains{relays: false} }

// Relay returns the reference for chains with relays.
func Relay() bench.System { return chains{relays: true} }

// RawStretches is [Raw] with many messages under one header.
func RawStretches() bench.System { return chains{relays: false, stretches: true} }

// RelayStretches is [Relay] with many messages under one header.
func RelayStretches() bench.System { return chains{relays: true, stretches: true} }

// OneWay returns either reference with a connection for each direction, as in a ring: answers
// do not come back on the connection of the question. TCP's acknowledgements then travel
// alone, which makes a round trip longer.
func OneWay() bench.System { return chains{oneWay: true} }

// chains builds chains of nodes. For every direction of every connection one goroutine
// writes, so no lock is needed.
type chains struct {
	relays    bool
	oneWay    bool // a connection for each direction
	stretches bool
}

func (c chains) Name() string {
	name := "raw"
	switch {
	case c.oneWay:
		name = "by hand, one-way"
	case c.relays:
		name = "relay by hand"
	}
	return stretched(name, c.stretches)
}

// stretched is the name of a reference with or without stretches.
func stretched(name string, stretches bool) string {
	if stretches {
		name += ", stretches"
	}
	return name
}

func (c chains) Supports(t bench.Topology) bool {
	return t.Shape == bench.Chain && !t.Memory && header+t.Payload <= batch && (c.oneWay || (t.Nodes > 2) == c.relays)
}

func (c chains) Start(ctx context.Context, t bench.Topology, deliver func(int, []byte)) (bench.Net, error) {
	n := &chain{last: t.Nodes - 1}
	// Each node's connections to read from and write to, on either side.
	type side struct{ in, out net.Conn }
	left, right := make([]side, t.Nodes), make([]side, t.Nodes)
	for i := range n.last {
		near, far, err := pair(ctx)
		if err != nil {
			return nil, errors.Join(err, n.Close())
		}
		n.conns = append(n.conns, near, far)
		right[i], left[i+1] = side{near, near}, side{far, far}
		if c.oneWay {
			if near, far, err = pair(ctx); err != nil {
				return nil, errors.Join(err, n.Close())
			}
			n.conns = append(n.conns, near, far)
			right[i].in, left[i+1].out = near, far
		}
	}
	n.first = &chainSender{source: 0, conn: right[0].out, buf: make([]byte, 0, batch), stretches: c.stretches}
	n.other = &chainSender{source: n.last, conn: left[n.last].out, buf: make([]byte, 0, batch), stretches: c.stretches}
	for i := range t.Nodes {
		if i > 0 {
			n.wg.Go(func() { pass(i, left[i].in, right[i].out, deliver) })
		}
		if i < n.last {
			n.wg.Go(func() { pass(i, right[i].in, left[i].out, deliver) })
		}
	}
	return n, nil
}

type chain struct {
	last         int
	first, other *chainSender // at either end
	conns        []net.Conn
	wg           sync.WaitGroup
}

// Sender returns the sender of either end; the other nodes only relay.
func (c *chain) Sender(node int) bench.Sender {
	if node == 0 {
		return c.first
	}
	return c.other
}

func (c *chain) Close() error {
	for _, conn := range c.conns {
		conn.Close()
	}
	c.wg.Wait()
	return nil
}

// pass handles one direction of a node. It delivers the node's own messages, and passes on
// the rest of each read in one write, without copying. Copying frame by frame, as relays with
// several ways out must, costs a tenth.
func pass(self int, in, out net.Conn, deliver func(int, []byte)) {
	buf := make([]byte, batch)
	held := 0 // bytes of buf that were read and not handled yet
	for {
		n, err := in.Read(buf[held:])
		if err != nil {
			return
		}
		b := buf[:held+n]
		start, at := 0, 0 // the bytes between them are to be passed on
		for {
			length, sink := whole(b[at:])
			if length == 0 {
				break
			}
			if sink == self {
				// All of the read is for this node: only the end of a chain is a sink.
				each(b[at:at+length], self, deliver)
				start = at + length
			}
			at += length
		}
		if start < at {
			if _, err := out.Write(b[start:at]); err != nil {
				return
			}
		}
		held = copy(buf, b[at:])
	}
}

// chainSender writes when a batch is full, or on Push. All of its messages have one sink.
type chainSender struct {
	source    int
	number    uint64
	conn      net.Conn
	buf       []byte
	stretches bool
	open      stretch
}

func (s *chainSender) Send(sink int, payload []byte) error {
	s.number++
	if s.stretches && len(payload) <= short {
		if !s.open.fits(payload) {
			if err := s.end(); err != nil {
				return err
			}
		}
		s.open.add(s.source, sink, s.number, payload)
		return nil
	}
	if err := s.end(); err != nil {
		return err
	}
	if err := s.room(header + len(payload)); err != nil {
		return err
	}
	s.buf = appendFrame(s.buf, s.source, sink, s.number, payload)
	return nil
}

// end ends the open stretch.
func (s *chainSender) end() error {
	err := s.room(len(s.open.b))
	s.buf = s.open.end(s.buf)
	return err
}

// room writes the buffer if it has no room for so many bytes more.
func (s *chainSender) room(n int) error {
	if len(s.buf)+n <= batch {
		return nil
	}
	return s.write()
}

func (s *chainSender) write() error {
	_, err := s.conn.Write(s.buf)
	s.buf = s.buf[:0]
	return err
}

func (s *chainSender) Push() error {
	if err := s.end(); err != nil || len(s.buf) == 0 {
		return err
	}
	return s.write()
}
