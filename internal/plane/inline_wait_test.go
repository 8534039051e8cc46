package plane

import (
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/internal/workers"
)

// A handler that blocks holds up its connection for 10 ms at most. What came with its message has
// left before.
func TestHandlerThatWaits(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		r.feed(castHere("wait"), data(40, 1))
		r.arrived(40, 1)
		if !r.last() {
			t.Fatal("no reader has called")
		}
		r.feed(data(40, 2), r.message(5, "meanwhile"))
		r.arrived(40)
		time.Sleep(workers.MaxHold)
		r.arrived(40, 2)
		if r.told("meanwhile") != 1 || r.last() {
			t.Error("not handled by a worker")
		}
		close(r.release)
		synctest.Wait()
		if !slices.Contains(r.over, "wait") {
			t.Error("it still waits")
		}
	})
}

// While a handler blocks, workers handle what else was ready, and the new reader notices the
// end of the connection.
func TestHandlerThatWaitsOn(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		near, far := net.Pipe()
		ended := make(chan error, 1)
		go r.p.Receive(far, 50, 1, nil, func(err error) { ended <- err })
		near.Write(append(r.message(5, "wait"), r.message(6, "besides")...))
		synctest.Wait()
		if r.told("wait") != 1 || r.told("besides") != 0 {
			t.Fatalf("%d, %d", r.told("wait"), r.told("besides"))
		}
		time.Sleep(workers.MaxHold)
		synctest.Wait()
		if r.told("besides") != 1 {
			t.Error("what else was ready is not handled")
		}
		near.Close()
		synctest.Wait()
		select {
		case err := <-ended:
			if err != io.EOF {
				t.Error(err)
			}
		default:
			t.Error("the end of the connection was not noticed")
		}
		close(r.release)
		synctest.Wait()
		if n := r.p.Counters().Delivered; n != int64(len(r.bodies)) {
			t.Error(n, "handled")
		}
	})
}

// What comes in the same read as a message whose handler blocks still counts.
func TestHandlerThatWaitsComesWith(t *testing.T) {
	for _, c := range []struct {
		what string
		with wire.Frame
	}{
		{"the end", connFrame(wire.End, 0)},
		{"what may not come", connFrame(wire.Shared, 0)},
	} {
		t.Run(c.what, func(t *testing.T) {
			withReaders(t, func(t *testing.T, r *inlineRig) {
				r.feed(append(castHere("wait"), c.with...))
				time.Sleep(workers.MaxHold)
				synctest.Wait()
				if r.p.AwaitPeersEnded(canceled) != nil || r.told("wait") != 1 {
					t.Errorf("handled %d times; or the connection lasts", r.told("wait"))
				}
				close(r.release)
				synctest.Wait()
			})
		})
	}
}

// A handler that waits in a call of the plane does not hold up its connection: what it waits
// for may have to be read from there. A short wait costs little budget.
func TestHandlerThatWaitsHere(t *testing.T) {
	for _, what := range []string{"send", "flush", "trace", "cast"} {
		testWaitsHere(t, what, func(r *inlineRig) wire.Frame { return castHere(what) })
		testWaitsHere(t, what, func(r *inlineRig) wire.Frame { return r.message(6, what) })
	}
}

func testWaitsHere(t *testing.T, what string, frame func(*inlineRig) wire.Frame) {
	t.Run(what, func(t *testing.T) {
		withReaders(t, func(t *testing.T, r *inlineRig) {
			start := time.Now()
			switch what {
			case "cast":
				r.jam(40)
			case "flush":
				r.p.SetMembers([]uint64{45}, nil, false)
				if err := r.p.Send(t.Context(), 45, 0, nil); err != nil {
					t.Error(err)
				}
			}
			r.feed(frame(r))
			if !r.last() || slices.Contains(r.over, what) {
				t.Fatal("no reader has called, or it does not wait")
			}
			r.feed(r.message(5, "meanwhile"))
			if r.told("meanwhile") != 1 {
				t.Error("it holds up the connection")
			}
			switch what {
			case "send", "flush", "trace": // the answer
				r.mu.Lock()
				got := r.got[40]
				r.mu.Unlock()
				for _, f := range got {
					body := wire.NoRouteBody{Type: f.Type(), Reason: wire.NoSuchNode, Dst: f.Dst()}
					r.feed(wire.Append(nil, wire.Header{Type: wire.NoRoute, Dst: 20, Src: 40, Seq: f.Seq()}, body.Append(nil)))
				}
			case "cast":
				close(r.release)
			}
			synctest.Wait()
			if !slices.Contains(r.over, what) {
				t.Error("it still waits")
			}
			if time.Since(start) > 0 {
				t.Error("it took", time.Since(start))
			}
			if r.feed(castHere("")); !r.last() {
				t.Error("readers make no more calls, as if they had been held up")
			}
		})
	})
}

// A handler that the fence holds back does not hold up its connection either.
func TestFenceHoldsUpNoReader(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		ran, day := r.p.clocks()
		r.p.fence.Lower(ran-testPause-1, day) // as if the process had been stopped since
		r.feed(castHere("late"))
		before := r.p.Counters().Dropped.LinkDown
		r.feed(data(40, 1))
		if n := r.p.Counters().Dropped.LinkDown - before; n != 1 || r.told("late") != 0 {
			t.Errorf("%d read meanwhile, %d handled", n, r.told("late"))
		}
		r.p.LowerFence()
		synctest.Wait()
		if r.told("late") != 1 {
			t.Error("not handled")
		}
	}, func(c *Config) { c.MaxSuspension = testPause })
}

// A handler that ends its goroutine, as t.Fatal does, ends no connection, and keeps no place
// of Limits.Handlers.
func TestHandlerThatExits(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		r.feed(castHere("exit"))
		if !r.last() {
			t.Fatal("no reader has called")
		}
		r.feed(data(40, 1))
		r.arrived(40, 1)
		synctest.Wait()
		time.Sleep(2 * workers.MaxHold) // the watchdog has ended, so readers make no calls
		synctest.Wait()
		r.feed(append(r.message(5, "exit"), r.message(6, "the next")...))
		if r.last() || r.told("the next") != 1 {
			t.Error("not handled, or by a reader")
		}
		synctest.Wait()
		if n := r.p.Counters().Panics; n != 2 { // which are logged
			t.Errorf("%d are counted as panics", n)
		}
	}, func(c *Config) { c.Handlers = 1 })
}

// Close ends the context of inline calls, and waits for them.
func TestCloseDuringAReadersCall(t *testing.T) {
	for _, later := range []time.Duration{0, workers.MaxHold} {
		withReaders(t, func(t *testing.T, r *inlineRig) {
			r.feed(castHere("wait for the end"))
			time.Sleep(later)
			r.p.Close(net.ErrClosed)
		})
	}
}
