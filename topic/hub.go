package topic

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
	"github.com/x/ringdht/topic/internal/broadcast"
)

// hub is the part of a Topic that does not know the type of its values: the moving part over the core
// in internal/broadcast.
//
// # States
//
//	unused ─ Publish, Subscribe, a frame ─▶ followed ─ node closed or expelled ─▶ closed
//	life:   none ─ own join told, list complete ─▶ joining ─ all know it ─▶ standing ─ retained are here ─▶ complete
//	        joining, standing, complete ─ own end told ─▶ none
//	leaving, from Leave on: nothing is published; from OnLeave on what was is waited for
//
// # Goroutines
//
// follow is the only one that begins and ends lives and tells the core of members. It ends with the
// node. catchUp exists while a question waits for a later list, deliverFrom while an outbox has frames.
// The node's handlers bring frames, and callers publish.
//
// mu guards all, the core included. It is held for no I/O and for no wait: what the core sends goes to an
// outbox, what it delivers to the buffer of a subscription. So handlers and publishers wait for no
// member and for no subscriber. Handlers wait only for the life to which their frame belongs.
//
// # Failures
//
//   - A member dies, hangs, leaves, or takes no stream: its outbox waits until the list says so, and the
//     core asks others.
//   - A stream ends though both ends live: its frames come back by OnUndelivered, and are sent again.
//     Beyond the bound of the node for such bodies they are lost. A question that is among them holds up its
//     publisher, until the member at the other end of the stream ends.
//   - This node is declared dead: its core, outboxes and unconfirmed messages end with its life. The
//     subscriptions go on with the next one. A frame that comes meanwhile waits for it.
//   - The registry is away: lists stand still, and what needs a later one waits.
type hub struct {
	// static after newHub
	n       *ringdht.Node
	service *ringdht.Service
	codec   ringdht.Codec
	config
	ctx  context.Context // ends with the node
	stop context.CancelFunc
	once sync.Once // for follow

	malformed atomic.Uint64

	looks sync.Mutex // before mu: a list that was read earlier does not come later

	mu         sync.Mutex
	changed    chan struct{}    // closed by the next announce
	own        broadcast.Member // as told; zero: none
	roll       roll
	life       *life // nil: none
	leaving    bool
	closed     bool
	catchingUp bool
	clock      uint64 // the greatest stamp of a message that came, or went
	subs       map[string][]*subscription
	store      *store
	got        map[uint64]uint64 // see life.got: of the latest life that has ended
	counted    Counters          // of what has ended
}

func newHub(n *ringdht.Node, service string, opts []Option) *hub {
	h := &hub{n: n, service: n.Service(service), codec: n.Codec(), config: config{buffer: 256}}
	for _, o := range opts {
		o.apply(&h.config)
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.changed, h.subs, h.store = make(chan struct{}), make(map[string][]*subscription), newStore()
	h.service.Handle(h.receive)
	h.service.OnUndelivered(h.undelivered)
	h.service.OnLeave(h.leave)
	return h
}

// begin starts to follow the members, once. A Topic that is not used, at a node with which no other
// member speaks, costs nothing.
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

var errLeaving = fmt.Errorf("%w: the node is about to leave", ringdht.ErrNotMember)

// publish sends an envelope without a stamp.
func (h *hub) publish(ctx context.Context, b []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	h.begin()
	return h.await(ctx, func() (bool, error) {
		l := h.life
		switch {
		case h.leaving:
			return false, errLeaving
		case h.closed:
			return false, ringdht.ErrClosed
		case l == nil:
			return false, nil
		}
		// A node that leaves is off the lists before OnLeave: newcomers would not take its messages.
		if err := h.n.ReadyNow(); errors.Is(err, ringdht.ErrNotMember) && !errors.Is(err, ringdht.ErrNotReady) {
			return false, errLeaving
		}
		if most := h.n.MaxPayload() - maxHeader; len(b) > most {
			return false, fmt.Errorf("%w: with its subject and metadata it has %d bytes, at most %d", ringdht.ErrTooLarge, len(b)-stampSize, most-stampSize)
		}
		return l.publish(b), nil
	})
}

// subscribe adds a subscription when the life is complete.
func (h *hub) subscribe(ctx context.Context, subject string) (s *subscription, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	h.begin()
	err = h.await(ctx, func() (bool, error) {
		switch {
		case h.leaving:
			return false, errLeaving
		case h.closed:
			return false, ringdht.ErrClosed
		case h.life == nil || !h.life.complete:
			return false, nil
		}
		s = &subscription{hub: h, subject: subject, ready: make(chan struct{}, 1)}
		h.subs[subject] = append(h.subs[subject], s)
		h.store.give(s)
		return true, nil
	})
	return s, err
}

func (h *hub) unsubscribe(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := without(h.subs[s.subject], s)
	if h.subs[s.subject] = all; len(all) == 0 {
		delete(h.subs, s.subject)
	}
}

// without returns a list without a subscription. It does not change the list.
func without(all []*subscription, s *subscription) (rest []*subscription) {
	for _, other := range all {
		if other != s {
			rest = append(rest, other)
		}
	}
	return rest
}

// receive handles a message of a member. It waits only for the life to which the message belongs: the
// node takes messages of a new incarnation before its list has told of it.
func (h *hub) receive(ctx context.Context, m ringdht.Message) {
	h.begin()
	if m.Cast || len(m.Body) == 0 {
		h.malformed.Add(1)
		return
	}
	incarnation := h.n.Incarnation()
	h.await(ctx, func() (bool, error) {
		l := h.life
		if l == nil || l.self.Incarnation != incarnation {
			return h.leaving, nil // a life that has not begun by then never will
		}
		if !l.receive(uint64(m.Source), m.Body) {
			h.malformed.Add(1)
		}
		return true, nil
	})
}

// undelivered takes back what a stream has left. If this node has ended nothing is sent again.
func (h *hub) undelivered(u status.Undelivered) {
	if errors.Is(u.Err, ringdht.ErrEvicted) || errors.Is(u.Err, ringdht.ErrClosed) || errors.Is(u.Err, ringdht.ErrNotMember) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.life == nil {
		return
	}
	if hasEnded(u.Err) {
		for _, b := range u.Bodies {
			h.life.sinkEnded(b)
		}
	}
	if _, there := h.roll.told[uint64(u.Sink)]; there {
		h.life.takeBack(uint64(u.Sink), u.Bodies)
	}
}

// follow tells of the members, and begins and ends lives.
func (h *hub) follow() {
	for e := range h.service.Watch(h.ctx) {
		h.mu.Lock()
		look := h.tell(e)
		if !look {
			h.agree()
		}
		h.mu.Unlock()
		if look {
			h.lookAgain()
		}
	}
	h.stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endLife()
	h.closed = true
	for _, all := range h.subs {
		for _, s := range all {
			s.end()
		}
	}
	h.announce()
}

// lookAgain looks at the service's list, which grows in time with each change of the ring.
func (h *hub) lookAgain() {
	h.looks.Lock()
	defer h.looks.Unlock()
	members, epoch := h.service.Members()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.look(members, epoch)
}

// leave waits until all members have what this node has published. Before it has returned the node sends
// and takes messages as before. What it has still to pass on when it ends, others are asked for.
func (h *hub) leave(ctx context.Context) error {
	h.mu.Lock()
	h.leaving = true
	l := h.life
	h.announce()
	h.mu.Unlock()
	if l == nil {
		return nil
	}
	err := h.await(ctx, func() (bool, error) {
		if h.life != l && l.core.Unconfirmed() > 0 {
			return false, ringdht.ErrEvicted
		}
		return l.core.Unconfirmed() == 0, nil
	})
	if err != nil {
		return fmt.Errorf("topic %q: %d messages are not known to have reached all members: %w", h.service.Name(), l.unconfirmed(), err)
	}
	return nil
}

// catchUp looks for a later list while a question waits for one. Watch tells only of changes of
// this service, and lists of others may have a later epoch and the same members.
func (h *hub) catchUp() {
	for pause := time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		h.lookAgain()
		h.mu.Lock()
		h.catchingUp = h.life != nil && h.life.core.Waits()
		more := h.catchingUp
		h.mu.Unlock()
		if !more {
			return
		}
		select {
		case <-time.After(pause):
		case <-h.ctx.Done():
			return
		}
	}
}
