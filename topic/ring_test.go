package topic

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
)

// Three members to which the publishers pass most die at once while messages are under way, and others join.
// Each of the living gets each message of the living once, and in order.
func TestExactlyOnceUnderDeaths(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(14)
		records := subscribeAll(all)
		var publishers sync.WaitGroup
		halfway, joined := make(chan struct{}), make(chan struct{})
		begin := sync.OnceFunc(func() { close(halfway) })
		publishing := []*peer{all[0], all[1], all[13]}
		for _, p := range publishing {
			publishers.Go(func() {
				p.publish(100)
				begin()
				for open := true; open; {
					p.publish(10)
					select {
					case <-joined:
						open = false
					case <-time.After(10 * time.Millisecond):
					}
				}
				p.publish(100)
			})
		}
		<-halfway
		dead := []int{8, 4, 2} // the children of all[0] with the largest ranges
		for _, i := range dead {
			all[i].Close()
			r.Remove(all[i].Node)
		}
		var from []map[uint64]uint64
		for i := range 3 {
			p := r.join(r.make(ringdht.ID(45 + 30*i)))
			rec := p.subscribe()
			first := make(map[uint64]uint64)
			for _, q := range publishing {
				q.mu.Lock()
				first[q.Incarnation()] = q.n + 1
				q.mu.Unlock()
			}
			records, from = append(records, rec), append(from, first)
		}
		close(joined)
		publishers.Wait()
		for i, rec := range records {
			if slices.Contains(dead, i) {
				continue
			}
			for _, p := range publishing {
				first := uint64(1)
				if i >= 14 {
					first = from[i-14][p.Incarnation()]
				}
				rec.await(p.Incarnation(), p.n)
				rec.check(p.Incarnation(), first)
			}
		}
	})
}

// All messages of a node that leaves arrive, also if it leaves right behind them, and members that were to
// pass them on die then.
func TestLeaverPublishesLast(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(12)
		records := subscribeAll(all)
		leaver := all[3]
		life := leaver.Incarnation()
		leaver.publish(1500)
		left := make(chan error, 1)
		go func() { left <- leaver.Leave(r.Ctx()) }()
		all[11].Close() // its child with the largest range
		r.Remove(all[11].Node)
		if err := <-left; err != nil {
			t.Error(err)
		}
		r.Remove(leaver.Node)
		for _, rec := range records {
			if rec.p == all[11] {
				continue
			}
			rec.await(life, 1500)
			rec.check(life, 1)
		}
		if err := leaver.tryPublish(r.Ctx()); !errors.Is(err, ringdht.ErrNotMember) {
			t.Errorf("publishing after that: %v", err)
		}
		if _, err := leaver.topic.Subscribe(r.Ctx(), "s"); !errors.Is(err, ringdht.ErrNotMember) {
			t.Errorf("subscribing after that: %v", err)
		}
		<-records[3].done // its loop has ended
	})
}

// A node that is declared dead while it winds up waits for no answers: the context ends.
func TestLeaverIsDeclaredDead(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		subscribeAll(r.start(3))
		leaver := r.make(40)
		leaver.Node.Node.Service("later").OnLeave(func(ctx context.Context) error {
			r.net.Partition([]string{leaver.host}, []string{"n0", "n1", "n2", "registry"})
			r.WaitGone(40)
			r.net.Heal()
			<-ctx.Done()
			return context.Cause(ctx)
		})
		r.join(leaver).publish(10)
		if err := leaver.Leave(context.WithoutCancel(r.Ctx())); !errors.Is(err, ringdht.ErrEvicted) {
			t.Error(err)
		}
		r.Remove(leaver.Node)
	})
}

// A subscription whose loop is slow loses the oldest messages, and the next one says how many. Nothing
// waits for it: neither the publisher nor another subscription.
func TestSlowSubscription(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(3)
		slow, err := all[1].topic.Subscribe(r.Ctx(), "s")
		if err != nil {
			t.Fatal(err)
		}
		all[2].topic.hub.buffer = 1 << 16
		quick := all[2].subscribe()
		life := all[0].Incarnation()
		all[0].publish(3000) // more than the publisher keeps
		quick.await(life, 3000)
		quick.check(life, 1)
		synctest.Wait()
		var got []Message[note]
		for m := range slow.All(r.Ctx()) {
			if got = append(got, m); len(got) == 4 {
				break
			}
		}
		for i, m := range got {
			if m.Value.N != uint64(2997+i) || m.Missed != map[int]uint64{0: 2996}[i] || m.Source != 10 || m.Subject != "s" {
				t.Errorf("message %d is %+v", i, m)
			}
		}
		for range 6 {
			all[0].publish(1)
			synctest.Wait()
		}
		for m := range slow.All(r.Ctx()) {
			if m.Value.N != 3003 || m.Missed != 2 {
				t.Errorf("%+v", m)
			}
			break
		}
	}, WithBuffer(4))
}

// A subscription before Join waits until the node stands. One that does not wait that long returns.
func TestSubscribeBeforeJoin(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(3)
		late := r.make(25)
		subscribed, published := make(chan *record, 1), make(chan bool)
		go func() { subscribed <- late.subscribe() }()
		go func() { late.publish(1); close(published) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(r.Ctx(), time.Second, errors.New("no longer"))
		defer cancel()
		if _, err := late.topic.Subscribe(ctx, "s"); err == nil || !errors.Is(err, context.Cause(ctx)) {
			t.Errorf("subscribing: %v", err)
		}
		if err := late.topic.Publish(ctx, "s", note{}); err == nil || !errors.Is(err, context.Cause(ctx)) {
			t.Errorf("publishing: %v", err)
		}
		rec := all[0].subscribe()
		r.join(late)
		own := <-subscribed
		<-published
		all[1].publish(2)
		own.await(all[1].Incarnation(), 2)
		own.check(all[1].Incarnation(), 1)
		rec.await(0, 1) // it had no incarnation yet when it began to publish
	})
}

// Each loop publishes an answer to each message, at all nodes at once, and more than they have room for.
// Nothing waits in a circle.
func TestLoopsThatPublish(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		const nodes, each = 3, 600
		all := r.start(nodes)
		var loops sync.WaitGroup
		for _, p := range all {
			questions, err := p.topic.Subscribe(r.Ctx(), "question")
			if err != nil {
				t.Fatal(err)
			}
			answers, err := p.topic.Subscribe(r.Ctx(), "answer")
			if err != nil {
				t.Fatal(err)
			}
			loops.Go(func() {
				n := 0
				for m := range questions.All(r.Ctx()) {
					if err := p.topic.Publish(r.Ctx(), "answer", m.Value); err != nil {
						t.Error(err)
					}
					if n += 1 + int(m.Missed); n == nodes*each {
						break
					}
				}
			})
			loops.Go(func() {
				n := 0
				for m := range answers.All(r.Ctx()) {
					if n += 1 + int(m.Missed); n == nodes*nodes*each {
						break
					}
				}
			})
		}
		for _, p := range all {
			loops.Go(func() {
				for i := range each {
					if err := p.topic.Publish(r.Ctx(), "question", note{p.Incarnation(), uint64(i)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		loops.Wait()
	})
}

// A node that is cut off is declared dead. Messages flow around it, and it begins another life: its
// subscription goes on, and what it publishes then arrives. What it has published in between is lost
// with its old life, or was an error.
func TestRejoins(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(7)
		records := subscribeAll(all)
		cut := all[2]
		old := cut.Incarnation()
		all[0].publish(10)
		cut.publish(10)
		for _, rec := range records {
			rec.await(old, 10)
		}
		r.net.Partition([]string{cut.host}, []string{"n0", "n1", "n3", "n4", "n5", "n6", "registry"})
		all[0].publish(5000) // several times what it keeps
		cut.publish(10)
		for cut.Incarnation() == old {
			r.net.Heal()
			time.Sleep(time.Millisecond)
		}
		if err := cut.Ready(r.Ctx()); err != nil {
			t.Fatal(err)
		}
		sub := cut.subscribe() // the new life stands
		all[0].publish(10)
		cut.publish(10)
		for i, rec := range append(records, sub) {
			rec.await(cut.Incarnation(), 10)
			rec.check(cut.Incarnation(), 1)
			rec.await(all[0].Incarnation(), 5020)
			if i == 2 || i == 7 {
				continue
			}
			rec.check(all[0].Incarnation(), 1)
			rec.check(old, 1)
		}
	})
}

// A node is replaced under its ID. The new one publishes from its first message on.
func TestReplacedUnderTheSameID(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(6)
		for _, dies := range []bool{true, false} {
			records := subscribeAll(all)
			was := all[3]
			life, first := was.Incarnation(), was.n+1
			was.publish(100)
			if dies {
				was.Close()
			} else if err := was.Leave(r.Ctx()); err != nil {
				t.Fatal(err)
			}
			r.Remove(was.Node)
			r.WaitGone(40)
			all[3] = r.join(r.make(40))
			all[3].publish(100)
			all[0].publish(100)
			for _, rec := range records {
				if rec.p == was {
					continue
				}
				rec.await(all[3].Incarnation(), 100)
				rec.check(all[3].Incarnation(), 1)
				rec.await(all[0].Incarnation(), all[0].n)
				rec.check(life, 0)
				if !dies {
					rec.await(life, was.n)
					rec.check(life, first)
				}
			}
		}
	})
}

// Two topics at a node do not see each other's messages, and neither waits for the other.
func TestTwoTopics(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		var all []*peer
		var others []*Topic[string]
		for i := range 4 {
			p := r.make(ringdht.ID(10 * (i + 1)))
			if i != 2 {
				others = append(others, New[string](p.Node.Node, "other"))
			}
			all = append(all, r.join(p))
		}
		r.Setup(0)
		records := subscribeAll(all)
		var subs []*Subscription[string]
		for _, o := range others {
			s, err := o.Subscribe(r.Ctx(), "s")
			if err != nil {
				t.Fatal(err)
			}
			subs = append(subs, s)
		}
		all[0].publish(100)
		if err := others[2].Publish(r.Ctx(), "s", "hello"); err != nil {
			t.Fatal(err)
		}
		if err := others[2].Publish(r.Ctx(), "another subject", "x"); err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			rec.await(all[0].Incarnation(), 100)
			rec.check(all[0].Incarnation(), 1)
		}
		for _, s := range subs {
			for m := range s.All(r.Ctx()) {
				if m.Value != "hello" || m.Source != 40 {
					t.Errorf("%+v", m)
				}
				break
			}
		}
		synctest.Wait()
		for _, s := range subs {
			if len(s.s.buffer) > 0 {
				t.Errorf("more came: %v", s.s.buffer)
			}
		}
	})
}
