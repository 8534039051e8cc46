package plane

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// bodies returns n bodies of a size.
func bodies(n, size int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = make([]byte, size)
	}
	return all
}

// sendFunc sends messages until one is not accepted. It returns how many were.
type sendFunc = func(p *Plane, ctx context.Context, sink uint64, port uint8, all [][]byte) (sent int, err error)

// oneByOne is a sendFunc that calls [Plane.Send] or [Plane.Cast].
func oneByOne(send func(*Plane, context.Context, uint64, uint8, []byte) error) sendFunc {
	return func(p *Plane, ctx context.Context, sink uint64, port uint8, all [][]byte) (sent int, err error) {
		for _, body := range all {
			if err := send(p, ctx, sink, port, body); err != nil {
				return sent, err
			}
			sent++
		}
		return sent, nil
	}
}

var (
	singly = oneByOne((*Plane).Send)
	casts  = oneByOne((*Plane).Cast)

	sendFuncs = map[string]sendFunc{"send": singly, "batch": (*Plane).SendBatch, "cast": casts}
)

// Messages that several goroutines send to one sink at the same time
// arrive once each, and those of each goroutine in its order.
func TestSendersAreExact(t *testing.T) {
	const senders, each = 4, 3000
	for name, pipe := range map[string]func(testing.TB) (net.Conn, net.Conn){"memory": memory, "tcp": tcp} {
		t.Run(name, func(t *testing.T) {
			var next [senders]uint32 // of the sink, whose handler is called by one goroutine at a time
			m := newMesh(t, 3, 1, testLimits(), pipe, func(node int) Deliver {
				return func(_ context.Context, d *Delivery) {
					who, n := d.Body[0], binary.BigEndian.Uint32(d.Body[1:])
					if next[who] != n || d.Cast {
						t.Errorf("of sender %d: message %d at node %d, want %d", who, n, node, next[who])
					}
					next[who] = n + 1
				}
			})
			var wg sync.WaitGroup
			for who := range senders {
				wg.Go(func() {
					for n := 0; n < each; {
						batch := bodies(min((n*7+who)%150, each-n), 5+(n+who)%300)
						for i, b := range batch {
							b[0] = byte(who)
							binary.BigEndian.PutUint32(b[1:], uint32(n+i))
						}
						accepted, err := []sendFunc{singly, (*Plane).SendBatch}[who%2](m.planes[0], t.Context(), 30, 0, batch)
						if accepted != len(batch) || err != nil {
							t.Errorf("%d of %d accepted, %v", accepted, len(batch), err)
							return
						}
						for _, b := range batch { // they belong to the caller again
							clear(b)
						}
						if n += len(batch); n < each {
							if err := m.planes[0].Send(t.Context(), 30, 0, binary.BigEndian.AppendUint32([]byte{byte(who)}, uint32(n))); err != nil {
								t.Error(err)
								return
							}
							n++
						}
					}
				})
			}
			wg.Wait()
			if _, err := m.planes[0].Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			for who, n := range next {
				if n != each {
					t.Errorf("of sender %d: %d messages arrived", who, n)
				}
			}
		})
	}
}

// A batch of any length holds its stream's lock for a short time only: the link needs it to pull.
func TestBatchLetsOthersGoOn(t *testing.T) {
	m := newMesh(t, 2, 1, testLimits(), memory, nil)
	p, sink := m.planes[0], m.planes[1].Self
	if err := p.Send(t.Context(), sink, 0, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := p.findOutbound(sink, 0).admitSome(0, bodies(10*maxRun, 8)); n == 0 || n > maxRun {
		t.Errorf("%d messages under one lock, want at most %d", n, maxRun)
	}
}

// A message that is not accepted leaves those before it on their way, and is not counted.
func TestSendingStops(t *testing.T) {
	const large = 64<<10 + 1
	for name, send := range sendFuncs {
		t.Run(name+", too large", func(t *testing.T) {
			withRig(t, func(t *testing.T, r *rig) {
				r.stream()
				all := bodies(100, 1)
				all[80], all[81] = make([]byte, large), make([]byte, large)
				if n, err := send(r.p, t.Context(), 50, 0, all); n != 80 || !errors.Is(err, ErrTooLarge) {
					t.Errorf("%d, %v; want 80, too large", n, err)
				}
				synctest.Wait()
				r.mu.Lock()
				got := len(r.got[40])
				r.mu.Unlock()
				if got != 80 {
					t.Errorf("%d frames arrive, want 80", got)
				}
				if n, err := send(r.p, t.Context(), 50, 0, all[80:]); n != 0 || !errors.Is(err, ErrTooLarge) {
					t.Errorf("%d, %v; want 0, too large", n, err)
				}
			})
		})
		t.Run(name+", context", func(t *testing.T) {
			withRig(t, func(t *testing.T, r *rig) {
				r.stream()
				r.jam(40)
				before := r.p.Counters().Sent
				for range 3 { // the window is full after the first message; casts go one by one
					ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("planted"))
					n, err := send(r.p, ctx, 50, 0, bodies(3000, 100))
					cancel()
					if err == nil || err.Error() != "planted" || n == 3000 {
						t.Errorf("%d, %v; want less than 3000, and the cause", n, err)
					}
					if c := r.p.Counters(); c.Sent-before != int64(n) || c.Dropped != (status.Dropped{}) {
						t.Errorf("%d are said and %d counted, %+v", n, c.Sent-before, c.Dropped)
					}
					before = r.p.Counters().Sent
				}
			}, func(c *Config) { c.LinkQueue, c.LinkLow = 1<<20, 64<<10 })
		})
		t.Run(name+", nobody", func(t *testing.T) {
			withRig(t, func(t *testing.T, r *rig) {
				r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{40}, Authoritative: true, Successor: 40})
				if n, err := send(r.p, t.Context(), 30, 0, bodies(100, 1)); n != 0 || !errors.Is(err, stream.ErrNoSuchNode) {
					t.Errorf("%d, %v; want 0, no such node", n, err)
				}
				if c := r.p.Counters(); name == "cast" && c.Dropped != (status.Dropped{NoRoute: 1}) {
					t.Errorf("%+v", c.Dropped)
				}
			})
		})
		t.Run(name+", closed", func(t *testing.T) {
			withRig(t, func(t *testing.T, r *rig) {
				r.stream()
				r.jam(40)
				done := make(chan string)
				go func() {
					n, err := send(r.p, t.Context(), 50, 0, bodies(100_000, 100))
					done <- fmt.Sprint(n < 100_000, err)
				}()
				synctest.Wait()
				r.p.Close(net.ErrClosed)
				if got := <-done; got != "true "+net.ErrClosed.Error() {
					t.Error(got)
				}
			})
		})
	}
}

// Casts for which there is no link are lost and counted.
func TestCastsAreLost(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{40}, Authoritative: true, Successor: 40})
		if n, err := casts(r.p, t.Context(), 40, 0, bodies(100, 1)); n != 100 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if c := r.p.Counters(); c.Casts != 100 || c.Dropped != (status.Dropped{LinkDown: 100}) {
			t.Errorf("%d casts, %+v", c.Casts, c.Dropped)
		}
	})
}

// A sender whose link ends goes on with another one, and what was queued too: each
// message once, those of a stream in their order.
func TestSendersChangeLinks(t *testing.T) {
	const n = 3000
	for name, send := range sendFuncs {
		t.Run(name, func(t *testing.T) {
			withRig(t, func(t *testing.T, r *rig) {
				r.stream()
				r.link(30)
				l := r.jam(40)
				before := r.p.Counters()
				done := make(chan int)
				go func() {
					sent := 0
					for sent < n { // as the window allows
						some, err := send(r.p, t.Context(), 50, 0, bodies(n, 1)[:min(n-sent, 700)])
						if err != nil {
							t.Error(err)
							break
						}
						sent += some
					}
					done <- sent
				}()
				synctest.Wait()
				select {
				case <-done:
					t.Fatal("it does not wait for the link")
				default:
				}
				l.Fail(errBroken)
				arrived := uint64(0)
				for sent := 0; sent < n; {
					select {
					case sent = <-done:
					default:
					}
					synctest.Wait()
					r.mu.Lock()
					for _, f := range r.got[30] {
						switch {
						case f.Type() == wire.Data && f.Seq() != 1001+arrived:
							t.Fatalf("%d arrives, %d is next", f.Seq(), 1001+arrived)
						case f.Type() == wire.Data, f.Type() == wire.Cast:
							arrived++
						}
					}
					delete(r.got, 30)
					r.mu.Unlock()
					if name != "cast" {
						r.feed(ack(50, 1001+arrived))
					}
				}
				c := r.p.Counters()
				if arrived != n || c.Sent-before.Sent != n || c.Retransmitted != 0 || c.Dropped != (status.Dropped{}) || c.Requeued == 0 {
					t.Errorf("%d arrive, %d are counted, %+v", arrived, c.Sent-before.Sent, c)
				}
			}, func(c *Config) { c.LinkQueue, c.LinkLow = 1<<20, 16<<10 })
		})
	}
}

// A handler that sends waits for nothing: what the window does not allow joins the backlog,
// and that is bounded.
func TestHandlersBacklog(t *testing.T) {
	for name, send := range map[string]sendFunc{"send": singly, "batch": (*Plane).SendBatch} {
		t.Run(name, func(t *testing.T) {
			var r *rig
			var accepted int
			var err error
			withRig(t, func(t *testing.T, rig *rig) {
				r = rig
				r.stream()
				r.jam(40)
				r.feed(castHere("go"))
				if accepted == 0 || accepted == 3000 || !errors.Is(err, ErrBacklog) {
					t.Errorf("%d accepted, %v", accepted, err)
				}
				if got := r.p.findOutbound(50, 0).s.Pending(); got != uint64(accepted)+1 {
					t.Errorf("%d are pending, %d accepted", got-1, accepted)
				}
			}, func(c *Config) {
				c.HandlerBacklog = 100 << 10
				c.Deliver = func(ctx context.Context, _ *Delivery) {
					accepted, err = send(r.p, ctx, 50, 0, bodies(3000, 100))
				}
			})
		})
	}
}

// Sending allocates nothing.
func TestSendersAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	m := newMesh(t, 2, 1, testLimits(), memory, nil)
	all := bodies(200, 8)
	for name, send := range sendFuncs {
		n := testing.AllocsPerRun(200, func() {
			if n, err := send(m.planes[0], t.Context(), 20, 0, all); n != len(all) || err != nil {
				t.Error(n, err)
			}
		})
		if n > 1 { // of 200 messages; what the stream's end allocates is in it
			t.Errorf("%s: %v allocations in %d messages", name, n, len(all))
		}
	}
}
