package topic

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/status"
	"github.com/x/ringdht/topic/internal/broadcast"
)

func event(id, incarnation uint64, change status.MemberChange) status.MemberEvent {
	return status.MemberEvent{Change: change, MemberInfo: status.MemberInfo{Peer: status.Peer{ID: status.ID(id)}, Incarnation: incarnation}}
}

func listOf(members ...broadcast.Member) (all []status.MemberInfo) {
	for _, m := range members {
		all = append(all, event(m.ID, m.Incarnation, status.MemberPresent).MemberInfo)
	}
	return all
}

// An epoch counts when the events have told its whole list, also if an ID has another incarnation on it.
func TestRollAgrees(t *testing.T) {
	self, a, b, again := broadcast.Member{ID: 1, Incarnation: 10}, broadcast.Member{ID: 2, Incarnation: 11}, broadcast.Member{ID: 3, Incarnation: 12}, broadcast.Member{ID: 3, Incarnation: 14}
	var r roll
	step := func(what string, agreed bool) {
		t.Helper()
		if r.agreed() != agreed {
			t.Errorf("%s: agreed %v: %+v", what, !agreed, r)
		}
	}
	step("nothing", false)
	r.look(listOf(self, a, b), 5, self)
	step("nothing is told", false)
	r.tell(event(a.ID, a.Incarnation, status.MemberPresent))
	step("half is told", false)
	r.tell(event(b.ID, b.Incarnation, status.MemberPresent))
	step("all is told", true)
	r.look(listOf(self, a, again), 7, self)
	step("another incarnation", false)
	r.tell(event(b.ID, b.Incarnation, status.MemberEnded))
	step("its end is told", false)
	r.tell(event(again.ID, again.Incarnation, status.MemberJoined))
	step("and that it is back", true)
	r.look(listOf(self, a, again), 0, self)
	step("a list without an epoch", false)
	r.look(listOf(a, again), 8, self)
	if step("without the node itself", true); r.listed {
		t.Error("the node is on the list")
	}
}

// A member that has left may end its affairs, one that died may not. One of which the core has not
// heard is left out.
func TestHowMembersEnd(t *testing.T) {
	var r roll
	for i, how := range []status.MemberChange{status.MemberLeft, status.MemberDied, status.MemberEnded} {
		r.tell(event(uint64(i), 5, status.MemberPresent))
		r.clear()
		r.tell(event(uint64(i), 5, how))
		if died := how == status.MemberDied; len(r.died) == 1 != died || len(r.left) == 1 == died {
			t.Errorf("%s: left %v, died %v", how, r.left, r.died)
		}
		r.clear()
		r.tell(event(uint64(i), 6, status.MemberJoined))
		r.tell(event(uint64(i), 6, how))
		if len(r.joined)+len(r.left)+len(r.died) > 0 {
			t.Errorf("%s: joined %v, left %v, died %v", how, r.joined, r.left, r.died)
		}
	}
}

// What a stream leaves though both ends live is sent again.
func TestStreamThatEnds(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(5)
		records := subscribeAll(all)
		h := all[0].topic.hub
		h.mu.Lock()
		b, _ := appendEnvelope(nil, "s", nil)
		b, _ = h.codec.Append(b, note{h.own.Incarnation, 1})
		if !h.life.publish(b) {
			t.Error("no room")
		}
		var left []status.Undelivered
		for to, o := range h.life.outboxes {
			u := status.Undelivered{Sink: ringdht.ID(to), Err: ringdht.ErrGone}
			for _, it := range o.queue {
				u.Bodies = append(u.Bodies, it.b)
			}
			o.queue = nil
			left = append(left, u)
		}
		h.mu.Unlock()
		if len(left) != 3 {
			t.Errorf("%d members get something", len(left))
		}
		for _, u := range left {
			h.undelivered(u)
		}
		for _, rec := range records {
			rec.await(h.own.Incarnation, 1)
			rec.check(h.own.Incarnation, 1)
		}
	})
}

// While a member hangs, publishers go on to the end of their window, and the members that it is not to pass
// messages to get them at once. The others do when it is declared dead.
func TestStuckMember(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(8)
		words := all[0].topic.as()
		var subs []*Subscription[string]
		for _, p := range all {
			s, err := p.topic.as().Subscribe(r.Ctx(), "s")
			if err != nil {
				t.Fatal(err)
			}
			subs = append(subs, s)
		}
		get := func(i, count int) {
			for range subs[i].All(r.Ctx()) {
				if count--; count == 0 {
					return
				}
			}
			t.Errorf("node %d lacks %d", i, count)
		}
		r.net.Partition([]string{all[4].host}, []string{"n0", "n1", "n2", "n3", "n5", "n6", "n7", "registry"})
		start := time.Now()
		const count = 600
		for range count {
			if err := words.Publish(r.Ctx(), "s", strings.Repeat("x", 1500)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 4 {
			get(i, count)
		}
		ringtest.CheckElapsed(t, "publishing", start, ringtest.Lease/3)
		for i := 5; i < 8; i++ {
			get(i, count)
		}
		r.net.Heal()
	})
}

// A member that asks for the same messages again and again, and reads none, gets each of them once: no
// more wait for it than this node has.
func TestMemberThatAsksAndNeverReads(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(3)
		subscribeAll(all)
		h, in := all[0].topic.hub, all[0].Incarnation()
		need := broadcast.Frame{Kind: broadcast.Need, Origin: broadcast.Member{ID: 10, Incarnation: in}, Number: 1, Last: 1<<64 - 1}.Append(nil)
		ask := func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			o := h.life.outbox(20)
			o.sending = true // it takes nothing
			for range 1000 {
				if !h.life.receive(20, need) {
					t.Fatal("a question makes no sense")
				}
			}
		}
		waiting := func() (frames, bytes int) {
			h.mu.Lock()
			defer h.mu.Unlock()
			for _, it := range h.life.outbox(20).queue {
				bytes += len(it.b)
			}
			return len(h.life.outbox(20).queue), bytes
		}
		h.mu.Lock()
		h.life.outbox(20).sending = true
		h.mu.Unlock()
		all[0].publish(100)
		frames, bytes := waiting()
		ask()
		if f, b := waiting(); f != frames+100 || b > 3*bytes {
			t.Errorf("%d frames of %d bytes wait, and after 1000 questions %d of %d", frames, bytes, f, b)
		}
		ask() // and it goes on when the member takes them
		h.mu.Lock()
		go h.life.deliverFrom(h.life.outbox(20))
		h.mu.Unlock()
		synctest.Wait()
		if n := h.life.unconfirmed(); n != 0 {
			t.Errorf("%d are not confirmed", n)
		}
		for range 2 { // what has gone is sent again to one that asks again
			ask()
			if f, _ := waiting(); f != 1 {
				t.Errorf("%d frames wait, want 1 that tells what is gone", f)
			}
			h.mu.Lock()
			o := h.life.outbox(20)
			h.mu.Unlock()
			h.life.accepted(o, 1, nil)
		}
	})
}

// Lists of other services have later epochs. A member whose question has one is answered all the same.
func TestOtherServicesCome(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(4)
		subscribeAll(all)
		late := r.join(r.make(25))
		for range 3 {
			if err := r.Join(nil).Ready(r.Ctx()); err != nil {
				t.Fatal(err)
			}
		}
		rec := late.subscribe() // its first list is a later one than those of the others
		all[0].publish(5)
		rec.await(all[0].Incarnation(), 5)
		rec.check(all[0].Incarnation(), 1)
	})
}

// Subscribe waits until the last member knows the node.
func TestSubscribeWaitsForAll(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(4)
		subscribeAll(all)
		late := r.make(35)
		r.net.Partition([]string{all[1].host}, []string{"n0", "n2", "n3", late.host}) // not from the registry
		r.join(late)
		ctx, cancel := context.WithTimeout(r.Ctx(), ringtest.Lease/3)
		defer cancel()
		if _, err := late.topic.Subscribe(ctx, "s"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a node that a member does not know: %v", err)
		}
		r.net.Heal()
		rec := late.subscribe()
		all[1].publish(5)
		rec.await(all[1].Incarnation(), 5)
		rec.check(all[1].Incarnation(), 1)
	})
}

// A message that came as the retained one does not come again, nor one before it.
func TestRetainedOnce(t *testing.T) {
	h := &hub{config: config{buffer: 10}, store: newStore()}
	s := &subscription{hub: h, ready: make(chan struct{}, 1)}
	from := broadcast.Member{ID: 1, Incarnation: 2}
	b, _ := appendEnvelope(nil, "", nil)
	e, _ := parseEnvelope(b)
	h.store.put(place{from, 7}, e)
	h.store.give(s)
	h.store.give(s)
	for _, n := range []uint64{6, 7, 8} {
		s.push(place{from, n}, &e)
	}
	s.push(place{broadcast.Member{ID: 1, Incarnation: 3}, 1}, &e)
	if len(s.buffer) != 3 {
		t.Errorf("%d messages: %v", len(s.buffer), s.buffer)
	}
}

// Frames that make no sense are counted, and change nothing.
func TestMalformed(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(2)
		records := subscribeAll(all)
		h := all[0].topic.hub
		bodies := [][]byte{nil, {0}, {99}, {1, 2}, {kindAsk}, {kindPage}, {kindPage, 1}, {kindPage, 0x80}, append([]byte{kindAsk, 1, 1}, make([]byte, maxName+1)...)}
		for _, b := range bodies {
			h.receive(r.Ctx(), ringdht.Message{Source: 20, Body: b})
		}
		h.receive(r.Ctx(), ringdht.Message{Source: 20, Body: []byte{5}, Cast: true})
		h.mu.Lock() // a page of entries that end too early
		h.life.fetch.state, h.life.fetch.eldest = asking, broadcast.Member{ID: 20}
		page := slices.Concat([]byte{kindPage, 0, 0}, []byte{1, 2, 3, 200, 1})
		h.life.fetch.number = 0
		if h.life.receive(20, page) {
			t.Error("a page with a wrong length is taken")
		}
		if h.life.fetch.state != fetched {
			t.Error("a fetch goes on after a page that makes no sense")
		}
		h.mu.Unlock()
		if got := all[0].topic.Counters().Malformed; got != uint64(len(bodies)+1) {
			t.Errorf("%d are counted, want %d", got, len(bodies)+1)
		}
		all[1].publish(1)
		records[0].await(all[1].Incarnation(), 1)
	})
}

// A subscription needs a life that is complete. A frame goes to the life of the incarnation that got it, and
// to none if that cannot begin any more.
func TestLifeMatters(t *testing.T) {
	h := New[note](ringdht.NewNode(), "t").hub
	h.once.Do(func() {}) // nothing follows the members
	h.life = &life{h: h, self: broadcast.Member{ID: 1, Incarnation: 5}}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if _, err := h.subscribe(ctx, "s"); !errors.Is(err, context.Canceled) {
		t.Errorf("a life that does not stand: %v", err)
	}
	h.life.complete = true
	if _, err := h.subscribe(t.Context(), "s"); err != nil {
		t.Error(err)
	}
	h.leaving = true
	h.receive(t.Context(), ringdht.Message{Source: 2, Body: broadcast.Frame{Kind: broadcast.Confirm}.Append(nil)})
}
