package check

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/x/ringdht/examples/kv/store"
	"github.com/x/ringdht/keys"
)

// zones are one key of a ring, as package keys promises it at its worst: calls take a while, holders are
// declared dead that live on, callers hear late of it, and a receiver that dies leaves its giver an old copy.
type zones struct {
	mu      sync.Mutex
	rand    *rand.Rand
	term    uint64
	current [3]*holder
	former  [3]*holder
	stop    context.Context // the end of all
	running sync.WaitGroup
}

// holder has the key in a zone under a term.
type holder struct {
	caller
	zone  int
	term  uint64
	turn  chan struct{} // of one slot: one handler at a time guards entry
	entry store.Entry
	given *store.Entry // of the giver, until it knows that the key has moved
	ctx   context.Context
	end   context.CancelFunc

	// guarded by zones.mu
	over  bool    // the registry has declared it dead
	moved *holder // that has the state now
}

// caller is a life that sends to the key in all zones, in order.
type caller struct {
	z      *zones
	at     [3]*holder // where it sends to. Guarded by zones.mu
	before [3]chan struct{}
}

func newZones(seed uint64, stop context.Context) *zones {
	z := &zones{rand: rand.New(rand.NewPCG(seed, 1)), stop: stop}
	for i := range z.current {
		z.grant(i, store.Entry{})
	}
	return z
}

// below returns a random number less than n.
func (z *zones) below(n int) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.rand.IntN(n)
}

// pause takes a random time: most often a short one.
func (z *zones) pause() {
	d := time.Duration(z.below(1000)) * time.Microsecond
	if z.below(20) == 0 {
		d *= 300
	}
	time.Sleep(d)
}

func (z *zones) isOver(h *holder) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	return h.over
}

// grant makes a new holder the current one.
func (z *zones) grant(zone int, e store.Entry) *holder {
	h := &holder{zone: zone, turn: make(chan struct{}, 1), entry: e}
	h.z = z
	h.ctx, h.end = context.WithCancel(z.stop)
	z.mu.Lock()
	defer z.mu.Unlock()
	z.term++
	h.term = z.term
	for i, at := range z.current { // its node has heard late
		if h.at[i] = at; z.rand.IntN(2) == 0 && z.former[i] != nil {
			h.at[i] = z.former[i]
		}
	}
	z.former[zone], z.current[zone] = z.current[zone], h
	return h
}

// die has the registry declare the current holder of a zone dead. If it is not, it goes on for a while.
func (z *zones) die(zone int, really bool) {
	z.mu.Lock()
	h := z.current[zone]
	h.over = true
	z.mu.Unlock()
	if really {
		h.end()
	} else {
		z.running.Go(func() {
			time.Sleep(time.Duration(z.below(8000)) * time.Millisecond)
			h.end()
		})
	}
	var e store.Entry
	if h.given != nil {
		e = *h.given
	}
	z.grant(zone, e)
}

// move moves the key to another holder of a zone.
func (z *zones) move(zone int) {
	h := z.current[zone]
	select {
	case h.turn <- struct{}{}:
	case <-z.stop.Done():
		return
	}
	defer func() { <-h.turn }()
	if z.isOver(h) {
		return
	}
	copied := h.entry
	next := z.grant(zone, h.entry)
	next.given = &copied
	z.mu.Lock()
	h.moved = next
	z.mu.Unlock()
}

// settle has the givers hear of all moves.
func (z *zones) settle() {
	for _, h := range z.current {
		h.given = nil
	}
}

// heard returns the holder that a caller sends to. It hears late of deaths.
func (c *caller) heard(zone int) *holder {
	z := c.z
	z.mu.Lock()
	defer z.mu.Unlock()
	h := c.at[zone]
	switch {
	case h == nil:
		h = z.current[zone]
	case h.ctx.Err() != nil, h.over && z.rand.IntN(60) == 0:
		h = z.current[zone]
	}
	for h.moved != nil {
		h = h.moved
	}
	c.at[zone] = h
	return h
}

// call has the holder of a zone handle a message of a caller, behind those before it.
func call[T any](ctx context.Context, c *caller, zone int, f func(ctx context.Context, h *holder) (T, error)) (T, error) {
	type answer struct {
		v   T
		err error
	}
	var none T
	before, done, answers := c.before[zone], make(chan struct{}), make(chan answer, 1)
	c.before[zone] = done
	c.z.running.Go(func() {
		defer close(done)
		if before != nil {
			<-before
		}
		c.z.pause()
		for {
			h := c.heard(zone)
			select {
			case h.turn <- struct{}{}:
			case <-h.ctx.Done():
				if c.z.stop.Err() != nil {
					return
				}
				if c.z.pause(); c.z.below(2) == 0 { // it may have been sent
					answers <- answer{none, keys.ErrUnknown}
					return
				}
				continue
			}
			if c.heard(zone) != h {
				<-h.turn
				continue
			}
			during, cancel := context.WithCancel(h.ctx)
			if at, ok := ctx.Deadline(); ok {
				during, cancel = context.WithDeadline(h.ctx, at)
			}
			v, err := f(during, h)
			cancel()
			gone := h.ctx.Err() != nil
			<-h.turn
			if c.z.pause(); gone || h.ctx.Err() != nil {
				err = keys.ErrUnknown
			}
			answers <- answer{v, err}
			return
		}
	})
	select {
	case a := <-answers:
		return a.v, a.err
	case <-ctx.Done():
		return none, errors.Join(keys.ErrUnknown, ctx.Err())
	}
}

// alive asks the registry.
func (h *holder) alive(ctx context.Context) error {
	h.z.pause()
	over := h.z.isOver(h)
	h.z.pause()
	if over {
		return store.ErrNotDone
	}
	return ctx.Err()
}

// request has the primary that a caller knows do a request.
func (c *caller) request(ctx context.Context, r store.Request) (store.Answer, error) {
	return call(ctx, c, 0, func(ctx context.Context, h *holder) (store.Answer, error) {
		p := store.Primary{Tell: func(ctx context.Context, replica int, o store.Order) (store.Entry, error) {
			return call(ctx, &h.caller, 1+replica, func(ctx context.Context, at *holder) (store.Entry, error) {
				return store.Follow(ctx, at.alive, at.term, &at.entry, o)
			})
		}, Alive: h.alive}
		return p.Do(ctx, h.term, &h.entry, r)
	})
}

// whole reports whether the current primary has the current replicas in its view. It comes behind a Refresh, which says that
// they have the value.
func (z *zones) whole() bool {
	h := z.current[0]
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-z.stop.Done():
	}
	return h.entry.Held == h.term && h.entry.View == [2]uint64{z.current[1].term, z.current[2].term}
}
