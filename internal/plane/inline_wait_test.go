package plane

import (
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// A handler that waits elsewhere holds up what else comes over the connection for two
// looks at most, and the next calls are not made by readers: a thousand, and twice as many
// each time.
func TestHandlerThatWaits(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		for probation := nextProbation; probation <= 4*nextProbation; probation *= 2 {
			r.release = make(chan struct{})
			r.feed(castHere("wait"), data(40, 1))
			r.arrived(40, 1) // what came with it has left before
			if !r.last() {
				t.Fatal("no reader has called")
			}
			r.feed(data(40, 2), r.message(5, "meanwhile"))
			r.arrived(40)
			time.Sleep(2 * lookInterval)
			r.arrived(40, 2)
			if r.told("meanwhile") != 1 || r.last() {
				t.Error("not handled by another")
			}
			r.bodies = nil
			close(r.release)
			r.atRest()
			for range probation - 3 { // it counts itself and the one meanwhile
				r.feed(castHere(""))
				if r.last() {
					t.Fatal("a reader calls all the same")
				}
			}
			r.earn(1)
		}
	})
}

// What was ready besides is handled by others, and a connection that ends is noticed,
// though the handler waits on.
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
		time.Sleep(2 * lookInterval)
		synctest.Wait()
		if r.told("besides") != 1 {
			t.Error("what was ready besides is not handled")
		}
		near.Close()
		synctest.Wait()
		select {
		case err := <-ended:
			if err != io.EOF {
				t.Error(err)
			}
		default:
			t.Error("nobody has noticed that the connection has ended")
		}
		close(r.release)
		r.atRest()
		if n := r.p.Counters().Delivered; n != firstProbation+3 {
			t.Error(n, "handled")
		}
	})
}

// What came with the message that is being handled counts, as it does without.
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
				time.Sleep(2 * lookInterval)
				synctest.Wait()
				if !r.p.peersEnded() || r.told("wait") != 1 {
					t.Errorf("handled %d times; or the connection lasts", r.told("wait"))
				}
				close(r.release)
				r.atRest()
			})
		})
	}
}

// Who waits in a call of the plane's holds up nobody: what it waits for may have to be
// read from the same connection. It is not the handlers' fault either.
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
				r.p.Know([]uint64{45})
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
				t.Error("it holds up who reads")
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
			r.atRest()
			if !slices.Contains(r.over, what) {
				t.Error("it still waits")
			}
			if time.Since(start) > 0 {
				t.Error("it took", time.Since(start))
			}
			if p := r.p.sched.trust; p.next != nextProbation {
				t.Errorf("readers were held up: %+v", p)
			}
		})
	})
}

// Nor does one that must wait until the node knows that it is taken to be alive.
func TestGateHoldsUpNoReader(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		r.p.fence.lastRun.ran.Add(-int64(testPause + 1)) // as if it had been stopped since
		r.feed(castHere("late"))
		before := r.p.Counters().Dropped.LinkDown
		r.feed(data(40, 1))
		if n := r.p.Counters().Dropped.LinkDown - before; n != 1 || r.told("late") != 0 {
			t.Errorf("%d read meanwhile, %d handled", n, r.told("late"))
		}
		r.p.Resume()
		r.atRest()
		if r.told("late") != 1 {
			t.Error("not handled")
		}
	}, func(c *Config) { c.Pause = testPause })
}

// A handler that ends its goroutine, as those of tests do, ends no connection, and takes
// nobody's place for good.
func TestHandlerThatExits(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		r.feed(castHere("exit"))
		if !r.last() {
			t.Fatal("no reader has called")
		}
		r.feed(data(40, 1))
		r.arrived(40, 1)
		r.atRest()
		time.Sleep(3 * lookInterval) // nobody looks any more, so readers do not call
		synctest.Wait()
		r.feed(append(r.message(5, "exit"), r.message(6, "the next")...))
		if r.last() || r.told("the next") != 1 {
			t.Error("not handled, or by a reader")
		}
		r.atRest()
		if n := r.p.Counters().Panics; n != 2 { // which are logged
			t.Errorf("%d are counted as panics", n)
		}
	}, func(c *Config) { c.Handlers = 1 })
}

// Several readers that are held up at once are one incident.
func TestTrustIsLostOnce(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		other := r.incoming(11, 1)
		defer other.Close()
		r.feed(r.message(5, "wait"))
		if _, err := other.Write(r.message(6, "wait")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.told("wait") != 2 || !r.last() {
			t.Fatal("no reader has called")
		}
		time.Sleep(2 * lookInterval)
		synctest.Wait()
		close(r.release)
		r.atRest()
		if n := r.p.sched.trust.next; n != 2*nextProbation {
			t.Errorf("the next probation is %d calls, want %d", n, 2*nextProbation)
		}
	})
}

// Close ends the context of handlers that readers have called, and waits for them.
func TestCloseDuringAReadersCall(t *testing.T) {
	for _, later := range []time.Duration{0, 2 * lookInterval} {
		withReaders(t, func(t *testing.T, r *inlineRig) {
			r.feed(castHere("wait for the end"))
			time.Sleep(later)
			r.p.Close(net.ErrClosed)
		})
	}
}
