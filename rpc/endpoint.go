package rpc

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht"
)

// Endpoint makes the calls of a node, and handles those of others. Its methods are safe for
// concurrent use.
type Endpoint struct {
	// static after New
	name    string
	service *ringdht.Service
	carrier carrier
	codec   ringdht.Codec
	config
	around   Func            // the middleware, around Op.call
	ctx      context.Context // of what the endpoint sends; ends with the node
	stop     context.CancelFunc
	slots    shares // of requests that are handled, but for those of handlers
	nested   shares // of requests of handlers
	couriers shares // of messages that no caller waits for

	methods   sync.Mutex // held to add one
	handlers  atomic.Pointer[map[string]handler]
	next      chan *serving // to a goroutine that waits for one
	idle      atomic.Int32  // such goroutines
	followed  sync.Once     // follow runs, from the first call or request on
	winding   atomic.Bool
	timer     atomic.Pointer[time.Timer]
	malformed atomic.Uint64
	unencoded atomic.Uint64

	calls  calls  // of this node
	serves serves // of others
	asks   asks
}

func newEndpoint(service string, c carrier, codec ringdht.Codec, opts []Option) *Endpoint {
	e := &Endpoint{name: service, carrier: c, codec: codec, config: config{concurrency: 256}}
	for _, o := range opts {
		o.apply(&e.config)
	}
	if len(e.middleware) > 0 {
		e.around = wrap(e.middleware, func(ctx context.Context, op *Op) (any, error) { return op.call(ctx, op) })
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.slots.init(e.concurrency)
	e.nested.init(maxNested)
	e.couriers.init(maxCouriers)
	e.next = make(chan *serving)
	e.handlers.Store(new(map[string]handler))
	e.calls.init()
	e.serves.init()
	e.asks.init(e)
	return e
}

// Service returns the service to which requests come. Its members are those that have a handler:
// see ringdht.Service.
func (e *Endpoint) Service() *ringdht.Service { return e.service }

// Counters count what an Endpoint did not carry out, or not at once.
type Counters struct {
	Malformed uint64 // messages that made no sense: dropped, or refused if they were requests
	Waited    uint64 // requests that waited for a place, see WithConcurrency
	Refused   uint64 // requests of handlers for which there was no place
	LeftOut   uint64 // cancels and answers to questions: the next question makes them good
	Unencoded uint64 // answers of handlers that could not be encoded, or were too long
}

// Counters returns what has been counted since New. A sound program sends nothing malformed, and has
// no answers that cannot be encoded.
func (e *Endpoint) Counters() Counters {
	c := Counters{Malformed: e.malformed.Load(), Unencoded: e.unencoded.Load()}
	c.Waited, _ = e.slots.counts()
	_, c.Refused = e.nested.counts()
	_, c.LeftOut = e.couriers.counts()
	return c
}

// receive handles a message. On the lane of answers it never waits.
func (e *Endpoint) receive(ctx context.Context, l lane, m ringdht.Message) {
	e.begin()
	b := m.Body
	if len(b) == 0 || m.Cast {
		e.malformed.Add(1)
		return
	}
	kind := b[0]
	ok := l == answers || kind == kindRequest || kind == kindAsk
	switch {
	case !ok:
	case kind == kindRequest:
		ok = e.serve(ctx, l, m.Source, b)
	case kind == kindAnswer || kind == kindFailure:
		ok = e.answered(m.Source, b)
	case kind >= kindAsk && kind <= kindCheck:
		var list []uint64
		if list, ok = parseList(b[1:]); ok {
			e.listed(kind, m.Source, list)
		}
	default:
		ok = false
	}
	if !ok {
		e.malformed.Add(1)
	}
}

// listed handles a message about some calls.
func (e *Endpoint) listed(kind byte, from ringdht.ID, list []uint64) {
	switch kind {
	case kindAsk:
		if list = e.serves.unknown(from, list); len(list) > 0 {
			e.courier(from, func() { e.tellUnknown(from, list) })
		}
	case kindCheck:
		if list = e.calls.notPending(from, list); len(list) > 0 {
			e.courier(from, func() { e.tell(from, kindCancel, list) })
		}
	case kindUnknown:
		e.courier(from, func() { e.lost(from, list, errNotKnown) })
	case kindCancel:
		for _, number := range list {
			e.serves.cancel(key{from, number}, true)
		}
	}
}

// maxCouriers bounds the goroutines that send what no caller waits for. What they do not send, the
// next question makes good.
const maxCouriers = 64

// courier runs f on a goroutine, if there are not too many for this peer.
func (e *Endpoint) courier(peer ringdht.ID, f func()) {
	if !e.couriers.try(peer) {
		return
	}
	go func() {
		defer e.couriers.put(peer)
		f()
	}()
}

// lost ends calls whose outcome cannot be known any more. What their stream has left when it ended is
// certain, and its callback may be about to tell: it comes first.
func (e *Endpoint) lost(to ringdht.ID, list []uint64, err error) {
	ctx, cancel := context.WithTimeout(e.ctx, interval)
	defer cancel()
	e.carrier.flush(ctx, requests, to)
	e.carrier.flush(ctx, answers, to)
	for _, number := range list {
		e.calls.finish(number, to, outcome{err: err, unknown: true})
	}
}

// tell sends a message about some calls. If it fails, the next question makes that good.
func (e *Endpoint) tell(to ringdht.ID, kind byte, list []uint64) error {
	b := newBuffer()
	defer b.put()
	b.b = appendList(b.b, kind, list...)
	return e.carrier.send(e.ctx, answers, to, b.b)
}

// tellUnknown tells a caller which calls are not known. An answer may be on its way, left by a
// stream that has ended: then flush returns after it has become known again.
func (e *Endpoint) tellUnknown(to ringdht.ID, list []uint64) {
	ctx, cancel := context.WithTimeout(e.ctx, patience)
	defer cancel()
	if e.carrier.flush(ctx, answers, to); ctx.Err() != nil {
		return
	}
	if list = e.serves.unknown(to, list); len(list) > 0 {
		e.tell(to, kindUnknown, list)
	}
}

// begin starts to follow the members, once.
func (e *Endpoint) begin() { e.followed.Do(func() { go e.follow() }) }

// follow looks after the calls when a member ends, and ends them all with the node.
func (e *Endpoint) follow() {
	for ev := range e.carrier.members(e.ctx) {
		switch {
		case !ev.Change.Over():
		case ev.Self:
			e.calls.over(ev.Incarnation, ringdht.ErrEvicted)
			e.serves.over(ev.Incarnation, ringdht.ErrEvicted)
		default:
			e.calls.noteEnd()
			e.asks.now(ev.ID)
		}
	}
	e.stop()
	e.calls.close(ringdht.ErrClosed)
	e.calls.over(^uint64(0), ringdht.ErrClosed)
	e.serves.over(^uint64(0), ringdht.ErrClosed)
}

// leave winds up before the node leaves.
func (e *Endpoint) leave(ctx context.Context) error {
	if err := e.await(ctx, e.serves.windUp()); err != nil {
		return err
	}
	return e.await(ctx, e.calls.close(errSelfLeaves))
}

func (e *Endpoint) await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-e.ctx.Done():
		return ringdht.ErrClosed
	}
}
