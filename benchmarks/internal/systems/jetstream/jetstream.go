// Package jetstream is NATS JetStream with an embedded server: a stream in memory and a
// consumer per node, over loopback TCP. It is NATS' nearest equivalent to ringdht's
// guarantee: publishes are acknowledged, and so are handled messages.
//
// It is used as its documentation advises for speed: asynchronous publishes with thousands in
// flight, one replica, no deduplication, a consumer that acknowledges cumulatively, and
// interest retention, so that the server drops handled messages. A full stream refuses
// messages and does not make publishers wait. So each sink answers its sources now and then,
// as in NATS core.
//
// Batched, it publishes by fast ingest (server 2.14 and later): a batch for each source and
// sink, without an end, in which the server acknowledges about every fiftieth message. A
// source may be so many acknowledgements ahead that its window is what it waits for.
//
// A consumer without acknowledgements, and one that fetches 4,096 messages at a time instead
// of the library's 500, were no faster. One stream for all nodes takes a quarter more processor
// time a message of 8 or 256 bytes.
package jetstream

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/systems/flow"
	core "github.com/x/ringdht/benchmarks/internal/systems/nats"
)

const (
	// pending bounds the publishes that wait for their acknowledgement. It is the library's
	// default; with 512 it is a fifth slower.
	pending = 4000

	// perAck is after how many messages of a batch the server may acknowledge, at most. It chooses
	// 500, divided by the batches of a stream. ahead is how many such acknowledgements a source
	// need not wait for.
	perAck, ahead = 500, 100

	// ackEvery is how many messages a sink acknowledges at once.
	ackEvery = 256

	// never is longer than any run. No message here is lost and needs redelivery, and the
	// last messages, fewer than ackEvery, are never acknowledged.
	never = time.Hour

	// markHeader names the subject on which the source waits for confirmation that the
	// message was handled. The reply subject is in use for the acknowledgement.
	markHeader = "Mark"
)

// New returns the system.
func New() bench.System { return system{} }

// Batched returns the system with fast ingest.
func Batched() bench.System { return system{batched: true} }

type system struct{ batched bool }

func (s system) Name() string {
	if s.batched {
		return "NATS JetStream, batched"
	}
	return "NATS JetStream"
}

// Supports the same as NATS core.
func (system) Supports(t bench.Topology) bool { return core.New().Supports(t) }

func (s system) Start(ctx context.Context, t bench.Topology, deliver func(int, []byte)) (bench.Net, error) {
	dir, err := os.MkdirTemp("", "jetstream") // the server insists on one; streams are in memory
	if err != nil {
		return nil, err
	}
	url, stop, err := core.ServeWith(&server.Options{
		JetStream: true, StoreDir: dir, JetStreamMaxMemory: 8 << 30, JetStreamMaxStore: 1 << 20,
		// The queue of a stream, beyond which it refuses. The windows stay below it.
		StreamMaxBufferedMsgs: 4 << 20, StreamMaxBufferedSize: 1 << 30,
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	n := &network{batched: s.batched, nodes: make(map[int]*node), dir: dir, stop: stop}
	for i := range t.Nodes {
		if !core.Client(t, i) {
			continue
		}
		if err := n.start(ctx, url, i, t, deliver); err != nil {
			return nil, errors.Join(err, n.Close())
		}
	}
	return n, nil
}

type network struct {
	batched bool
	nodes   map[int]*node
	dir     string
	stop    func()
}

func (n *network) Sender(i int) bench.Sender { return n.nodes[i] }

func (n *network) Close() error {
	for _, c := range n.nodes {
		c.close()
	}
	n.stop()
	return os.RemoveAll(n.dir)
}

type node struct {
	conn     *nats.Conn
	js       jetstream.JetStream
	consume  jetstream.ConsumeContext
	marks    chan struct{} // closed when no mark is being handled
	window   *flow.Window
	mark     nats.Header
	subjects []string // of the nodes
	steps    []int    // bytes of the incomplete step, by sink
	options  []jetstream.PublishOpt
	batches  []jetstreamext.FastPublisher // by sink; nil without fast ingest
}

func (n *network) start(ctx context.Context, url string, i int, t bench.Topology, deliver func(int, []byte)) error {
	mark := "mark." + strconv.Itoa(i)
	c := &node{
		window: core.NewWindow(t), mark: nats.Header{markHeader: {mark}},
		subjects: make([]string, t.Nodes), steps: make([]int, t.Nodes),
		options: []jetstream.PublishOpt{jetstream.WithStallWait(never), jetstream.WithRetryAttempts(0)},
	}
	for i := range c.subjects {
		c.subjects[i] = "node." + strconv.Itoa(i)
	}
	var err error
	c.conn, err = nats.Connect(url, nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { c.window.Close() }))
	if err != nil {
		return err
	}
	n.nodes[i] = c
	c.js, err = jetstream.New(c.conn, jetstream.WithPublishAsyncMaxPending(pending),
		// The server refused a publish, so a message is lost: end the run.
		jetstream.WithPublishAsyncErrHandler(func(jetstream.JetStream, *nats.Msg, error) { c.window.Close() }))
	if err != nil {
		return err
	}
	sub, err := c.conn.Subscribe(mark, func(*nats.Msg) { c.window.Release(c.window.Step) })
	if err != nil {
		return err
	}
	c.marks = make(chan struct{})
	sub.SetClosedHandler(func(string) { close(c.marks) })
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return err
	}
	if n.batched {
		c.batches = make([]jetstreamext.FastPublisher, t.Nodes)
		for sink := range c.batches {
			c.batches[sink], err = jetstreamext.NewFastPublisher(c.js,
				jetstreamext.FastPublishFlowControl{Flow: perAck, MaxOutstandingAcks: ahead},
				jetstreamext.WithFastPublisherErrorHandler(func(error) { c.window.Close() })) // as above
			if err != nil {
				return err
			}
		}
	}
	name := "node" + strconv.Itoa(i)
	if _, err := c.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: name, Subjects: []string{c.subjects[i]},
		Storage: jetstream.MemoryStorage, Retention: jetstream.InterestPolicy, AllowBatchPublish: n.batched,
	}); err != nil {
		return err
	}
	consumer, err := c.js.CreateConsumer(ctx, name, jetstream.ConsumerConfig{
		Durable: "sink", AckPolicy: jetstream.AckAllPolicy, AckWait: never, MaxAckPending: -1, MemoryStorage: true,
	})
	if err != nil {
		return err
	}
	handled := 0
	c.consume, err = consumer.Consume(func(m jetstream.Msg) {
		deliver(i, m.Data())
		if handled++; handled%ackEvery == 0 {
			_ = m.Ack() // it fails only if the connection is lost, and then the window closes
		}
		if h := m.Headers(); h != nil {
			_ = c.conn.Publish(h[markHeader][0], nil)
		}
	})
	return err
}

// Send publishes. It waits only for room.
func (c *node) Send(sink int, payload []byte) error {
	if !c.window.Take(len(payload)) {
		return net.ErrClosed
	}
	m := &nats.Msg{Subject: c.subjects[sink], Data: payload}
	step := &c.steps[sink]
	if *step += len(payload) + flow.Overhead; *step >= c.window.Step {
		*step -= c.window.Step
		m.Header = c.mark
	}
	if c.batches != nil {
		_, err := c.batches[sink].AddMsg(m)
		return err
	}
	_, err := c.js.PublishMsgAsync(m, c.options...)
	return err
}

// Push does nothing: every publish wakes the client's flusher.
func (c *node) Push() error { return nil }

func (c *node) close() {
	c.window.Close()
	if c.consume != nil {
		c.consume.Stop()
		<-c.consume.Closed()
	}
	c.conn.Close()
	if c.marks != nil {
		<-c.marks
	}
}
