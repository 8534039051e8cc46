package keys

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/keys/internal/channel"
)

// A handler that returns makes room for the next one.
func TestPlaceIsGivenBack(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		r.start(1)
		client := r.join(r.make(5, false))
		for _, key := range keysOf(3) {
			client.source(key).call(2)
		}
	}, WithConcurrency(1))
}

// A call whose context ends while its handler runs may have been handled.
func TestContextEnds(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		r.handle = func(*member, context.Context, string, *tally, step) error {
			time.Sleep(time.Second)
			return nil
		}
		r.start(1)
		client := r.join(r.make(5, false))
		ctx, cancel := context.WithTimeout(r.Ctx(), 500*time.Millisecond)
		defer cancel()
		if _, err := add.Call(ctx, client.space, "a", step{"x", 1}); !errors.Is(err, ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// A node that leaves waits for the answers to what it has sent.
func TestLeaveWaitsForAnswers(t *testing.T) {
	var unknown atomic.Int32
	inMemory(t, func(t *testing.T, r *service) {
		var handled atomic.Int32
		r.handle = func(*member, context.Context, string, *tally, step) error {
			time.Sleep(time.Second)
			handled.Add(1)
			return nil
		}
		r.start(1)
		client := r.join(r.make(5, false))
		client.source("a").send(3)
		r.leave(client)
		if handled.Load() != 3 || unknown.Load() != 0 {
			t.Errorf("%d messages were handled when it had left, and %d of unknown outcome", handled.Load(), unknown.Load())
		}
	}, WithUnknown(func(Unknown) { unknown.Add(1) }))
}

// Handlers may send while their node leaves: what they do is to be done before it has left.
func TestLeaveWaitsForCallsOfHandlers(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		began := make(chan struct{}, 1)
		r.handle = func(p *member, ctx context.Context, key string, _ *tally, s step) error {
			if key == "back" {
				return nil
			}
			began <- struct{}{}
			time.Sleep(time.Second)
			_, err := add.Call(ctx, p.space, "back", s)
			return err
		}
		all := r.start(2)
		client := r.join(r.make(5, false))
		id, err := client.space.Owner(r.Ctx(), "front")
		if err != nil {
			t.Fatal(err)
		}
		owner := all[slices.IndexFunc(all, func(p *member) bool { return p.ID() == id })]
		var call sync.WaitGroup
		call.Go(func() { client.source("front").call(1) })
		<-began
		r.leave(owner)
		call.Wait()
	})
}

// A state is at its owner only, after a move.
func TestMovedStatesAreGone(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(1)
		client := r.join(r.make(5, false))
		for _, key := range keysOf(40) {
			client.source(key).call(1)
		}
		all = append(all, r.join(r.make(20, true)))
		r.awaitOwners(2)
		for _, key := range keysOf(40) {
			client.source(key).call(1) // it has moved
		}
		time.Sleep(time.Second) // and its giver knows it
		for _, key := range keysOf(40) {
			id, err := client.space.Owner(r.Ctx(), key)
			if err != nil {
				t.Error(err)
			}
			for _, p := range all {
				if here := slices.Contains(slices.Collect(p.space.Here()), key); here != (p.ID() == id) {
					t.Errorf("%s is at %d: %v, its owner is %d", key, p.ID(), here, id)
				}
			}
		}
	})
}

// The states of a life end with it: the next one begins with nothing.
func TestStatesEndWithTheirLife(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(2)
		client := r.join(r.make(5, false))
		for _, key := range keysOf(10) {
			client.source(key).call(1)
		}
		p := all[0]
		past := p.space.here.Load()
		h := p.space.hub
		h.mu.Lock()
		l := h.life
		h.endLife(errors.New("the test says so"))
		h.mu.Unlock()
		synctest.Wait()
		past.keys(func(key string) bool {
			t.Errorf("%s is still here", key)
			return true
		})
		if len(l.operations.all) != 0 {
			t.Errorf("%d operations are left", len(l.operations.all))
		}
	})
}

// hostile is what a life says that no node has.
type hostile struct {
	h    *hub
	life uint64
	ch   *channel.Channel
}

func newHostile(p *member, life uint64) *hostile {
	return &hostile{p.space.hub, life, channel.New(life, p.Incarnation(), sink{})}
}

// say says frames, and reports whether the hub takes them.
func (x *hostile) say(frames ...arc.Frame) (ok bool) {
	for _, f := range frames {
		x.ch.Send(f.Append(nil))
	}
	for ok = true; ok && x.ch.Pending(); {
		ok = x.h.take(20, x.ch.Take(nil, maxBody))
	}
	return ok
}

func (x *hostile) known() bool {
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	return x.h.life.peers[x.life] != nil
}

// A life may have a number of messages, and of frames that it does not acknowledge. Beyond that it is over.
func TestLivesAreBounded(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		r.handle = func(_ *member, ctx context.Context, _ string, _ *tally, s step) error {
			if s.From == "hang" {
				<-ctx.Done()
			}
			return nil
		}
		all := r.start(1)
		client := r.join(r.make(5, false))
		client.source("a").call(1)
		h := all[0].space.hub
		term, holds := uint64(0), false
		h.mu.Lock()
		term, holds = h.life.owner.Holds(Point("a"))
		value, err := h.codec.Append(nil, step{"hang", 1})
		h.mu.Unlock()
		body, err2 := appendEnvelope(nil, envelope{key: "a", method: "add"}, nil)
		if err := errors.Join(err, err2); err != nil || !holds {
			t.Fatal(holds, err)
		}
		msg := arc.Frame{Kind: arc.Msg, Point: Point("a"), Term: term, Body: append(body, value...)}
		life := client.Incarnation() + 1<<40
		x := newHostile(all[0], life)
		for range maxOpen {
			msg.Seq++
			if !x.say(msg) {
				t.Fatalf("message %d was refused", msg.Seq)
			}
		}
		msg.Seq++
		if x.say(msg); x.known() {
			t.Errorf("after %d messages the life is not over", msg.Seq)
		}
		x = newHostile(all[0], life+1)
		ask := arc.Frame{Kind: arc.Ask, Point: Point("a")}
		for n := 1; x.say(ask); n++ {
			if n > maxUnacked {
				t.Fatalf("%d answers wait for a life that acknowledges none", n)
			}
		}
		if x.known() {
			t.Error("it is not over")
		}
	})
}

// What an ended life says comes too late, and what it has asked for is forgotten: also a move.
func TestEndedLives(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(1)
		client := r.join(r.make(5, false))
		client.source("a").call(1)
		second := r.join(r.make(20, true))
		r.awaitOwners(2)
		time.Sleep(time.Second) // all that moves has moved
		h := all[0].space.hub
		h.mu.Lock()
		held, holds := h.life.owner.Holds(Point("a"))
		h.mu.Unlock()
		from, to := all[0], second // the second one will hold the key
		if !holds {
			from, to = second, all[0]
			to.space.hub.mu.Lock()
			held, _ = from.space.hub.life.owner.Holds(Point("a"))
			to.space.hub.mu.Unlock()
		}
		x := newHostile(to, client.Incarnation()+1<<40)
		if !x.say(arc.Frame{Kind: arc.Pull, Arc: arc.Arc{First: Point("a"), Last: Point("a")}, Term: held + 1<<40}) {
			t.Fatal("the Pull is refused")
		}
		ringtest.WaitUntil(t, "the registry says that there is no such life", func() bool { return !x.known() })
		if !x.say(arc.Frame{Kind: arc.Ask, Point: 1}) || x.known() || to.space.hub.stale.Load() != 1 {
			t.Error("what an ended life says begins a channel")
		}
		r.leave(from)
		client.source("a").call(1)
	})
}

// What a life sends to itself waits until its cores have done what they do.
func TestOwnFramesWait(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		h := r.start(1)[0].space.hub
		h.mu.Lock()
		defer h.mu.Unlock()
		before := h.life.owner.Refusals
		h.life.Send(h.life.self, arc.Frame{Kind: arc.Msg, Seq: 1 << 40, Point: 1, Term: 1})
		if h.life.owner.Refusals != before {
			t.Error("it is handled at once")
		}
		if h.life.settle(); h.life.owner.Refusals != before+1 {
			t.Error("it is not handled")
		}
	})
}

// Operations on one arc run one after the other, in order. Others run beside them.
func TestOperationsOnOneArc(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		h := r.start(1)[0].space.hub
		if err := h.await(r.Ctx(), func() (bool, error) { return h.life.operations.empty(), nil }); err != nil {
			t.Fatal(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		o := &h.life.operations
		for _, a := range []Arc{{10, 20}, {15, 30}, {31, 40}, {40, 40}} {
			o.push(operation{kind: resuming, arc: a})
		}
		o.start()
		for i, want := range []bool{true, false, true, false} {
			if o.all[i].begun != want {
				t.Errorf("operation %d has begun: %v", i, o.all[i].begun)
			}
		}
	})
}
