package plane

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/fence"
	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/internal/peers"
	"github.com/x/ringdht/internal/reentry"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/roster"
	"github.com/x/ringdht/internal/timewait"
	"github.com/x/ringdht/internal/trace"
	"github.com/x/ringdht/internal/undelivered"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/internal/workers"
)

// Config describes a plane. Every field must be set, except where its comment says otherwise.
type Config struct {
	Self, Incarnation uint64 // the node and its incarnation
	Bits              int    // of the ID space
	MaxPayload        int    // bytes of a message
	HopLimit          int

	Limits
	Deliver Deliver
	Log     *slog.Logger
	Owner   uint64 // of these handlers and callbacks, see package reentry; 0: the plane itself

	// Services are the services of the node, by the ports of its streams. The first is the one with
	// the empty name. None means that one alone, which is handled.
	Services []Service
	// OnLostTraffic receives each message on a port from 128 on that was pending when its stream
	// ended. unknown means that the message may have been handled. The stream's lock is held, so
	// OnLostTraffic must not block or call the plane. body is valid until it returns. It may be
	// nil.
	OnLostTraffic func(sink uint64, port uint8, body []byte, unknown bool)
	// HasEnded reports whether an incarnation of a node is known to have ended. A stream that such an
	// incarnation opens late is not kept for long. HasEnded must not block or call the plane. It may
	// be nil.
	HasEnded func(id, inc uint64) bool
	// IsMember reports whether an incarnation of a node is one of the members that this node was
	// told of. IsMember must not block or call the plane. It may be nil: then all are.
	IsMember func(id, inc uint64) bool
	// MayExist reports whether the registry can have given an incarnation by now. One that it cannot
	// have given opens no stream. It must not block or call the plane. It may be nil.
	MayExist func(inc uint64) bool
	// Outlived is called when a sink remembers a later incarnation of this node, and so accepts
	// nothing from this one. It reports whether a new incarnation is about to begin; if not, the
	// stream to that sink ends. It may be nil. OnIncarnation receives the incarnation of each
	// source that opens a stream. It may be nil. A stream's lock is held during both, so they must
	// not block or call the plane.
	Outlived      func(later uint64) (renewed bool)
	OnIncarnation func(inc uint64)
	// StuckAfter is how long nothing must come through on a stream before its route is traced and
	// OnStuck is called, and StuckAgain how long after that it is called once more. OnStuck is also
	// called when the stream gets on again. A stream's lock is held, so it must not block or call the
	// plane. It may be nil.
	StuckAfter, StuckAgain time.Duration
	OnStuck                func(Stuck)
	// MaxSuspension is for how long this process may be suspended before it must ask whether it is still
	// a member, see [Plane.Running]. 0 means without limit.
	MaxSuspension time.Duration
	// Wall returns the time of day; nil means [time.Now]. Only tests set it.
	Wall func() time.Time
}

// Service is a service of the node.
type Service struct {
	Name    string // see [wire.CheckService]
	Handled bool   // Deliver takes its messages; else a stream for it is refused
	// OnUndelivered receives each stream of the service that ended with messages pending; those of
	// one service in the order in which they ended. It runs on a goroutine of the plane, one call at
	// a time for all services. It may be nil: then Flush and Close return them.
	OnUndelivered func(Undelivered)
}

// Limits bound a node's memory. They are in bytes of frames, except where a comment says
// otherwise.
type Limits struct {
	SendBuffer     int // accepted and not known to be delivered, of all streams
	ReceiveBuffer  int // received and not yet handled, of all streams; see buffer.go
	HandlerBacklog int // sent by handlers beyond what windows allow
	LinkQueue      int // of one link; relays drop frames beyond it
	LinkLow        int // of one link; casts wait above it, and Send while streams have twice as much for it
	Handlers       int // number of handlers of a service that run at once
	Streams        int // number of incoming streams
}

// Deliver handles one message. It runs on a goroutine of the plane; calls for one source and service
// come one at a time and in order. The caller reuses d when Deliver returns.
type Deliver func(ctx context.Context, d *Delivery)

// Delivery is a message for a handler.
type Delivery struct {
	Source  uint64
	Service int   // this node's number of it
	Port    uint8 // of the frame; from 128 on it is a message of a traffic run
	Hops    int
	Body    []byte // valid until Deliver returns
	Cast    bool   // sent without a stream
	// More means that a message of the same source, service and port follows at once, and that this one is
	// not acknowledged before that one unless the handler panics.
	More bool
	// Slot is a place for the handler's notes on this source and service; nil for casts. Calls for
	// one source and service do not overlap, so it needs no lock.
	Slot *any
}

// Plane is the data plane of one node.
type Plane struct {
	// static after construction
	Config
	*peers.Set // the connections; the plane reads them and closes the set
	mask       uint64
	start      time.Time
	ctx        context.Context // of handlers
	stop       context.CancelCauseFunc
	workers    *workers.Pool // for handlers
	services   []service     // of Config.Services
	reserved   int           // bytes of ReceiveBuffer for each service that is handled
	shared     int           // bytes of it for all services

	dropHeld func(wire.Frame) // p.countWasteHere as a value, one for all streams

	// used by every goroutine, without a lock
	cache          [1 << cacheBits]atomic.Pointer[outbound] // of outbounds, see findOutbound
	closing        atomic.Bool
	incomingCut    atomic.Bool // incoming streams are cut, see CloseIncoming; set with mu held
	sendingStopped atomic.Bool // streams send nothing new, see StopSending
	draining       atomic.Bool
	counters       counters

	mu sync.RWMutex
	// guarded by mu
	outbounds  streamTable[*outbound]
	inbounds   streamTable[*inbound]
	bygone     map[*inbound]struct{} // those of inbounds whose sources have left, see bygone.go
	generation uint64                // of the latest outgoing stream
	closed     bool
	why        error // reason for closed

	// parts with locks of their own
	endedIn, endedOut timewait.List
	timers            timers
	stuckSinks        stuckSinks
	traces            trace.Table
	members           roster.Roster // some of the nodes that exist, see SetList
	losses            *undelivered.Ledger
	fence             fence.Fence

	// use of Limits
	tracing  atomic.Int32 // traces of streams that are stuck, see maxStuckTraces
	stored   atomic.Int64 // bytes of SendBuffer in use
	askedAll atomic.Bool  // all sinks were asked for an acknowledgement since SendBuffer was last full
	overflow atomic.Int64 // bytes of shared in use
	backlog  atomic.Int64 // bytes of HandlerBacklog in use
	sharing  atomic.Int64 // streams that share the receive buffer, see inbound.shares
	trials   atomic.Int64 // streams on trial

	bufferSpace notify.Change // SendBuffer has room again
	changes     notify.Change // during a leave: a handler or stream has ended

	wg sync.WaitGroup // every goroutine but those of Set and the links' writers
}

// New returns a running plane without links.
func New(c Config) *Plane {
	p := &Plane{
		Config:     c,
		mask:       ring.Mask(c.Bits),
		start:      time.Now(),
		bygone:     make(map[*inbound]struct{}),
		losses:     undelivered.New(c.SendBuffer),
		generation: rand.Uint64N(1 << 48), // leftovers of an earlier incarnation then do not match
	}
	p.Set = peers.New(peers.Config{
		Self: c.Self, Incarnation: c.Incarnation, Bits: c.Bits, HopLimit: c.HopLimit, MaxFrame: MaxFrame(c.MaxPayload),
		LinkQueue: c.LinkQueue, LinkLow: c.LinkLow, Log: c.Log, IsMember: c.IsMember,
	})
	if c.Owner == 0 {
		p.Owner = reentry.NewOwner()
	}
	ctx, stop := context.WithCancelCause(context.Background())
	p.ctx, p.stop = context.WithValue(ctx, handlerKey{}, p), stop
	ran, day := p.clocks()
	p.fence.Start(c.MaxSuspension, ran, day)
	p.workers = workers.New(workers.Config{Limit: p.Handlers, Context: p.ctx, Now: p.now, Goroutines: &p.wg})
	p.makeServices()
	p.dropHeld = p.countWasteHere
	return p
}

// Context is the context of handlers and callbacks. It ends when the plane closes. Calls with it
// do not wait for anything that only their caller could bring about.
func (p *Plane) Context() context.Context { return p.ctx }

// handlerKey marks the context of a handler; its value is the plane.
type handlerKey struct{}

// OwnerOf is the owner of the handler whose context it is, or 0.
func OwnerOf(ctx context.Context) uint64 {
	if p, ok := ctx.Value(handlerKey{}).(*Plane); ok {
		return p.Owner
	}
	return 0
}

// now is the clock of streams. It must be above zero.
func (p *Plane) now() time.Duration { return time.Since(p.start) + 1 }

// firstNumber draws the first number of a stream. The range leaves room to count up without wrapping.
func firstNumber() uint64 { return 1 + rand.Uint64N(1<<62) }

// Close ends everything at once. It cancels the context of handlers and callbacks and waits for
// every goroutine, theirs included. Pending calls fail with err. Close returns what neither a
// Flush has returned nor an OnUndelivered has received. A second call returns nothing.
func (p *Plane) Close(err error) []Undelivered {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.ctx.Done()
		p.Set.Close(err)
		p.wg.Wait()
		return nil
	}
	p.closed, p.why = true, err
	out := p.outbounds.all()
	p.mu.Unlock()

	p.workers.Close()
	p.closing.Store(true)
	p.stop(err)
	for _, o := range out {
		o.fail(err)
	}
	p.bufferSpace.Broadcast()
	p.Set.Close(err)
	p.wg.Wait() // after Set.Close: a reader may start goroutines until its connection is removed
	return p.losses.TakeRest()
}

// background runs f on a goroutine of the plane, unless the plane is closed.
func (p *Plane) background(f func()) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.closed {
		p.wg.Go(f)
	}
}

// Sweep is called every few seconds, by one goroutine. It frees the buffers of idle connections,
// and makes streams whose source is silent give up what waits behind a gap. With closeIdle it also closes the streams that sent nothing since the last such call.
func (p *Plane) Sweep(closeIdle bool) {
	p.Trim()
	for _, i := range p.incomingStreams() {
		p.sweepInbound(i, closeIdle)
	}
	if closeIdle {
		for _, o := range p.outgoingStreams() {
			o.closeIfIdle()
		}
	}
}

// MaxFrame is the length of the longest frame on a link of this ring. Frames of the protocol
// itself must fit even if messages are tiny.
func MaxFrame(maxPayload int) int { return wire.HeaderSize + max(maxPayload, 512) }

// SetList tells which nodes exist and can be reached, because all tables lead to them. all means that
// no others exist, unless they are new.
func (p *Plane) SetList(list *ring.List, all bool) { p.members.Set(list, all) }

// StreamCount returns the number of outgoing streams, and of incoming ones whose sources have not
// left.
func (p *Plane) StreamCount() (out, in int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.outbounds.n, p.inbounds.n - len(p.bygone)
}
