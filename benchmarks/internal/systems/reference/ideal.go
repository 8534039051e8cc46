package reference

import (
	"context"
	"errors"
	"math/bits"
	"net"
	"sync"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// Ideal returns the reference for rings.
func Ideal() bench.System { return ideal{} }

// IdealStretches is [Ideal] with many messages under one header.
func IdealStretches() bench.System { return ideal{stretches: true} }

// ideal builds rings. Entry i of a node is the node 2^i positions ahead. A message takes the
// entry closest to its sink that does not pass it.
type ideal struct{ stretches bool }

func (i ideal) Name() string { return stretched("ideal ring", i.stretches) }

func (ideal) Supports(t bench.Topology) bool {
	return t.Shape == bench.Ring && !t.Memory && header+t.Payload <= batch
}

func (s ideal) Start(ctx context.Context, t bench.Topology, deliver func(int, []byte)) (bench.Net, error) {
	r := &ring{}
	for i := range t.Nodes {
		r.nodes = append(r.nodes, s.node(i, t, deliver))
	}
	for i, n := range r.nodes {
		for e := range n.links {
			near, far, err := pair(ctx)
			if err != nil {
				return nil, errors.Join(err, r.Close())
			}
			n.open(e, near)
			r.nodes[(i+1<<e)%t.Nodes].accept(far)
		}
	}
	return r, nil
}

type ring struct{ nodes []*node }

func (r *ring) Sender(i int) bench.Sender { return r.nodes[i] }

func (r *ring) Close() error {
	for _, n := range r.nodes {
		n.hangUp()
	}
	for _, n := range r.nodes {
		n.wg.Wait()
	}
	return nil
}

// entries returns the size of a table.
func entries(t bench.Topology) int {
	all := bits.Len(uint(t.Nodes - 1)) // ceil(log2 Nodes)
	if t.Entries == 0 {
		return all
	}
	return min(t.Entries, all)
}

// node is a node of a ring, and its own sender.
type node struct {
	self      int
	stretches bool
	next      []int   // the entry to take for each sink
	links     []*link // of each entry
	ins       []net.Conn
	deliver   func(int, []byte)
	number    uint64 // of messages sent
	wg        sync.WaitGroup
}

func (s ideal) node(self int, t bench.Topology, deliver func(int, []byte)) *node {
	n := &node{self: self, stretches: s.stretches, deliver: deliver, next: make([]int, t.Nodes), links: make([]*link, entries(t))}
	for distance := 1; distance < t.Nodes; distance++ {
		n.next[(self+distance)%t.Nodes] = min(bits.Len(uint(distance)), len(n.links)) - 1
	}
	return n
}

func (n *node) open(entry int, conn net.Conn) {
	l := newLink(conn)
	if n.stretches {
		l.open = make([]stretch, len(n.next))
	}
	n.links[entry] = l
	n.wg.Go(l.write)
}

func (n *node) accept(conn net.Conn) {
	n.ins = append(n.ins, conn)
	n.wg.Go(func() { n.read(conn) })
}

func (n *node) hangUp() {
	for _, l := range n.links {
		if l != nil {
			l.close()
		}
	}
	for _, c := range n.ins {
		c.Close()
	}
}

func (n *node) Send(sink int, payload []byte) error {
	n.number++
	return n.links[n.next[sink]].send(n.self, sink, n.number, payload)
}

// Push does nothing: the links' writers send by themselves.
func (n *node) Push() error { return nil }

// read delivers and relays what one link brings. The frames of one read are gathered by way
// out, so that each lock is taken once.
func (n *node) read(in net.Conn) {
	gathered := make([][]byte, len(n.links))
	buf := make([]byte, batch)
	held := 0
	for {
		got, err := in.Read(buf[held:])
		if err != nil {
			return
		}
		b := buf[:held+got]
		at := 0
		for {
			length, sink := whole(b[at:])
			if length == 0 {
				break
			}
			frame := b[at : at+length]
			if sink == n.self {
				each(frame, n.self, n.deliver)
			} else {
				e := n.next[sink]
				g := gathered[e]
				if len(g)+length > cap(g) {
					g = grow(g, len(g)+length)
				}
				gathered[e] = append(g, frame...)
			}
			at += length
		}
		for e, g := range gathered {
			if len(g) > 0 {
				gathered[e] = n.links[e].relay(g)
			}
		}
		held = copy(buf, b[at:])
	}
}
