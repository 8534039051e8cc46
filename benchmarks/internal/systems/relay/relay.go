package relay

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/systems/flow"
)

// Frame is a message with its source and sink.
type Frame struct {
	Src, Dst int
	Payload  []byte
}

// Wire makes links.
type Wire interface {
	// Open makes a link from one node to another. The other end calls accept once, and then
	// the methods of the result.
	Open(ctx context.Context, from, to int) (Link, error)

	// Close closes all links and waits for the goroutines that read from them.
	Close() error
}

// Link is the sending end of a link. One goroutine at a time uses it.
type Link interface {
	// Send waits while the link has no room. The payload is borrowed.
	Send(Frame) error

	// Flush sends what Send has gathered, if it gathers.
	Flush() error
}

// System relays over links of some kind.
type System struct {
	Title string
	// Listen readies the nodes for links. For each incoming link, accept must be called with
	// the number of its node; nil means that the net is closed.
	Listen func(t bench.Topology, accept func(node int) *Inbound) (Wire, error)
}

// Name is its name in the tables.
func (s System) Name() string { return s.Title }

// Supports everything that goes over TCP.
func (s System) Supports(t bench.Topology) bool { return !t.Memory && t.Nodes > 1 }

// Start opens all links.
func (s System) Start(ctx context.Context, t bench.Topology, deliver func(int, []byte)) (bench.Net, error) {
	n := &network{top: t, deliver: deliver, routes: newRoutes(t), up: make(chan struct{}), down: make(chan struct{})}
	for range t.Nodes {
		n.windows = append(n.windows, flow.NewWindow(min(1<<20, 32<<20/t.Nodes), t.Nodes-1, t.Payload))
	}
	n.handled = make([]int, t.Nodes*t.Nodes)
	n.links = make([][]Link, t.Nodes)
	var err error
	if n.wire, err = s.Listen(t, n.accept); err != nil {
		return nil, err
	}
	for from, peers := range n.routes.peers {
		for _, to := range peers {
			l, err := n.wire.Open(ctx, from, to)
			if err != nil {
				return nil, errors.Join(err, n.Close())
			}
			if t.Shape == bench.Ring {
				q := newQueue(l, n.fail)
				n.queues = append(n.queues, q)
				l = q
			}
			n.links[from] = append(n.links[from], l)
		}
	}
	close(n.up)
	return n, nil
}

// network is a running topology.
//
// In a chain only one goroutine writes to a link: the node's own, or the one that reads from
// the other side. So relays write directly, and block: TCP bounds the bytes in flight. In a
// ring, relays that block could wait for each other in a cycle. So there links queue without
// blocking, and every source has a window. The sinks release it within the process, which
// costs these systems next to nothing.
type network struct {
	top     bench.Topology
	deliver func(int, []byte)
	routes  routes
	wire    Wire
	links   [][]Link // by node, as routes.peers
	queues  []*queue
	windows []*flow.Window // by source
	handled []int          // bytes to release, by sink and source; owned by the goroutine that delivers

	up   chan struct{} // closed when all links are open
	down chan struct{} // closed by Close or the first failure
	once sync.Once
}

// fail ends everything, since a lost link loses messages.
func (n *network) fail() {
	n.once.Do(func() {
		close(n.down)
		for _, w := range n.windows {
			w.Close()
		}
	})
}

// Close stops everything.
func (n *network) Close() error {
	n.fail()
	err := n.wire.Close() // wakes queues that wait in a link
	for _, q := range n.queues {
		q.close()
	}
	return err
}

// Inbound is the receiving end of a link, for the goroutine that reads from it.
type Inbound struct {
	net   *network
	node  int
	dirty []bool // by out-link: not flushed yet
}

func (n *network) accept(node int) *Inbound {
	select {
	case <-n.up:
		return &Inbound{net: n, node: node, dirty: make([]bool, len(n.links[node]))}
	case <-n.down:
		return nil
	}
}

// Handle delivers a frame or relays it. After an error the link must be closed.
func (in *Inbound) Handle(f Frame) error {
	n := in.net
	if f.Src < 0 || f.Src >= n.top.Nodes || f.Dst < 0 || f.Dst >= n.top.Nodes {
		n.fail()
		return errors.New("a frame from or to nobody")
	}
	if f.Dst != in.node {
		i := n.routes.next[in.node][f.Dst]
		in.dirty[i] = true
		return in.check(n.links[in.node][i].Send(f))
	}
	n.deliver(f.Dst, f.Payload)
	if n.top.Shape == bench.Ring {
		w, h := n.windows[f.Src], &n.handled[f.Dst*n.top.Nodes+f.Src]
		if *h += len(f.Payload) + flow.Overhead; *h >= w.Step {
			w.Release(*h)
			*h = 0
		}
	}
	return nil
}

// Drained must be called when no more input is there for now.
func (in *Inbound) Drained() error {
	for i, d := range in.dirty {
		if d {
			in.dirty[i] = false
			if err := in.check(in.net.links[in.node][i].Flush()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in *Inbound) check(err error) error {
	if err != nil {
		in.net.fail()
	}
	return err
}

// Sender returns the sending end of a node.
func (n *network) Sender(node int) bench.Sender { return sender{n, node} }

type sender struct {
	net  *network
	node int
}

func (s sender) Send(sink int, payload []byte) error {
	n := s.net
	if n.top.Shape == bench.Ring && !n.windows[s.node].Take(len(payload)) {
		return net.ErrClosed
	}
	return n.links[s.node][n.routes.next[s.node][sink]].Send(Frame{s.node, sink, payload})
}

func (s sender) Push() error {
	for _, l := range s.net.links[s.node] {
		if err := l.Flush(); err != nil {
			return err
		}
	}
	return nil
}
