package topic

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/topic/internal/broadcast"
)

// first returns the first message of a new subscription.
func (p *peer) first(subject string) (m Message[note]) {
	p.r.t.Helper()
	sub, err := p.topic.Subscribe(p.r.Ctx(), subject)
	if err != nil {
		p.r.t.Fatal(err)
	}
	defer sub.Close()
	for m = range sub.All(p.r.Ctx()) {
		break
	}
	return m
}

// A newcomer gets the latest message of each subject, also those of publishers that have ended, and what
// is published afterwards. So does a subscription at a node that has been there.
func TestRetained(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(5)
		for i, p := range all {
			for n := range uint64(5) {
				if err := p.topic.Publish(r.Ctx(), fmt.Sprint("subject ", i), note{N: n}); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		all[4].Close()
		r.Remove(all[4].Node)
		for round := range 4 { // the eldest ones leave
			late := r.join(r.make(ringdht.ID(11 + round)))
			for i := range all {
				for _, p := range []*peer{late, all[3]} {
					if m := p.first(fmt.Sprint("subject ", i)); m.Value.N != 4 || m.Missed != 0 {
						t.Errorf("round %d, node %d, subject %d: %+v", round, p.ID(), i, m)
					}
				}
			}
			if round < 3 {
				if err := all[round].Leave(r.Ctx()); err != nil {
					t.Error(err)
				}
				r.Remove(all[round].Node)
			}
			all[3].publish(1)
			synctest.Wait()
			if m := late.first("s"); m.Value.N != uint64(round)+1 || m.Source != 40 {
				t.Errorf("round %d: %+v", round, m)
			}
		}
	}, WithRetained())
}

// Of many retained messages a newcomer gets all, page by page, while the eldest members die.
func TestRetainedPages(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(4)
		const subjects = 4000
		for i := range subjects {
			if err := all[3].topic.Publish(r.Ctx(), fmt.Sprintf("%0100d", i), note{N: uint64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		late := r.make(35)
		done := make(chan Message[note])
		go func() { done <- late.first(fmt.Sprintf("%0100d", subjects-1)) }()
		r.join(late)
		for _, p := range all[:2] {
			p.Close()
			r.Remove(p.Node)
		}
		if m := <-done; m.Value.N != subjects-1 {
			t.Errorf("%+v", m)
		}
		late.topic.hub.mu.Lock()
		defer late.topic.hub.mu.Unlock()
		if got := len(late.topic.hub.store.bySubject); got != subjects {
			t.Errorf("%d subjects are retained, want %d", got, subjects)
		}
	}, WithRetained())
}

// All members retain the same one of messages that several publish at the same time.
func TestRetainedIsTheSame(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(6)
		for _, p := range all {
			go p.publish(20)
		}
		synctest.Wait()
		r.WaitSettled()
		want := all[0].first("s")
		for _, p := range append(all, r.join(r.make(25))) {
			if m := p.first("s"); m.Value != want.Value || m.Source != want.Source {
				t.Errorf("node %d retains %+v, node 10 %+v", p.ID(), m, want)
			}
		}
	}, WithRetained())
}

// A subscription whose node begins another life gets the latest message again, if it is another.
func TestRetainedAfterRejoin(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(4)
		sub, err := all[2].topic.Subscribe(r.Ctx(), "s")
		if err != nil {
			t.Fatal(err)
		}
		all[0].publish(1)
		for m := range sub.All(r.Ctx()) {
			if m.Value.N != 1 {
				t.Errorf("%+v", m)
			}
			break
		}
		for _, published := range []int{0, 3} {
			old := all[2].Incarnation()
			r.net.Partition([]string{all[2].host}, []string{"n0", "n1", "n3", "registry"})
			all[0].publish(published)
			r.WaitGone(30)
			r.net.Heal()
			ringtest.WaitUntil(t, "another life", func() bool { return all[2].Incarnation() != old && all[2].ReadyNow() == nil })
			all[2].subscribe().sub.Close() // it stands
			synctest.Wait()
			sub.s.mu.Lock()
			got := len(sub.s.buffer)
			sub.s.mu.Unlock()
			if got > published || got == 0 && published > 0 { // some may come besides the latest one
				t.Fatalf("%d messages after another life, of %d", got, published)
			}
		}
		for m := range sub.All(r.Ctx()) {
			if m.Value.N == 4 {
				break
			}
		}
	}, WithRetained())
}

// A member's stamps may be as great as they can be. One above the bound makes no sense, and at the bound
// what others publish later is retained all the same.
func TestStampsDoNotWrap(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(2)
		subscribeAll(all)
		for i, stamp := range []uint64{1<<64 - 1, maxStamp + 1, maxStamp} {
			b, err := appendEnvelope(nil, "other", nil)
			if err != nil {
				t.Fatal(err)
			}
			if b, err = all[1].topic.hub.codec.Append(b, note{}); err != nil {
				t.Fatal(err)
			}
			setStamp(b, stamp)
			h := all[1].topic.hub
			h.mu.Lock()
			h.life.core.Publish(b)
			h.mu.Unlock()
			synctest.Wait()
			for range 3 {
				all[0].publish(1)
			}
			synctest.Wait()
			for _, p := range all {
				if m := p.first("s"); m.Value.N != uint64(3*i+3) {
					t.Errorf("stamp %#x: node %d retains %+v", stamp, p.ID(), m)
				}
			}
			if got, want := all[0].topic.Counters().Malformed, uint64(min(i+1, 2)); got != want {
				t.Errorf("stamp %#x: %d are counted, want %d", stamp, got, want)
			}
		}
	}, WithRetained())
}

// A member whose pages make no progress is not asked for ever.
func TestPagesThatRepeat(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(2)
		subscribeAll(all)
		h := all[0].topic.hub
		h.mu.Lock()
		defer h.mu.Unlock()
		page := func(number uint64, subjects ...string) []byte {
			b := append(binary.AppendUvarint([]byte{kindPage}, number), 1)
			for _, s := range subjects {
				e, err := appendEnvelope(nil, s, nil)
				if err != nil {
					t.Fatal(err)
				}
				b = append(binary.AppendUvarint(append(b, 1, 2, 3), uint64(len(e))), e...)
			}
			return b
		}
		l := h.life
		for _, bad := range [][]string{{}, {"b"}, {"a", "c"}, {"c", "c"}, {"d", "c"}} {
			l.complete = false
			l.fetch = fetch{state: asking, number: 7, eldest: broadcast.Member{ID: 20, Incarnation: h.roll.told[20]}}
			if !l.receive(20, page(7, "", "b")) || l.fetch.state != asking || l.fetch.number != 8 || l.fetch.next.after != "b" {
				t.Errorf("after the first page: %+v", l.fetch)
			}
			if l.receive(20, page(8, bad...)) || l.fetch.state != fetched || !l.complete {
				t.Errorf("after a page of %q: %+v", bad, l.fetch)
			}
		}
	}, WithRetained())
}

// While a life fetches what is retained it remembers no subjects but those of subscriptions.
func TestSubjectsOfAFetchAreBounded(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(2)
		subscribeAll(all)
		h := all[1].topic.hub
		h.mu.Lock()
		h.life.complete, h.life.fetch = false, fetch{state: asking, number: 1, eldest: h.roll.members()[0], delivered: make(map[string]bool)}
		h.mu.Unlock()
		for i := range 100 {
			if err := all[0].topic.Publish(r.Ctx(), fmt.Sprint(i), note{}); err != nil {
				t.Fatal(err)
			}
		}
		all[0].publish(1)
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		if d := h.life.fetch.delivered; len(d) != 1 || !d["s"] {
			t.Errorf("%d subjects: %v", len(d), d)
		}
		h.life.finish()
	}, WithRetained())
}

// A member that asks for pages and reads none gets one, and then that of its latest question.
func TestPagesWaitOnce(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(2)
		subscribeAll(all)
		all[0].publish(1)
		synctest.Wait()
		h := all[0].topic.hub
		h.mu.Lock()
		o := h.life.outbox(20)
		o.sending = true // it takes nothing
		for number := range byte(100) {
			if !h.life.receive(20, []byte{kindAsk, number}) {
				t.Error("a question makes no sense")
			}
		}
		h.mu.Unlock()
		for _, want := range []byte{0, 99} {
			if len(o.queue) != 1 || o.queue[0].b[0] != kindPage || o.queue[0].b[1] != want {
				t.Errorf("%d frames wait, want the answer to question %d: %v", len(o.queue), want, o.queue)
			}
			h.life.accepted(o, 1, nil)
		}
		if len(o.queue) > 0 || o.asked != nil {
			t.Errorf("%d frames wait", len(o.queue))
		}
	}, WithRetained())
}

// The store has bounds. Beyond them it forgets what came first.
func TestStoreIsBounded(t *testing.T) {
	s := newStore()
	put := func(subject string, bytes int, stamp uint64) {
		b, _ := appendEnvelope(nil, subject, nil)
		setStamp(b, stamp)
		e, _ := parseEnvelope(append(b, make([]byte, bytes)...))
		s.put(place{broadcast.Member{ID: 1, Incarnation: 2}, stamp}, e)
	}
	for i := range maxSubjects + 10 {
		put(fmt.Sprint(i), 1, uint64(i))
	}
	if len(s.bySubject) != maxSubjects || s.forgotten != 10 || s.bySubject["9"] != nil || s.bySubject["10"] == nil {
		t.Errorf("%d subjects, %d forgotten", len(s.bySubject), s.forgotten)
	}
	put("10", 5, 3) // an earlier one
	if k := s.bySubject["10"].Value.(*kept); k.stamp != 10 {
		t.Errorf("stamp %d is retained", k.stamp)
	}
	for i := range 3 {
		put(fmt.Sprint("long ", i), maxRetained/2, uint64(maxSubjects+20+i))
	}
	if len(s.bySubject) != 1 || s.bytes > maxRetained {
		t.Errorf("%d subjects, %d bytes", len(s.bySubject), s.bytes)
	}
	var order []string
	s = newStore()
	for _, subject := range []string{"b", "", "a", "c"} {
		put(subject, 1, 1)
	}
	s.after(ask{more: true}, func(k *kept) bool { order = append(order, string(k.subject)); return true })
	if !slices.Equal(order, []string{"a", "b", "c"}) {
		t.Errorf("%q", order)
	}
}
