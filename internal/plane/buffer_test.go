package plane

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What one service has reserved no other one takes, also from sources that keep to no window.
func TestReservedParts(t *testing.T) {
	var h handled
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		h.wait = make(chan struct{})
		body := string(make([]byte, 1000-32))
		fill := func(source uint64, name string) (taken int64) {
			t.Helper()
			before := r.p.inboxBytes()
			bodies := make([]string, 40)
			for i := range bodies {
				bodies[i] = body
			}
			r.offerNamed(source, 5, 1, 1, name, bodies...)
			synctest.Wait()
			return r.p.inboxBytes() - before
		}
		reserved, shared := int64(r.p.reserved), int64(r.p.shared)
		if reserved != 5000 || shared != 15000 {
			t.Fatal(reserved, shared)
		}
		if n := fill(40, "slow"); n != 20_000 {
			t.Errorf("one service takes %d bytes", n)
		}
		if n := fill(50, "slow"); n != 0 {
			t.Errorf("and then %d bytes more", n)
		}
		if n := r.p.overflow.Load(); n != shared {
			t.Errorf("%d bytes of the shared part are counted", n)
		}
		before := r.p.Counters().Dropped.InboxFull
		if fill(60, "a"); len(h.all) == 0 || r.p.Counters().Dropped.InboxFull > before {
			t.Errorf("%d messages of another service are handled", len(h.all))
		}
		close(h.wait)
		synctest.Wait()
		if all, shared := r.p.inboxBytes(), r.p.overflow.Load(); all != 0 || shared != 0 {
			t.Errorf("%d bytes are counted, %d of the shared part", all, shared)
		}
	}, func(c *Config) {
		c.Services, c.ReceiveBuffer, c.MaxPayload = named("a", "slow"), 30_000, 968
	}, h.config)
}

// The windows of all streams fit into the buffer, and those of each service into what it may take
// while the others take theirs.
func TestWindowsFit(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		c := Config{Bits: 16, MaxPayload: 1 + random.IntN(2000), Limits: testLimits(), Log: newLogs().logger()}
		c.ReceiveBuffer = 4*MaxFrame(c.MaxPayload) + random.IntN(8<<20)
		all := []string{"a", "b", "c", "-d", "-e"}
		c.Services = named(all[random.IntN(len(all)):]...)
		p := New(c)
		room := p.shared
		for i := range p.services {
			if s := &p.services[i]; s.Handled {
				s.sharing.Store(random.Int64N(20))
				p.sharing.Add(s.sharing.Load())
				room += p.reserved
			}
		}
		if most := c.ReceiveBuffer + 2*6*MaxFrame(c.MaxPayload); room > most {
			t.Fatalf("a buffer of %d bytes for %d", room, c.ReceiveBuffer)
		}
		beyond := 0
		for i := range p.services {
			s := &p.services[i]
			n := int(s.sharing.Load())
			if w := p.window(s); w == minWindow {
				n = 0 // too many sources for this buffer
			} else if beyond += max(0, n*w-p.reserved); n == 1 && int(p.sharing.Load()) == 1 && w != min(maxWindow, p.reserved+p.shared) {
				t.Errorf("a single source gets %d bytes", w)
			}
		}
		if beyond > p.shared {
			t.Errorf("the windows take %d bytes of the shared %d", beyond, p.shared)
		}
		p.Close(context.Canceled)
	}
}

// No service waits for another one. Two nodes ask each other. The handler of a request waits until an
// answer comes, on another service, as a call back does. Although requests of several services fill
// all buffers of both nodes, and all of their handlers wait, the answers come through.
func TestServicesDoNotWaitForEachOther(t *testing.T) {
	const asked, kinds, answer = 60, 4, 5
	synctest.Test(t, func(t *testing.T) {
		var answers [2][kinds]chan struct{} // that have come, by the service of the request
		x := newCouple(t, func(c *Config) {
			c.MaxPayload = 1000
			c.Limits = Limits{
				SendBuffer: 24 << 10, ReceiveBuffer: 16 << 10, HandlerBacklog: 16 << 10, LinkQueue: 8 << 10, LinkLow: 1 << 10, Handlers: 1, Streams: 8,
			}
			c.Services = named("a", "b", "c", "d", "answers")
			mine := &answers[c.Self/10-1]
			for i := range mine {
				mine[i] = make(chan struct{}, asked)
			}
			c.Deliver = func(ctx context.Context, d *Delivery) {
				if d.Service == answer {
					mine[d.Body[0]] <- struct{}{}
					return
				}
				select {
				case <-mine[d.Service-1]:
				case <-ctx.Done():
				}
			}
		})
		x.dial(x.a, x.b)
		x.dial(x.b, x.a)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		var all sync.WaitGroup
		send := func(port uint8, kind int) {
			for i, p := range x.planes {
				all.Go(func() {
					body := make([]byte, 400)
					body[0] = byte(kind)
					for n := range asked {
						if err := p.Send(ctx, x.planes[1-i].Self, port, body); err != nil {
							t.Errorf("node %d, service %d, message %d: %v", i, port, n, err)
							return
						}
					}
				})
			}
		}
		for kind := range kinds {
			send(uint8(kind+1), kind)
		}
		time.Sleep(time.Minute) // of virtual time: now all buffers are full, and all handlers wait
		for i, p := range x.planes {
			full, _ := p.sendBufferFull()
			others := p.shared + kinds*p.reserved
			if c := p.Counters(); !full || int(c.ReceiveBuffer) < others-kinds*500 || c.Delivered != 0 {
				t.Errorf("node %d holds %d bytes of %d, and %d for its sinks; %d handled", i, c.ReceiveBuffer, others, c.SendBuffer, c.Delivered)
			}
		}
		for kind := range kinds {
			send(answer, kind)
		}
		all.Wait()
		for i, p := range x.planes {
			if failed, err := p.Flush(ctx); failed != nil || err != nil {
				t.Errorf("node %d: %v %v", i, failed, err)
			}
		}
		x.close()
	})
}
