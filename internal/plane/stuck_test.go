package plane

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// A stream on which nothing comes through has its route traced, a few streams at a time. It is told
// again while that lasts, and once when it gets on.
func TestStuck(t *testing.T) {
	var mu sync.Mutex
	var told []Stuck
	take := func() []Stuck {
		mu.Lock()
		defer mu.Unlock()
		list := told
		told = nil
		return list
	}
	withRig(t, func(t *testing.T, r *rig) {
		defer r.link(30).Close()
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Successor: 30})
		const sinks = 3 * maxStuckTraces
		var ids, incs []uint64
		for sink := range uint64(sinks) {
			ids, incs = append(ids, 40+sink), append(incs, 1)
		}
		r.p.SetMembers(ids, incs, true)
		for sink := range uint64(sinks) {
			if err := r.p.Send(t.Context(), 40+sink, 0, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		if list := take(); len(list) > 0 {
			t.Fatalf("told too early: %+v", list)
		}
		time.Sleep(2 * time.Second)
		if n := r.p.tracing.Load(); n != maxStuckTraces {
			t.Errorf("%d traces at a time", n)
		}
		time.Sleep(4 * time.Second)
		seen := make(map[uint64]bool)
		for _, s := range take() {
			seen[s.Sink] = true
			if s.Healed || s.Complete || len(s.Answered) > 0 || s.Silent < 6*time.Second {
				t.Errorf("told %+v", s)
			}
		}
		if len(seen) != sinks {
			t.Errorf("told of %v", seen)
		}
		time.Sleep(10 * time.Second)
		if list := take(); len(list) < sinks {
			t.Errorf("told %d times more", len(list))
		}
		// A refusal is an answer as well.
		generation := uint64(0)
		r.mu.Lock()
		for _, f := range r.got[30] {
			if f.Type() == wire.Open && f.Dst() == 40 {
				generation = f.Seq()
			}
		}
		r.mu.Unlock()
		r.feed(wire.Append(nil, wire.Header{Type: wire.Refuse, Dst: 20, Src: 40, Seq: generation},
			wire.RefuseBody{SourceIncarnation: 200, Reason: wire.RefuseStreams}.Append(nil)))
		time.Sleep(100 * time.Millisecond)
		healed := 0
		for _, s := range take() {
			if s.Healed && s.Sink == 40 {
				healed++
			}
		}
		if healed != 1 {
			t.Errorf("told %d times that it gets on", healed)
		}
		synctest.Wait()
	}, func(c *Config) {
		c.StuckAfter, c.StuckAgain = 6*time.Second, 3*time.Second
		c.OnStuck = func(s Stuck) { mu.Lock(); told = append(told, s); mu.Unlock() }
	})
}
