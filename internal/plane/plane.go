// Package plane is the data plane of one node: the links to its entries, the
// relaying of what is not for it, the streams of what is, and the handlers that
// take it. It knows nothing of the registry or of dialling: connections whose
// handshake is done come in, and a table says which of them to use.
//
// # Who waits for whom
//
// The goroutine that reads a connection never waits for anything but that
// connection, rests a little where a queue fills up and moves, and calls handlers as long
// as they are quick, see inline.go. What it cannot place
// in a bounded queue it drops and counts, and the stream sends it again. Sources may
// wait, in Send and Flush, for their context. Handlers that are not quick run on goroutines of their own.
//
// # Locks
//
// In this order, none held across I/O or a handler: outbound.mu or inbound.mu,
// then Plane.mu, then a link's; a probe's comes right before its link's. The
// scheduler's, the timers', the casts', the losses', the gate's, a trace's and a
// signal's are leaves.
package plane

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// Config is what a plane is made of. Every field must be set where not said
// otherwise.
type Config struct {
	Self, Life uint64 // the node and its incarnation
	Bits       int    // of the ID space
	MaxPayload int    // bytes of a message
	HopLimit   int

	Limits
	Deliver Deliver
	Log     *slog.Logger
	Owner   uint64 // whose handlers these are, see [Inside]; 0: the plane's own

	// OnUndelivered hears of each stream that ended with messages pending,
	// those to one sink in the order in which they ended. It runs on a goroutine of
	// the plane's, one call at a time, and may be nil.
	OnUndelivered func(Undelivered)
	// LostTraffic hears of each message on a port from 128 on that was pending when its
	// stream ended; unknown says whether it may have been handled. It is called with the
	// stream's lock held, so it must not block or call the plane; body is valid until it
	// returns. It may be nil.
	LostTraffic func(sink uint64, port uint8, body []byte, unknown bool)
	// Over says whether a life of a node is known to be over, so that a stream which it
	// asks for late is not kept for long. It must not block or call the plane, and may be nil.
	Over func(id, inc uint64) bool
	// Outlived hears that a sink remembers a later life of this node, and takes nothing from
	// this one. It says whether a new life is about to begin; if not, the stream to that sink
	// ends. It may be nil. Met hears of the life of each source that opens a stream, and may
	// be nil. Both are called with a stream's lock held, so they must not block or call the
	// plane.
	Outlived func(later uint64) (renewed bool)
	Met      func(inc uint64)
	// Pause is how long this process may have been stopped before it must ask
	// whether it is still taken to be alive, see [Plane.Alive]; 0: as long as it likes.
	Pause time.Duration
	// Wall is the time of day, nil for [time.Now]. Only tests set it.
	Wall func() time.Time
}

// Limits are the bounds on a node's memory, in bytes of frames where not said
// otherwise.
type Limits struct {
	SendBuffer     int // accepted and not known to be delivered, all streams together
	ReceiveBuffer  int // received and not taken by a handler, all streams together
	HandlerBacklog int // sent by handlers beyond what windows allow
	LinkQueue      int // waiting for one link; relays drop beyond it
	LinkLow        int // waiting for one link; casts wait above it, streams above twice as much of theirs
	Handlers       int // handlers that run at once
	Streams        int // incoming streams
}

// Deliver takes one message. It runs on a goroutine of the plane's, one at a
// time and in order per source. d is its caller's again when it returns.
type Deliver func(ctx context.Context, d *Delivery)

// Delivery is one message on its way to a handler.
type Delivery struct {
	Source uint64
	Port   uint8
	Hops   int
	Body   []byte // valid until Deliver returns
	Cast   bool   // sent without a stream
	// More says that a message of the same source and port follows at once, and that this
	// one is not acknowledged before it unless the handler panics.
	More bool
	// Slot is a place for the receiver's notes on this source, nil for casts.
	// Calls for one source do not overlap, so it needs no lock.
	Slot *any
}

// Plane is one node's data plane.
type Plane struct {
	// static after construction
	Config
	mask   uint64
	start  time.Time
	ctx    context.Context // of handlers
	stop   context.CancelCauseFunc
	worker func() // p.work as a value: go p.worker() then allocates nothing

	dropHeld func(wire.Frame) // p.wasteAt as a value, one for all streams

	// Broken tells that a link of the table in use has ended. It is set at
	// construction.
	Broken chan struct{}

	routes   atomic.Pointer[snapshot]
	cache    [1 << cacheBits]atomic.Pointer[outbound] // see nearOut
	closing  atomic.Bool
	parting  atomic.Bool // incoming streams are cut; set with mu held
	hushed   atomic.Bool // nothing more is sent on streams
	draining atomic.Bool
	members  atomic.Pointer[[]uint64] // some of those that exist, see Know
	counters counters

	mu         sync.RWMutex // guards what follows
	out        map[uint64]*outbound
	in         map[uint64]*inbound
	bygone     map[*inbound]struct{} // those of in whose sources have left, see bygone.go
	links      map[uint64]*outLink
	leftSinks  map[uint64]struct{} // sinks that have said that they leave, see departed
	unanswered map[uint64]uint64   // lives whose latest link ended because they did not answer, by ID
	conns      map[*conn]struct{}  // every connection but the near end of the loopback
	loop       *outLink            // to the node itself, made when it is first needed
	traces     map[uint64]*trace
	table      Routes // in force
	gen        uint64 // of the latest outgoing stream
	closed     bool
	why        error // closed, when it is

	checked time.Time // the last CheckLinks; owned by its caller

	sched   scheduler
	casts   castInbox
	timers  timers
	losses  losses
	fence   fence
	stored  atomic.Int64  // bytes of SendBuffer in use
	asking  atomic.Bool   // all sinks were asked since SendBuffer was last full
	inbox   atomic.Int64  // bytes of ReceiveBuffer in use
	backlog atomic.Int64  // bytes of HandlerBacklog in use
	streams atomic.Int64  // len(in) without the bygone: among so many the receive buffer is shared out
	space   notify.Change // SendBuffer has room again
	changes notify.Change // a connection, or a direction of one, has come or ended; when leaving, a handler or stream

	wg sync.WaitGroup // every goroutine but the links' writers
}

// New returns a running plane without any link.
func New(c Config) *Plane {
	p := &Plane{
		Config:     c,
		mask:       ring.Mask(c.Bits),
		start:      time.Now(),
		out:        make(map[uint64]*outbound),
		in:         make(map[uint64]*inbound),
		bygone:     make(map[*inbound]struct{}),
		links:      make(map[uint64]*outLink),
		unanswered: make(map[uint64]uint64),
		conns:      make(map[*conn]struct{}),
		traces:     make(map[uint64]*trace),
		gen:        rand.Uint64N(1 << 48), // so that what is left of an earlier life does not match
	}
	if c.Owner == 0 {
		p.Owner = NewOwner()
	}
	ctx, stop := context.WithCancelCause(context.Background())
	p.ctx, p.stop = context.WithValue(ctx, handlerKey{}, p), stop
	p.routes.Store(&snapshot{})
	p.fence.lastRun.set(p.clocks())
	p.casts.limit = c.ReceiveBuffer / 4
	p.Broken = make(chan struct{}, 1)
	p.worker = p.work
	p.dropHeld = p.countWasteHere
	p.sched.wake = make(chan struct{}, 1)
	p.sched.trust = newTrust()
	return p
}

// Context is the context of handlers and callbacks: it ends when the plane closes,
// and calls with it wait for nothing that only its owner could bring about.
func (p *Plane) Context() context.Context { return p.ctx }

// handlerKey marks the context of a handler with the plane it belongs to.
type handlerKey struct{}

// now is the time of the streams, which must be above zero.
func (p *Plane) now() time.Duration { return time.Since(p.start) + 1 }

// first draws a stream's first number. The range leaves room to count upwards
// without ever wrapping.
func first() uint64 { return 1 + rand.Uint64N(1<<62) }

// Close ends everything at once and waits for every goroutine, handlers and callbacks
// included; their context ends first. Whatever was pending then fails with err. It
// returns what neither a Flush has returned nor Config.OnUndelivered been told; a second
// call returns nothing.
func (p *Plane) Close(err error) []Undelivered {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.wg.Wait()
		return nil
	}
	p.closed, p.why = true, err
	out := make([]*outbound, 0, len(p.out))
	for _, o := range p.out {
		out = append(out, o)
	}
	links := p.allLinks()
	var silent []net.Conn // those that nothing writes to
	for c := range p.conns {
		if c.out == nil {
			silent = append(silent, c.nc)
		}
	}
	p.mu.Unlock()

	for _, nc := range silent {
		nc.Close()
	}
	p.sched.close()
	p.closing.Store(true)
	p.stop(err)
	for _, o := range out {
		o.fail(err)
	}
	p.space.Broadcast()
	for _, l := range links {
		l.Close()
	}
	p.wg.Wait()
	return p.losses.untoldAll()
}

// allLinks lists whatever writes to a connection. It needs mu.
func (p *Plane) allLinks() []*outLink {
	links := make([]*outLink, 0, len(p.conns)+1)
	for c := range p.conns {
		if c.out != nil {
			links = append(links, c.out)
		}
	}
	if p.loop != nil {
		links = append(links, p.loop)
	}
	return links
}

// Sweep does what is done every few seconds: it makes idle connections give back
// their buffers, a goroutine that waits in vain for deliveries end, and streams whose
// source fell silent give up what waits behind a gap; when closeIdle is set it ends
// the streams that sent nothing since the last such call. One goroutine calls it.
func (p *Plane) Sweep(closeIdle bool) {
	p.sched.trim()
	p.mu.RLock()
	for c := range p.conns {
		if c.in != nil {
			c.in.r.Trim()
		}
	}
	var idle []*outbound
	if closeIdle {
		for _, o := range p.out {
			idle = append(idle, o)
		}
	}
	p.mu.RUnlock()
	for _, i := range p.incomingStreams() {
		p.sweepInbound(i, closeIdle)
	}
	for _, o := range idle {
		o.closeIfIdle()
	}
}

// MaxFrame is the longest frame that a link of this ring may carry. Frames of the
// protocol itself must fit also where messages are tiny.
func MaxFrame(maxPayload int) int { return wire.HeaderSize + max(maxPayload, 512) }

// StreamCount counts the outgoing streams, and the incoming ones whose sources have not left.
func (p *Plane) StreamCount() (out, in int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.out), len(p.in) - len(p.bygone)
}
