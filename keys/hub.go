package keys

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/internal/unwrap"
)

// hub is the part of a Space, and of a Keys, that knows neither states nor types: the moving part over
// the pure cores in internal/arc and keys/internal/channel.
//
// # Services
//
// The service with the name that the user gave is handled by owners and has no traffic: its members are
// the owners. The traffic service, with suffix behind that name, is handled by all nodes that have opened
// the keys. Its bodies are those of channels: each says from which life to which life it goes.
//
// # States
//
//	hub       new ─ first Connected, Send ─▶ followed ─ node closed ─▶ closed
//	          leaving, from OnLeave on: only handlers send
//	life      none ─ Connected ─▶ reported ─ orders ─▶ ordered ─ Ended ─▶ none
//	          reported, ordered ─ connection lost, Connected ─▶ reported: nothing moves until orders come
//	request   waiting ─ there is a life, and room ─▶ pending ─ answered, told, life over ─▶ ended
//	          waiting ─ ctx ends, leaving, too large ─▶ ended: not handled
//	          pending ─ ctx ends ─▶ the wait has ended: unknown
//	peer      unnamed ─ list, its own body, the registry's answer ─▶ named ─ end told ─▶ over
//	outbox    empty ─ its channel has something, and it is named ─▶ sending ─ nothing left ─▶ empty
//	running   waiting for a place ─▶ running ─ returned ─▶ answered
//	operation queued ─ none before it overlaps, and there is a place ─▶ running ─▶ told to the core
//
// # Owners of memory
//
// mu guards all of it, with the cores, and is held for no I/O, no user's function and no wait. A life owns
// its cores, channels, requests and operations; they end with it. What is known of members outlives it.
// The user's states are an Owner's, one for each life, so that nothing of one life is seen by the next.
//
// # Goroutines
//
//   - follow reads the list of the traffic service, from the first use until the node ends.
//   - The node's handlers bring bodies, and its control goroutine brings notes. Neither waits.
//   - An outbox has a goroutine while its channel has something to send.
//   - Each handler, and each operation (Give, Take, Resume, Drop) runs on one of its own. The bounds are
//     WithConcurrency, maxNested and maxOperations.
//   - teller tells WithUnknown's function while there is something to tell.
//
// # Failures
//
//   - A stream ends though both ends live, or a body is not accepted: the channel sends again from the first
//     frame that is not acknowledged, after a pause that grows.
//   - A member dies: the list says so. Its channel ends, and the cores are told: messages are sent
//     again or told.
//   - A member leaves: it is off the list before it gives away its arcs. So its channel lives on. The
//     registry is asked once in a while whether the life is over. The same question names lives that the
//     list does not have.
//   - This life is declared dead: its states are dropped and its requests told. The next life begins
//     with nothing.
//   - The registry is away: what is held is handled. Moves, and lives that have no name yet, wait.
//   - A handler hangs: its arc does not move. Its context ends after the patience of the hub.
//   - A member breaks the rules of channels or frames: it is dealt with as one that has ended.
type hub struct {
	// static after newHub, but offers until Join
	n       *ringdht.Node
	inner   interface{ SawTerm(uint64) }
	name    string
	service *ringdht.Service // of the owners
	traffic *ringdht.Service
	codec   ringdht.Codec
	config
	offers func() Owner // makes the Owner of a life; nil: this node only sends
	ctx    context.Context
	stop   context.CancelFunc
	once   sync.Once // for follow

	malformed atomic.Uint64
	stale     atomic.Uint64

	mu      sync.Mutex
	changed chan struct{} // closed by the next announce
	life    *life         // nil: none
	leaving bool
	closed  bool
	roll    roll
	waiting list.List // of *request
	telling []Unknown // to WithUnknown
	teller  bool      // there is a goroutine
	counted Counters  // of lives that have ended
}

// suffix is behind the user's name in the name of the traffic service.
const suffix = "~keys"

func newHub(n *ringdht.Node, service string, opts []Option) *hub {
	h := &hub{n: n, name: service, codec: n.Codec(), config: newConfig(opts)}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.changed = make(chan struct{})
	h.roll.init()
	h.service, h.traffic = n.Service(service), n.Service(service+suffix)
	h.traffic.Handle(h.receive)
	h.traffic.OnUndelivered(h.undelivered)
	h.traffic.OnLeave(h.leave)
	node := unwrap.Node(n)
	h.inner = node
	node.SetNotes(service, (*notes)(h))
	return h
}

// own makes the node an owner, before it joins.
func (h *hub) own(offers func() Owner) {
	h.service.Handle(func(context.Context, ringdht.Message) {})
	h.offers = offers
}

// begin starts to follow the members, once.
func (h *hub) begin() { h.once.Do(func() { go h.follow() }) }

// announce wakes those that wait for a change. It needs mu.
func (h *hub) announce() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// await waits until done returns true, which it calls with mu locked, or an error.
func (h *hub) await(ctx context.Context, done func() (bool, error)) error {
	for {
		h.mu.Lock()
		ok, err := done()
		if err == nil && !ok && h.closed {
			err = ringdht.ErrClosed
		}
		changed := h.changed
		h.mu.Unlock()
		if ok || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// receive takes a body of a member's channel. It never waits.
func (h *hub) receive(_ context.Context, m ringdht.Message) {
	if m.Cast || !h.take(m.Source, m.Body) {
		h.malformed.Add(1)
	}
}

// leave winds up before the node leaves, see [New].
func (h *hub) leave(ctx context.Context) error {
	h.mu.Lock()
	h.leaving = true
	h.endWaiting(errLeaving)
	l := h.life
	if l != nil && h.offers != nil {
		l.owner.Retire()
		l.settle()
	}
	h.mu.Unlock()
	if l == nil {
		return nil
	}
	// Each step is on the way to the next one: what a life holds is needed by its handlers, and
	// these send.
	for _, done := range []func() bool{
		func() bool { return h.offers == nil || l.left && l.operations.empty() },
		func() bool { return len(l.running) == 0 && l.source.Unanswered() == 0 },
		func() bool { return h.offers == nil || l.close() },
	} {
		err := h.await(ctx, func() (bool, error) {
			if h.life != l {
				return false, ringdht.ErrEvicted
			}
			return done(), nil
		})
		if err != nil {
			return h.leaveError(l, err)
		}
	}
	return nil
}

func (h *hub) leaveError(l *life, err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	what := "others may not know that it has ended"
	switch {
	case h.offers != nil && !l.left:
		what = "not all states were given away: they are lost with this node"
	case l.source.Unanswered() > 0:
		what = fmt.Sprintf("%d messages have no answer", l.source.Unanswered())
	}
	return fmt.Errorf("keys %q: the node left before it had wound up: %s: %w", h.name, what, err)
}

// close says to all peers that this life answers nothing more, and reports whether they know. It needs mu.
func (l *life) close() bool {
	if !l.closing {
		l.closing = true
		for _, p := range l.peers {
			if !p.listed { // it may have left before
				l.note(arc.AppendNote(nil, arc.Frame{Kind: arc.Where, Life: p.life}))
			}
			l.Send(p.life, arc.Frame{Kind: arc.Closed})
			p.closed = p.sent
			p.channel.Ask()
			p.signal()
		}
		l.settle()
	}
	for _, p := range l.peers {
		if p.sent-p.channel.Unacknowledged() < p.closed {
			return false
		}
	}
	return true
}

// isGone reports whether an error of Send, or of a stream, says that an incarnation of the sink is over.
func isGone(err error) bool {
	return errors.Is(err, ringdht.ErrNoSuchNode) || errors.Is(err, ringdht.ErrGone) || errors.Is(err, ringdht.ErrNoService)
}
