package ringdht

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// NodeOption is an option of [Join].
type NodeOption interface{ applyNode(*nodeConfig) }

// RegistryOption is an option of [NewRegistry].
type RegistryOption interface{ applyRegistry(*registryConfig) }

// Option is an option of both: one value that suits either call.
type Option interface {
	NodeOption
	RegistryOption
}

// SetupOption is an option of [Registry.Setup].
type SetupOption interface{ applySetup(*setupConfig) }

// PlanOption is an option of [NewRegistry] and of [Registry.Setup].
type PlanOption interface {
	RegistryOption
	SetupOption
}

// Limits bounds the memory of a node; 0 means the default. What a node holds at
// most is twice SendBuffer (what is sent again waits for its first link as a copy)
// + ReceiveBuffer + HandlerBacklog + LinkQueue for each entry of its table, plus
// a read buffer of up to 64 KiB, or one message, for each busy connection, and some
// bookkeeping: about 1 KiB a stream, and 100 bytes for each message that waits for one
// before it that was lost. What happens at a bound is counted in [Counters].
type Limits struct {
	// SendBuffer is the number of bytes accepted and not known to be delivered,
	// over all sinks. At the bound, Send waits. Default 8 MiB.
	SendBuffer int `json:"send_buffer"`
	// ReceiveBuffer is the number of bytes received and not yet taken by the
	// handler, over all sources, who are granted shares of it. Beyond the bound
	// frames are dropped and sent again. Default 8 MiB.
	ReceiveBuffer int `json:"receive_buffer"`
	// HandlerBacklog is the number of bytes sent by handlers and not admitted by
	// windows. At the bound, their Send returns ErrBacklog. Default 16 MiB.
	HandlerBacklog int `json:"handler_backlog"`
	// LinkQueue is the number of bytes waiting for one link to be relayed. Beyond the
	// bound frames are dropped and sent again. Sources wait when an eighth of it
	// waits of their own. Default 4 MiB.
	LinkQueue int `json:"link_queue"`
	// Handlers is the number of handler calls that run at once. Default 256.
	Handlers int `json:"handlers"`
	// Streams is the number of sources that may have a stream to this node; more
	// are refused. A source that has left the ring gives its place to another.
	// Default 65,536.
	Streams int `json:"streams"`
}

type nodeConfig struct {
	handshake.Config
	listen    string
	advertise string
	traffic   bool
	limits    Limits
	id        *ID
	lost      func(Undelivered)
}

type registryConfig struct {
	handshake.Config
	bits       int
	maxPayload int
	lease      time.Duration
	beats      int // see membership.Config
	grace      time.Duration
	plan       Plan
	wall       func() time.Time // the time of day, from which lives are made
}

// setupConfig is what a set-up goes by.
type setupConfig struct{ plan Plan }

type commonOption func(*handshake.Config)

func (o commonOption) applyNode(c *nodeConfig)         { o(&c.Config) }
func (o commonOption) applyRegistry(c *registryConfig) { o(&c.Config) }

type nodeOption func(*nodeConfig)

func (o nodeOption) applyNode(c *nodeConfig) { o(c) }

type registryOption func(*registryConfig)

func (o registryOption) applyRegistry(c *registryConfig) { o(c) }

type planOption Plan

func (o planOption) applyRegistry(c *registryConfig) { c.plan = Plan(o) }
func (o planOption) applySetup(c *setupConfig)       { c.plan = Plan(o) }

// WithCodec sets the codec, [Msgpack] by default.
func WithCodec(c Codec) Option { return commonOption(func(o *handshake.Config) { o.Codec = c }) }

// WithTransport sets the transport, [TCP] by default.
func WithTransport(t Transport) Option {
	return commonOption(func(o *handshake.Config) { o.Transport = t })
}

// WithLogger sets where to log. By default panics in handlers and callbacks are written to
// standard error, and all else nowhere. Nothing waits for the log: one goroutine
// hands records to it, from a queue of 256 KiB for a node and 8 MiB for a registry. What
// finds no room there is dropped, and the log is told how many records that were. Close
// waits until the log has taken what came before, but not for a log that has been busy with
// one record for a second, and for five seconds at most.
func WithLogger(l *slog.Logger) Option { return commonOption(func(o *handshake.Config) { o.Log = l }) }

// WithRing names the ring, "ring" by default. Members of a ring with another name
// are refused, so that two rings on one machine cannot be mixed up.
func WithRing(name string) Option {
	return commonOption(func(o *handshake.Config) { o.RingName = name })
}

// WithHandshakeTimeout bounds how long a connection may take to say who it is, 5
// seconds by default.
func WithHandshakeTimeout(d time.Duration) Option {
	return commonOption(func(o *handshake.Config) { o.Timeout = d })
}

// WithListen sets the address that a node listens on, ":0" by default: all
// interfaces, a free port. If it names a host, that host is advertised as well.
func WithListen(addr string) NodeOption { return nodeOption(func(o *nodeConfig) { o.listen = addr }) }

// WithAdvertise sets the address under which others reach the node, when that is
// not the one it connects from: behind NAT, or in a container. By default it is
// the local address of the connection to the registry, with the port that the
// node listens on.
//
// An address is an IP address, or a host name, and a port, as a number. Addresses are
// compared, shown and dialled in one form: IP addresses in their shortest spelling and
// names in lower case. A name stays a name, and is looked up by each that dials it.
func WithAdvertise(addr string) NodeOption {
	return nodeOption(func(o *nodeConfig) { o.advertise = addr })
}

// WithTraffic lets the node take part in traffic runs (see [Registry.RunTraffic]): the
// registry may make it send, and it is picked as a sink. Messages of a run do not
// reach the handler.
func WithTraffic() NodeOption { return nodeOption(func(o *nodeConfig) { o.traffic = true }) }

// WithID asks for an ID, for a process that is started again and wants to be found
// where it was. Join's error matches [ErrIDTaken] if another node has it.
func WithID(id ID) NodeOption { return nodeOption(func(o *nodeConfig) { o.id = &id }) }

// WithUndelivered has f called for each stream that ends with messages not known to be
// delivered, because its sink died or left, or this node closed or was declared dead. It
// runs on one of the node's handler goroutines, one call at a time per sink, and
// before a Flush returns that waited for that stream. It may send; it should not call
// Flush, and cannot call Leave or Close, see [ErrInHandler].
//
// Neither [Node.Close] nor [Node.Leave] repeats what f was told, nor a [Node.Flush] that
// begins later. A Flush that was waiting for the stream returns it too. What f was not told,
// since it panicked or ended its goroutine (runtime.Goexit, and so t.Fatal), or 4,096 calls
// were waiting for it, they do return.
func WithUndelivered(f func(Undelivered)) NodeOption {
	return nodeOption(func(o *nodeConfig) { o.lost = f })
}

// WithLimits bounds the node's memory.
func WithLimits(l Limits) NodeOption { return nodeOption(func(o *nodeConfig) { o.limits = l }) }

// WithBits sets the size of the ID space, 2^bits, from 1 to 64. The default of
// 16 gives readable IDs and room for 65,536 nodes.
func WithBits(bits int) RegistryOption {
	return registryOption(func(o *registryConfig) { o.bits = bits })
}

// WithMaxPayload sets the longest message of the ring in bytes, 64 KiB by default
// and at most 8 MiB: every relay must hold a whole one.
func WithMaxPayload(bytes int) RegistryOption {
	return registryOption(func(o *registryConfig) { o.maxPayload = bytes })
}

// WithLease sets how long a node or its registry may be silent before the other
// takes it for dead, 3 seconds by default. A ring of more than 333 members for each
// second of the lease, so 1,000 by default, would cost its registry too much: its nodes
// say more seldom that they live, and have as many leases as their number is a multiple
// of that, rounded up: 10, so 30 seconds, for 10,000. It is only for those that are
// silent with their connection open; a process that ends is found at once. Time in which
// the side that waits did not get the processor does not count, up to 8 times as long in
// all.
func WithLease(d time.Duration) RegistryOption {
	return registryOption(func(o *registryConfig) { o.lease = d })
}

// WithGrace is for a registry that may be taking the place of one that died: for so
// long after its start it admits no new nodes, so that those of the ring that was can
// come back first and no ID is handed out twice. Nodes come back within half a lease of
// finding out; those of a large ring, see [WithLease], find out later, and make it longer.
//
// By default a registry does that from the moment when the first of them comes back,
// and for two leases. A newcomer that it admitted before, under an ID that turns out
// to be another's, joins again under another one.
func WithGrace(d time.Duration) RegistryOption {
	return registryOption(func(o *registryConfig) { o.grace = d })
}

// WithPlan sets how far ahead the entries of routing tables are, [Classic] by default:
// given to [NewRegistry] for all set-ups, given to [Registry.Setup] for this one.
func WithPlan(p Plan) PlanOption { return planOption(p) }

// What may wait for the log, in bytes: some 800 records of a node, and 25,000 of a registry.
const (
	nodeRecords     = 256 << 10
	registryRecords = 8 << 20
)

func newCommon() handshake.Config {
	return handshake.Config{
		Codec: Msgpack(), Transport: TCP{}, Log: handshake.PanicLog(os.Stderr),
		RingName: "ring", Timeout: 5 * time.Second,
	}
}

func newNodeConfig(opts []NodeOption) (*nodeConfig, error) {
	c := &nodeConfig{Config: newCommon(), listen: ":0"}
	for _, o := range opts {
		o.applyNode(c)
	}
	if err := c.Config.Prepare(nodeRecords); err != nil {
		return nil, err
	}
	if _, _, err := net.SplitHostPort(c.listen); err != nil {
		return nil, fmt.Errorf("WithListen: %q is not host:port: %w", c.listen, err)
	}
	if c.advertise != "" {
		addr, err := dial.HostPort(c.advertise)
		if err != nil {
			return nil, fmt.Errorf("WithAdvertise: %w", err)
		}
		c.advertise = addr
	}
	l := &c.limits
	for _, b := range []struct {
		name     string
		value    *int
		def, min int
	}{
		{"SendBuffer", &l.SendBuffer, 8 << 20, 4 << 10},
		{"ReceiveBuffer", &l.ReceiveBuffer, 8 << 20, 4 << 10},
		{"HandlerBacklog", &l.HandlerBacklog, 16 << 20, 4 << 10},
		{"LinkQueue", &l.LinkQueue, 4 << 20, 16 << 10},
		{"Handlers", &l.Handlers, 256, 1},
		{"Streams", &l.Streams, 1 << 16, 1},
	} {
		if *b.value == 0 {
			*b.value = b.def
		}
		if *b.value < b.min {
			return nil, fmt.Errorf("WithLimits: %s is %d, it must be at least %d", b.name, *b.value, b.min)
		}
	}
	return c, nil
}

// fit checks the limits against what the ring turned out to allow.
func (l Limits) fit(maxPayload int) error {
	frame := wire.HeaderSize + maxPayload
	for _, b := range []struct {
		name       string
		have, need int
	}{
		{"SendBuffer", l.SendBuffer, frame},
		{"ReceiveBuffer", l.ReceiveBuffer, 4 * frame}, // what arrives early must leave room for what comes first
		{"HandlerBacklog", l.HandlerBacklog, frame},
		{"LinkQueue", l.LinkQueue, frame},
	} {
		if b.have < b.need {
			return fmt.Errorf("WithLimits: this ring has messages of up to %d bytes, for which %s must be at least %d, it is %d",
				maxPayload, b.name, b.need, b.have)
		}
	}
	return nil
}

func (l Limits) plane() plane.Limits {
	return plane.Limits{
		SendBuffer: l.SendBuffer, ReceiveBuffer: l.ReceiveBuffer, HandlerBacklog: l.HandlerBacklog,
		LinkQueue: l.LinkQueue, LinkLow: l.LinkQueue / 16, Handlers: l.Handlers, Streams: l.Streams,
	}
}

func newRegistryConfig(opts []RegistryOption) (*registryConfig, error) {
	c := &registryConfig{Config: newCommon(), bits: 16, maxPayload: 64 << 10, lease: 3 * time.Second, wall: time.Now}
	for _, o := range opts {
		o.applyRegistry(c)
	}
	switch err := c.Config.Prepare(registryRecords); {
	case err != nil:
		return nil, err
	case c.bits < 1 || c.bits > ring.MaxBits:
		return nil, fmt.Errorf("WithBits: an ID has 1 to %d bits, not %d", ring.MaxBits, c.bits)
	case c.maxPayload < 4 || c.maxPayload > handshake.MaxPayload:
		return nil, fmt.Errorf("WithMaxPayload: %d is not between 4 and %d bytes", c.maxPayload, handshake.MaxPayload)
	case c.grace < 0 || c.grace > handshake.MaxLease:
		return nil, fmt.Errorf("WithGrace: %v is not between 0 and %v", c.grace, handshake.MaxLease)
	case c.lease < 10*time.Millisecond || c.lease > handshake.MaxLease:
		return nil, fmt.Errorf("WithLease: %v is not between 10ms, within which nodes must be able to answer, and %v", c.lease, handshake.MaxLease)
	}
	return c, c.plan.validate()
}

// newSetupConfig is what the registry's options say, but for those given to the set-up.
func (c *registryConfig) newSetupConfig(opts []SetupOption) (*setupConfig, error) {
	s := &setupConfig{plan: c.plan}
	for _, o := range opts {
		o.applySetup(s)
	}
	return s, s.plan.validate()
}

func (p Plan) validate() error {
	if p > FewestHops {
		return fmt.Errorf("WithPlan: there is no plan %d", p)
	}
	return nil
}
