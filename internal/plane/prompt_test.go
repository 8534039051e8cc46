package plane

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/wire"
)

// prompt runs a test with a node whose handler does not wait, and says how many
// goroutines for handlers there were when it was called.
func prompt(t *testing.T, f func(t *testing.T, r *rig, running *[]int)) {
	var p *Plane
	var running []int
	withRig(t, func(t *testing.T, r *rig) {
		p = r.p
		f(t, r, &running)
	}, func(c *Config) {
		c.Prompt, c.Handlers = true, 1
		c.Deliver = func(ctx context.Context, d *Delivery) {
			p.sched.mu.Lock()
			running = append(running, p.sched.running)
			p.sched.mu.Unlock()
			switch string(d.Body) {
			case "wait":
				<-ctx.Done()
			case "panic":
				panic("planted")
			case "send": // to a link that takes nothing, and to who may not exist
				for range 100 {
					if err := errors.Join(p.Cast(ctx, 40, 0, make([]byte, 16<<10)), p.Send(ctx, 40, 0, make([]byte, 16<<10))); err != nil {
						t.Error(err)
					}
				}
			}
		}
	})
}

func castHere(body string) wire.Frame {
	return wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: 5}, []byte(body))
}

// What comes alone is handled by who has read it, and a panic ends nothing.
func TestPromptHandler(t *testing.T) {
	prompt(t, func(t *testing.T, r *rig, running *[]int) {
		r.feed(castHere("panic"))
		r.feed(castHere("a message"), castHere("another"))
		if got := *running; len(got) != 3 || got[0]+got[1]+got[2] != 0 {
			t.Errorf("%v goroutines for handlers were running at the calls, want three times none", got)
		}
	})
}

// Of what comes in large pieces there may be more to come: that is not read later for
// the handler's sake.
func TestPromptHandlerUnderLoad(t *testing.T) {
	prompt(t, func(t *testing.T, r *rig, running *[]int) {
		r.feed(castHere(string(make([]byte, fewBytes))))
		if got := *running; len(got) != 1 || got[0] != 1 {
			t.Errorf("%v goroutines for handlers were running, want one", got)
		}
	})
}

// What a handler sends does not wait.
func TestPromptHandlerThatSends(t *testing.T) {
	prompt(t, func(t *testing.T, r *rig, running *[]int) {
		r.p.Use(Routes{Epoch: 1, Entries: []uint64{40}, Sure: true, Successor: 40})
		r.jam(40)
		r.feed(castHere("send"))
		r.feed(castHere("the next"))
		if len(*running) != 2 {
			t.Error("the handler waits")
		}
	})
}

// A handler that breaks its promise is waited for by one connection, and ends with the
// plane.
func TestPromptHandlerThatWaits(t *testing.T) {
	prompt(t, func(t *testing.T, r *rig, running *[]int) {
		r.feed(castHere("wait"))
		other := r.incoming(11, 1)
		defer other.Close()
		r.link(40)
		r.p.Use(Routes{Epoch: 1, Entries: []uint64{40}, Sure: true, Successor: 40})
		r.feed(data(40, 1))
		r.arrived(40)
		if _, err := other.Write(data(40, 2)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.arrived(40, 2)
	})
}
