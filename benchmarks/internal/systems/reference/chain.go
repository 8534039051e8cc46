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

// OneWay returns either with a connection for each direction, as a ring has them:
// answers do not come back on the connection of what they answer. Acknowledgements
// of TCP then travel alone, which makes a round trip longer.
func OneWay() bench.System { return chains{oneWay: true} }

// chains builds chains of nodes. Every direction of every connection has one
// goroutine that writes to it, so nothing is locked.
type chains struct {
	relays bool
	oneWay bool // a connection for each direction, and with relays or without
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
	// Of each node, what it reads from and writes to, on either side.
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

// Sender returns the sender of either end; those in between only relay.
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

// pass is what a node does with one direction: it delivers what is for it, and
// passes on the rest of what a read brought in one write, as it lies there.
// Copying it frame by frame, as relays with several ways out must, costs a tenth.
func pass(self int, in, out net.Conn, deliver func(int, []byte)) {
	buf := make([]byte, batch)
	held := 0 // bytes of buf that have been read and not dealt with
	for {
		n, err := in.Read(buf[held:])
		if err != nil {
			return
		}
		b := buf[:held+n]
		start, at := 0, 0 // what lies between them is to be passed on
		for {
			length, sink := whole(b[at:])
			if length == 0 {
				break
			}
			if sink == self {
				// Not mixed with others: only the end of a chain is a sink.
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

// chainSender writes when a batch is full, or when it is told to.
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
