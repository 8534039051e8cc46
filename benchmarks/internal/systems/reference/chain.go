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

// OneWay returns either reference with a connection for each direction, as in a ring: answers
// do not come back on the connection of the question. TCP's acknowledgements then travel
// alone, which makes a round trip longer.
func OneWay() bench.System { return chains{oneWay: true} }

// chains builds chains of nodes. For every direction of every connection one goroutine
// writes, so no lock is needed.
type chains struct {
	relays bool
	oneWay bool // a connection for each direction
}

func (c chains) Name() string {
	switch {
	case c.oneWay:
		return "by hand, one-way"
	case c.relays:
		return "relay by hand"
	}
	return "raw"
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
	n.first = &chainSender{source: 0, conn: right[0].out, buf: make([]byte, 0, batch)}
	n.other = &chainSender{source: n.last, conn: left[n.last].out, buf: make([]byte, 0, batch)}
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
				deliver(self, b[at+header:at+length])
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

// chainSender writes when a batch is full, or on Push.
type chainSender struct {
	source int
	number uint64
	conn   net.Conn
	buf    []byte
}

func (s *chainSender) Send(sink int, payload []byte) error {
	if len(s.buf)+header+len(payload) > batch {
		if err := s.Push(); err != nil {
			return err
		}
	}
	s.number++
	s.buf = appendFrame(s.buf, s.source, sink, s.number, payload)
	return nil
}

func (s *chainSender) Push() error {
	if len(s.buf) == 0 {
		return nil
	}
	_, err := s.conn.Write(s.buf)
	s.buf = s.buf[:0]
	return err
}
