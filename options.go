package ringdht

import (
	"cmp"
	"log/slog"
	"maps"
	"os"
	"time"

	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/status"
)

// NodeOption is an option of [NewNode]. Each [Option] is a NodeOption as well. Programs cannot make
// options of their own. If an option is given twice, the last one counts.
type NodeOption interface{ applyNode(*node.Config) }

// RegistryOption is an option of [NewRegistry]. Each [Option] is a RegistryOption as well.
type RegistryOption interface{ applyRegistry(*registry.Config) }

// Option is an option of both [NewNode] and [NewRegistry].
type Option interface {
	NodeOption
	RegistryOption
}

type commonOption func(*handshake.Config)

func (o commonOption) applyNode(c *node.Config)         { o(&c.Config) }
func (o commonOption) applyRegistry(c *registry.Config) { o(&c.Config) }

type nodeOption func(*node.Config)

func (o nodeOption) applyNode(c *node.Config) { o(c) }

type registryOption func(*registry.Config)

func (o registryOption) applyRegistry(c *registry.Config) { o(c) }

// WithCodec sets the codec, [Msgpack] by default. Nodes and registry must have the same.
func WithCodec(c Codec) Option { return commonOption(func(o *handshake.Config) { o.Codec = c }) }

// WithTransport sets the transport, [TCP] by default. For tests take a host of package memnet.
func WithTransport(t Transport) Option {
	return commonOption(func(o *handshake.Config) { o.Transport = t })
}

// WithLogger sets the logger. By default panics in handlers and callbacks are written to standard
// error, and nothing else is logged. The library never waits for a logger: one goroutine hands it
// the records, from a queue of 256 KiB for a node and 8 MiB for a registry. Records beyond that are
// dropped and counted. Close waits until the logger has taken the records before it, for five
// seconds at most, and for one second at most if a single record blocks it.
func WithLogger(l *slog.Logger) Option {
	return commonOption(func(o *handshake.Config) { o.Log = l })
}

// WithRing names the ring, "ring" by default, in at most 255 bytes. Members of a ring with another
// name are refused, so that two rings on one machine do not mix.
func WithRing(name string) Option {
	return commonOption(func(o *handshake.Config) { o.RingName = name })
}

// WithHandshakeTimeout bounds the dial and handshake of a connection, 5 seconds by default.
func WithHandshakeTimeout(d time.Duration) Option {
	return commonOption(func(o *handshake.Config) { o.Timeout = d })
}

// WithListen sets where a node listens, ":0" by default. A host in it is advertised as well.
func WithListen(addr string) NodeOption { return nodeOption(func(o *node.Config) { o.Listen = addr }) }

// WithAdvertise sets the address at which others dial the node, for nodes behind NAT or in a
// container. By default it is the local address of the connection to the registry, with the port on
// which the node listens.
//
// An address is an IP address or a host name, and a numeric port. Addresses are compared, shown and
// dialled in one form: IP addresses in their shortest spelling, names in lower case. A name stays a
// name, and each node that dials it looks it up.
func WithAdvertise(addr string) NodeOption {
	return nodeOption(func(o *node.Config) { o.Advertise = addr })
}

// WithTraffic lets the node take part in traffic runs (see [Registry.RunTraffic]): the registry may
// make it send, and others send to it. Messages of a run do not reach a handler.
func WithTraffic() NodeOption { return nodeOption(func(o *node.Config) { o.Traffic = true }) }

// WithID asks for an ID, for a process that restarts and wants to be found where it was. Join's
// error matches [ErrTaken] if another node has it. While that node is suspect, Join waits to
// learn whether it lives, and may fail with [ErrRebuilding].
func WithID(id ID) NodeOption { return nodeOption(func(o *node.Config) { o.ID = &id }) }

// WithName names the node, in at most 64 bytes without spaces. One member has a name at a time, until
// it has left or was declared dead. Join's error matches [ErrTaken] while another member has it; with
// [WithRetry] the node stands by. Each holder of a name has a greater [Node.Incarnation] than those
// before it. See [Node.Lookup].
func WithName(name string) NodeOption { return nodeOption(func(o *node.Config) { o.Name = name }) }

// WithTags says something of the node to all members: at most 64 tags, and 1 KiB of keys and values.
// Keys have no spaces. Tags do not change while the node lives.
func WithTags(tags map[string]string) NodeOption {
	tags = maps.Clone(tags)
	return nodeOption(func(o *node.Config) { o.Tags = tags })
}

// WithRetry makes [Node.Join] try again until ctx ends, after pauses of up to 2 s, while the error is
// [Retryable]. Each new reason is logged. Then the error also matches the latest reason.
func WithRetry() NodeOption { return nodeOption(func(o *node.Config) { o.Retry = true }) }

// WithLimits bounds the node's memory, see [status.Limits].
func WithLimits(l status.Limits) NodeOption {
	return nodeOption(func(o *node.Config) { o.Limits = l })
}

// WithBits sets the size of the ID space, 2^bits, from 1 to 64. The default of 16 gives readable
// IDs and room for 65,536 nodes.
func WithBits(bits int) RegistryOption {
	return registryOption(func(o *registry.Config) { o.Bits = bits })
}

// WithMaxPayload sets the longest message of the ring in bytes: 64 KiB by default, from 4 bytes to
// 8 MiB. Every relay must hold a whole message.
func WithMaxPayload(bytes int) RegistryOption {
	return registryOption(func(o *registry.Config) { o.MaxPayload = bytes })
}

// WithLease sets how long a node or its registry may be silent before the other declares it dead: 3
// seconds by default, from 10 ms to 24 hours. The lease matters only for a process that is silent
// with its connection open; a process that ends is detected at once.
//
// A ring of more than 333 members for each second of the lease, 1,000 by default, would load its
// registry too much. So its nodes send heartbeats less often, and may be silent for several leases:
// the members divided by that bound, rounded up. 10,000 nodes have 10 leases, or 30 seconds. Time
// during which the waiting side itself did not run does not count, up to 8 times as long in all.
func WithLease(d time.Duration) RegistryOption {
	return registryOption(func(o *registry.Config) { o.Lease = d })
}

// WithGrace is for a registry that may take the place of one that died. For this time, of at most
// 24 hours, after its first Listen or Serve it admits no new nodes: their Join waits, and fails
// with [ErrRebuilding] if that takes too long. So members of the ring can come back first, and no
// ID is given out twice. A member detects that its registry is gone, and comes back within half a
// lease. In a large ring detection takes longer, see [WithLease], and the grace must be longer.
//
// By default, or with 0, a registry admits no new nodes for two leases after the first member has
// come back; with [WithSelfSetup] or [WithState] perhaps from its start. A new node that it admitted
// before, under an ID that turns out to be another's, joins again under another ID.
func WithGrace(d time.Duration) RegistryOption {
	return registryOption(func(o *registry.Config) { o.Grace = d })
}

// WithSelfSetup lets the ring set itself up, for a service without a console: the first member makes
// it live, with k entries and a plan as in [Registry.Setup], which may still be called to change
// the tables until the registry ends. A ring that all members have left stays live.
//
// A newcomer must not make a ring of its own while the members of an earlier registry are on their
// way back. So without [WithState] the registry admits no new nodes for two leases after its first
// Listen or Serve, or for the time of [WithGrace]. Give that, longer than two leases, where nodes
// find the registry late. With WithState only the first start and a ring that has members cost that
// time.
func WithSelfSetup(k int, plan ...Plan) RegistryOption {
	return registryOption(func(o *registry.Config) {
		p, err := lastPlan(plan)
		o.SelfSetup = &registry.SelfSetup{K: k, Fewest: p == FewestHops, Err: err}
	})
}

// WithState keeps the ring's identity in a directory, with whether the ring has members: a restarted
// registry then knows its ring. It refuses members of another one from the first moment, gives its
// own members two leases to come back (see [WithGrace]), twice that if none comes, and admits new
// nodes to an empty ring at once. Nothing else is kept: members bring the rest.
//
// The directory is made if it does not exist, and serves one registry at a time. [NewRegistry] fails
// if it cannot be used, or holds a ring of other terms: name, bits, longest message, [WithSecurity].
// If it cannot be written later, the registry logs that, and admits no first member until it can. A
// new directory says nothing of an earlier ring: a first start takes as long as without WithState.
func WithState(dir string) RegistryOption {
	return registryOption(func(o *registry.Config) { o.StateDir = &dir })
}

// WithSecurity makes the ring a secure one: all connections are encrypted, and nodes join by the line
// of [Registry.JoinLine]. Each member holds an admission, which the registry renews after half of
// validity: 24 hours for 0, at least four leases. A member that is out of reach for longer needs a
// join line. SECURITY.md says what this protects. With [WithState] the ring's key, tokens and
// expelled nodes outlive the registry; without it nodes need a new join line after a restart.
func WithSecurity(validity time.Duration) RegistryOption {
	return registryOption(func(o *registry.Config) { o.Secure = &registry.Secure{Validity: cmp.Or(validity, 24*time.Hour)} })
}

// Bounds of the queues for the logger, in bytes: some 800 records of a node, and 25,000 of a
// registry.
const (
	nodeRecords     = 256 << 10
	registryRecords = 8 << 20
)

func defaults() handshake.Config {
	return handshake.Config{Codec: Msgpack(), Transport: TCP{}, Log: handshake.PanicLog(os.Stderr), RingName: "ring", Timeout: 5 * time.Second}
}

func newNodeConfig(opts []NodeOption) (*node.Config, error) {
	c := &node.Config{Config: defaults(), Listen: ":0", Services: make([]node.Service, 1)}
	for _, o := range opts {
		o.applyNode(c)
	}
	return c, c.Prepare(nodeRecords)
}

func newRegistryConfig(opts []RegistryOption) (*registry.Config, error) {
	c := &registry.Config{Config: defaults(), Bits: 16, MaxPayload: 64 << 10, Lease: 3 * time.Second, TimeOfDay: time.Now}
	for _, o := range opts {
		o.applyRegistry(c)
	}
	return c, c.Prepare(registryRecords)
}
