// Package nats is NATS core with an embedded server: a subject and a connection per node,
// over loopback TCP.
//
// NATS core does not wait for slow consumers: the server closes their connections, and the
// client drops messages. To lose nothing, every source has a window. It puts a reply subject
// on the message that completes a step, and the sink answers when it has handled it. That is
// the flow control that NATS' documentation advises for core publishers. With ten nodes one
// message in 57 or more is answered, and with a hundred one in 295, 67 and 6 (8, 256, 4096 B).
//
// Each source may have 4 MiB in flight, half of what ringdht's SendBuffer allows. With 8 MiB a
// ring of ten takes up to an eighth more processor time, and one of a hundred about as much.
// Rejected: 40 MiB for all sources together. In a ring of a hundred every message of 4096 bytes is
// answered then, and a message takes 1.1 to 1.2 times the processor time.
//
// Otherwise NATS is used with its defaults, since they are its fast path: asynchronous
// subscriptions, and the client's flusher, which batches by itself. Write buffers of 64 KiB
// and 256 KiB were no faster than its 32 KiB.
package nats

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/systems/flow"
)

// New returns the system.
func New() bench.System { return system{} }

type system struct{}

func (system) Name() string { return "NATS core" }

// Supports rings, and chains of three, in which the server is the relay. A longer chain would
// be a program of the user's own that subscribes and publishes again.
func (system) Supports(t bench.Topology) bool {
	return !t.Memory && (t.Shape == bench.Ring && t.Nodes > 1 || t.Shape == bench.Chain && t.Nodes == 3)
}

func (system) Start(_ context.Context, t bench.Topology, deliver func(int, []byte)) (bench.Net, error) {
	url, stop, err := Serve()
	if err != nil {
		return nil, err
	}
	n := &network{nodes: make(map[int]*Node), stop: stop}
	for i := range t.Nodes {
		if !Client(t, i) {
			continue
		}
		if n.nodes[i], err = Connect(url, i, t, deliver); err != nil {
			delete(n.nodes, i)
			n.Close()
			return nil, err
		}
	}
	return n, nil
}

// Client reports whether a node is a client. The relay of a chain is the server.
func Client(t bench.Topology, node int) bool {
	return t.Shape == bench.Ring || node == 0 || node == t.Nodes-1
}

type network struct {
	nodes map[int]*Node
	stop  func()
}

func (n *network) Sender(node int) bench.Sender { return n.nodes[node] }

func (n *network) Close() error {
	for _, c := range n.nodes {
		c.Close()
	}
	n.stop()
	return nil
}

// Serve starts a server on a free port. It returns its URL and a function that stops it.
func Serve() (url string, stop func(), err error) { return ServeWith(&server.Options{}) }

// ServeWith is Serve with options. It sets only those that do not affect speed.
func ServeWith(o *server.Options) (url string, stop func(), err error) {
	o.Host, o.Port, o.NoLog, o.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, true
	// It stalls publishers at three quarters, and closes the connection of a sink that is so far
	// behind. The windows of a hundred sources stay below, even if all have the same sink.
	o.MaxPending = 1 << 30
	s, err := server.NewServer(o)
	if err != nil {
		return "", nil, err
	}
	s.Start()
	stop = func() { s.Shutdown(); s.WaitForShutdown() }
	if !s.ReadyForConnections(10 * time.Second) {
		stop()
		return "", nil, errors.New("nats: the server does not come up")
	}
	return s.ClientURL(), stop, nil
}

// NewWindow returns the window of a source.
func NewWindow(t bench.Topology) *flow.Window {
	return flow.NewWindow(window, t.Nodes-1, t.Payload)
}

const window = 4 << 20 // bytes of a source in flight

// Node is the client of one node, in this process or in one of its own.
type Node struct {
	conn     *nats.Conn
	window   *flow.Window
	mark     string   // where sinks answer when a step is complete
	subjects []string // of the nodes
	steps    []int    // bytes of the incomplete step, by sink
	ended    sync.WaitGroup
}

// Connect starts the client of a node. When it returns, the server knows the node's
// subscriptions. Messages for a node whose Connect has not returned are lost.
func Connect(url string, node int, t bench.Topology, deliver func(sink int, payload []byte)) (*Node, error) {
	n := &Node{
		window: NewWindow(t), mark: "mark." + strconv.Itoa(node),
		subjects: make([]string, t.Nodes), steps: make([]int, t.Nodes),
	}
	for i := range n.subjects {
		n.subjects[i] = "node." + strconv.Itoa(i)
	}
	var err error
	n.conn, err = nats.Connect(url, nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { n.window.Close() }))
	if err != nil {
		return nil, err
	}
	err = n.subscribe(n.subjects[node], func(m *nats.Msg) {
		deliver(node, m.Data)
		if m.Reply != "" {
			// It fails only if the connection is lost, and then the window closes.
			_ = n.conn.Publish(m.Reply, nil)
		}
	})
	if err == nil {
		err = n.subscribe(n.mark, func(*nats.Msg) { n.window.Release(n.window.Step) })
	}
	if err == nil {
		err = n.conn.Flush()
	}
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// subscribe removes the client's limits of pending messages, at which it drops: the windows
// bound them.
func (n *Node) subscribe(subject string, handle nats.MsgHandler) error {
	sub, err := n.conn.Subscribe(subject, handle)
	if err != nil {
		return err
	}
	n.ended.Add(1)
	sub.SetClosedHandler(func(string) { n.ended.Done() })
	return sub.SetPendingLimits(-1, -1)
}

// Send publishes.
func (n *Node) Send(sink int, payload []byte) error {
	if !n.window.Take(len(payload)) {
		return net.ErrClosed
	}
	step := &n.steps[sink]
	if *step += len(payload) + flow.Overhead; *step < n.window.Step {
		return n.conn.Publish(n.subjects[sink], payload)
	}
	*step -= n.window.Step
	return n.conn.PublishRequest(n.subjects[sink], n.mark, payload)
}

// Push does nothing: every publish wakes the client's flusher.
func (n *Node) Push() error { return nil }

// Close closes the connection and waits until no message is being handled.
func (n *Node) Close() {
	n.window.Close()
	n.conn.Close()
	n.ended.Wait()
}
