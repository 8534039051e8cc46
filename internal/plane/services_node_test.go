package plane

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// What is about a node is about all streams with it.
func TestAllStreamsOfANode(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		both := func(inc uint64) (all []*outbound) {
			t.Helper()
			r.p.SetMembers([]uint64{40}, nil, false)
			for port := range uint8(3) {
				if err := r.p.Send(t.Context(), 40, port, []byte("x")); err != nil {
					t.Fatal(err)
				}
				r.feed(on(port, r.opened(40, inc)))
				all = append(all, r.p.findOutbound(40, port))
			}
			r.offer(40, inc, 1, 0)
			r.offerNamed(40, inc, 2, 1, "a", "x")
			r.offerNamed(40, inc, 3, 2, "b", "x")
			return all
		}
		streams := func(out, in int) {
			t.Helper()
			synctest.Wait()
			if o, i := r.p.StreamCount(); o != out || i != in {
				t.Errorf("%d streams to others and %d from them, want %d and %d", o, i, out, in)
			}
		}
		both(5)
		streams(3, 3)
		r.p.Left(40, 5)
		streams(3, 0)
		r.p.Renewed(40, 5) // it is there after all
		streams(3, 3)
		r.p.Missed(40, 5)
		streams(0, 0)
		failed, err := r.p.Flush(t.Context(), 40)
		if len(failed) != 3 || err != nil || failed[0].Service+failed[1].Service+failed[2].Service != 3 {
			t.Errorf("%+v %v", failed, err)
		}
		both(6)
		streams(3, 3)
		r.p.Renewed(40, 7)
		streams(0, 0)
		both(8)
		r.p.Evict(40, 8)
		streams(0, 0)
	}, func(c *Config) { c.Services = named("a", "b") })
}

// A sink heals with the last of its streams that were stuck.
func TestStuckServices(t *testing.T) {
	var mu sync.Mutex
	var told []Stuck
	withRig(t, func(t *testing.T, r *rig) {
		told = nil
		routed(r)
		r.p.SetMembers([]uint64{40}, nil, false)
		for port := range uint8(2) {
			if err := r.p.Send(t.Context(), 40, port, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		gen := r.p.generation
		time.Sleep(9 * time.Second)
		healed := func() (reports, healed int) {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			for _, s := range told {
				if reports++; s.Healed {
					healed++
				}
			}
			told = nil
			return reports, healed
		}
		if n, h := healed(); n < 2 || h > 0 {
			t.Errorf("%d reports, %d of them that it gets on", n, h)
		}
		refuse := func(port uint8, gen uint64) {
			r.feed(on(port, frame(wire.Refuse, 40, gen, wire.RefuseBody{SourceIncarnation: 200, Reason: wire.RefuseStreams}.Append(nil)...)))
			time.Sleep(100 * time.Millisecond)
		}
		refuse(0, gen-1)
		if _, h := healed(); h != 0 {
			t.Error("told that it gets on, while another stream does not")
		}
		refuse(1, gen)
		if _, h := healed(); h != 1 {
			t.Errorf("told %d times that it gets on", h)
		}
	}, func(c *Config) {
		c.Services = named("a")
		c.StuckAfter, c.StuckAgain = 6*time.Second, time.Hour
		c.OnStuck = func(s Stuck) { mu.Lock(); told = append(told, s); mu.Unlock() }
	})
}

// A node has as many services as there are ports of streams.
func TestAllPortsHaveServices(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		for range 2 {
			for port := range uint8(wire.MaxServices) {
				o, _, err := r.p.openOutbound(40, port)
				if err != nil || o.port != port {
					t.Fatalf("port %d: %+v %v", port, o, err)
				}
			}
		}
		if out, _ := r.p.StreamCount(); out != wire.MaxServices {
			t.Errorf("%d streams", out)
		}
	}, func(c *Config) {
		for port := range wire.MaxServices {
			c.Services = append(c.Services, Service{Name: fmt.Sprint(port), Handled: true})
		}
		c.Services[0].Name = ""
	})
}
