package plane

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// castHere is a cast to the plane of a rig.
func castHere(body string) wire.Frame {
	return wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: 5}, []byte(body))
}

// inlineRig is a rig whose handler does what messages say.
type inlineRig struct {
	*rig
	release chan struct{} // lets those go that were told to wait

	streams map[uint64]uint64 // next numbers of those from 5 and 6

	mu     sync.Mutex
	inline []bool // for each call whether a reader made it
	bodies []string
	over   []string // bodies of the calls that have returned
}

// message is the next one of the stream from a source.
func (r *inlineRig) message(source uint64, body string) wire.Frame {
	seq := r.streams[source]
	r.streams[source]++
	return wire.Append(nil, wire.Header{Type: wire.Data, Dst: 20, Src: source, Seq: seq}, []byte(body))
}

// stream opens a stream from a source that is reached by way of 40.
func (r *inlineRig) stream(source uint64) {
	r.feed(wire.Append(nil, wire.Header{Type: wire.Open, Dst: 20, Src: source, Seq: 1}, wire.OpenBody{Incarnation: 1}.Append(nil)))
	opened, err := wire.ParseOpened(r.arrived(40, 1)[0].Body())
	if err != nil {
		r.t.Fatal(err)
	}
	r.streams[source] = opened.First
}

// withReaders runs a test with a plane whose readers may call handlers, and which has 40
// for its successor.
func withReaders(t *testing.T, f func(t *testing.T, r *inlineRig), change ...func(*Config)) {
	r := &inlineRig{}
	withRig(t, func(t *testing.T, inner *rig) {
		r.rig, r.release, r.streams = inner, make(chan struct{}), make(map[uint64]uint64)
		r.link(40)
		r.p.Use(Routes{Epoch: 1, Entries: []uint64{40}, Sure: true, Successor: 40})
		r.stream(5)
		r.stream(6)
		r.earn(firstProbation)
		f(t, r)
	}, append(change, func(c *Config) {
		c.Deliver = func(ctx context.Context, d *Delivery) {
			_, inline := ctx.Value(readerKey{}).(*reception)
			r.mu.Lock()
			r.inline = append(r.inline, inline)
			r.bodies = append(r.bodies, string(d.Body))
			r.mu.Unlock()
			r.do(ctx, string(d.Body))
			r.mu.Lock()
			r.over = append(r.over, string(d.Body))
			r.mu.Unlock()
		}
	})...)
}

func (r *inlineRig) do(ctx context.Context, what string) {
	switch what {
	case "panic":
		panic("planted")
	case "exit":
		runtime.Goexit()
	case "wait":
		<-r.release
	case "wait for the end":
		<-ctx.Done()
	case "slow":
		time.Sleep(5 * quick)
	case "send": // to who may not exist
		if err := r.p.Send(ctx, 45, 0, nil); !errors.Is(err, stream.ErrNoSuchNode) {
			r.t.Error(err)
		}
	case "flush":
		if err := r.p.Await(ctx, 45); err != nil {
			r.t.Error(err)
		}
	case "trace":
		if hops, err := r.p.Trace(ctx, 45); err == nil {
			r.t.Error(hops)
		}
	case "cast": // to a link that takes nothing
		ctx, cancel := context.WithCancel(ctx)
		go func() { <-r.release; cancel() }()
		for range 100 {
			r.p.Cast(ctx, 40, 0, make([]byte, 16<<10))
		}
	}
}

// earn sends so many messages that are handled at once, and one more which readers have
// to be allowed to handle.
func (r *inlineRig) earn(calls int) {
	r.t.Helper()
	for range calls {
		r.feed(castHere(""))
	}
	r.feed(castHere(""))
	if !r.last() {
		r.t.Fatalf("trust is not given after %d calls: %+v", calls, r.p.sched.trust)
	}
}

// last says whether a reader has made the latest call.
func (r *inlineRig) last() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inline[len(r.inline)-1]
}

// told counts the messages with this body that handlers were called for.
func (r *inlineRig) told(body string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.bodies {
		if b == body {
			n++
		}
	}
	return n
}

// atRest checks that no call goes on, and none is taken to.
func (r *inlineRig) atRest() {
	r.t.Helper()
	synctest.Wait()
	s := &r.p.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calling != 0 || s.busy() != 0 {
		r.t.Errorf("%d readers and %d handlers in all are taken to be at work", s.calling, s.busy())
	}
}

// Handlers that were quick are called by who reads, and by others before.
func TestReadersCallHandlers(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		for i, inline := range r.inline {
			if inline != (i >= firstProbation) {
				t.Errorf("call %d was made by a reader: %v", i, inline)
			}
		}
		r.feed(castHere("panic"))
		r.feed(castHere("a message"), castHere("another"))
		if !r.last() || r.told("a message") != 1 || r.told("another") != 1 {
			t.Error("not handled, or not by the reader, after a panic")
		}
		r.feed(castHere(string(make([]byte, fewBytes)))) // there may be more to come
		if r.last() {
			t.Error("a reader calls handlers for large pieces")
		}
		r.atRest()
		if !r.p.sched.watching {
			t.Error("nobody looks")
		}
	})
}

// Who waits in vain for calls goes.
func TestWatchEnds(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		watching := func() bool {
			r.p.sched.mu.Lock()
			defer r.p.sched.mu.Unlock()
			return r.p.sched.watching
		}
		for range 10 {
			for range often {
				r.feed(castHere(""))
			}
			time.Sleep(lookInterval)
			synctest.Wait()
			if !watching() {
				t.Fatal("looking ends though there are calls")
			}
		}
		time.Sleep(2 * lookInterval)
		synctest.Wait()
		if watching() || r.p.sched.watched != nil {
			t.Error("looking goes on for ever")
		}
		for range 100 { // now and then: not worth looking
			r.feed(castHere(""))
			time.Sleep(lookInterval / (often - 2))
			if r.last() || watching() {
				t.Fatal("a reader calls handlers, or somebody looks, though there is little to do")
			}
		}
		time.Sleep(lookInterval)
		r.earn(often) // often enough again

		other := r.incoming(11, 1)
		defer other.Close()
		for range often {
			if _, err := other.Write(castHere("")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		time.Sleep(lookInterval)
		for range often {
			r.feed(castHere(""))
		}
		time.Sleep(lookInterval)
		synctest.Wait()
		if n := len(r.p.sched.watched); n != 1 {
			t.Errorf("%d connections are looked at, one has brought calls lately", n)
		}
		r.feed(castHere("")) // one more, and then nobody looks
		time.Sleep(lookInterval)
		synctest.Wait()
		if watching() {
			t.Error("somebody looks though there is little to do")
		}
		r.earn(often)
		r.feed(castHere("wait"))
		time.Sleep(2 * lookInterval)
		r.feed(data(40, 1))
		r.arrived(40, 1)
		close(r.release)
	})
}

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
		{"the end", urgent(wire.End, 0)},
		{"what may not come", urgent(wire.Shared, 0)},
	} {
		t.Run(c.what, func(t *testing.T) {
			withReaders(t, func(t *testing.T, r *inlineRig) {
				r.feed(append(castHere("wait"), c.with...))
				time.Sleep(2 * lookInterval)
				synctest.Wait()
				if !r.p.cutOff() || r.told("wait") != 1 {
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
		r.p.gate.stamp.Add(-int64(testPause + 1)) // as if it had been stopped since
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

// Those who compute too long are not called by readers any more, until they are quicker.
func TestSlowHandlers(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		for range 1000 {
			r.feed(castHere("slow"))
			time.Sleep(10 * quick)
		}
		if r.last() {
			t.Error("a reader calls")
		}
		time.Sleep(2 * lookInterval)
		r.earn(int(maxDebt/quick) + 1)
	})
}

// Calls by readers count towards the limit.
func TestReadersObeyTheLimit(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		other := r.incoming(11, 1)
		defer other.Close()
		r.feed(castHere("wait"))
		if !r.last() {
			t.Fatal("no reader has called")
		}
		for _, later := range []time.Duration{0, 2 * lookInterval} { // while it reads, and when it does not any more
			time.Sleep(later)
			if _, err := other.Write(r.message(5, "wait")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if r.told("wait") != 1 {
				t.Error("two handlers at once")
			}
		}
		close(r.release)
		r.atRest()
		if r.told("wait") != 3 {
			t.Errorf("%d handled", r.told("wait"))
		}
	}, func(c *Config) { c.Handlers = 1 })
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
	}, func(c *Config) { c.Handlers = 1 })
}

// A look that comes just before a call that lasts, when the connection has brought none for
// a while, does not lose sight of it.
func TestLookBeforeACall(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		s := &r.p.sched
		rc := r.reception()
		s.calling++ // another reader is in a call
		s.look(r.p.now())
		s.look(r.p.now())
		if len(s.watched) != 0 {
			t.Fatal("it is looked at though it has brought nothing")
		}
		rc.ready = append(rc.ready, &turn{})
		found := 0
		if _, call := s.enter(rc); call%2 == 0 {
			t.Fatal("not let")
		}
		for range 3 {
			all, again := s.look(r.p.now())
			if found += len(all); !again {
				t.Error("nobody looks any more")
			}
		}
		if found != 1 {
			t.Errorf("found %d times", found)
		}
		s.leave(rc, rc.call.Load(), span{})
		s.calling--
	})
}

// reception is that of the connection from 10, which rests.
func (r *inlineRig) reception() *reception {
	r.p.mu.RLock()
	defer r.p.mu.RUnlock()
	for l := range r.p.lines {
		if l.id == 10 {
			return l.in
		}
	}
	return nil
}

// Nor does Sweep let one more handler run than may.
func TestSweepObeysTheLimit(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		other := r.incoming(11, 1)
		defer other.Close()
		r.feed(castHere("wait"))
		if !r.last() {
			t.Fatal("no reader has called")
		}
		if _, err := other.Write(r.message(5, "wait")); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.p.Sweep(false)
			synctest.Wait()
		}
		if r.told("wait") != 1 {
			t.Error("two handlers at once")
		}
		close(r.release)
		r.atRest()
		if r.told("wait") != 2 {
			t.Error("not handled")
		}
	}, func(c *Config) { c.Handlers = 1 })
}

// A message that fills a gap brings more to handle than was read: that is not for readers.
func TestReadersLeaveWhatWasHeld(t *testing.T) {
	withReaders(t, func(t *testing.T, r *inlineRig) {
		first := r.message(5, "first")
		for range fewBytes / wire.HeaderSize {
			r.feed(r.message(5, "slow"))
		}
		r.earn(often)
		r.feed(append(first, data(40, 1)...))
		r.mu.Lock()
		clear(r.got) // answers about the gap
		r.mu.Unlock()
		r.feed(data(40, 2))
		r.arrived(40, 2)
		time.Sleep(time.Second)
		r.atRest()
		if n := r.told("slow"); n != fewBytes/wire.HeaderSize {
			t.Errorf("%d handled", n)
		}
	})
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

// Who hands over a connection to a plane that is closed hears so.
func TestReceiveOnAClosedPlane(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.Close(net.ErrClosed)
		_, far := net.Pipe()
		var ended error
		r.p.Receive(far, 30, 1, nil, func(err error) { ended = err })
		if !errors.Is(ended, net.ErrClosed) {
			t.Error(ended)
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

// Handlers of all kinds, called by readers and by others: everything is handled once and in
// order, and no more at once than may be.
func TestHandlersOfAllKinds(t *testing.T) {
	const sources, messages, limit = 4, 3000, 3
	limits := testLimits()
	limits.Handlers = limit
	var m *mesh
	var running, most, wrong atomic.Int32
	var next [sources + 1]struct{ data, answers atomic.Uint64 }
	m = newMesh(t, sources+1, 0, limits, tcp, func(node int) Deliver {
		return func(ctx context.Context, d *Delivery) {
			n := binary.LittleEndian.Uint64(d.Body)
			from := int(d.Source)/10 - 1
			if node != sources {
				if next[node].answers.Add(1) != n+1 {
					wrong.Add(1)
				}
				return
			}
			if now := running.Add(1); now > most.Load() {
				most.Store(now)
			}
			defer running.Add(-1)
			if next[from].data.Add(1) != n+1 {
				wrong.Add(1)
			}
			if err := m.planes[node].Send(ctx, d.Source, 0, d.Body); err != nil {
				t.Error(err)
			}
			switch {
			case n%1000 == 999:
				time.Sleep(3 * lookInterval)
			case n%100 == 99:
				m.planes[node].Await(ctx, d.Source)
			case n%10 == 9:
				runtime.Gosched()
			case n%501 == 500:
				panic("planted")
			}
		}
	})
	var wg sync.WaitGroup
	for i := range sources {
		wg.Go(func() {
			p, sink := m.planes[i], m.planes[sources].Self
			for n := range uint64(messages) {
				if err := p.Send(t.Context(), sink, 0, binary.LittleEndian.AppendUint64(nil, n)); err != nil {
					t.Error(err)
				}
				if n%3 == 0 { // else they would come in large pieces
					p.Await(t.Context(), sink)
				}
			}
			p.Await(t.Context())
		})
	}
	wg.Wait()
	if err := m.planes[sources].Await(t.Context()); err != nil {
		t.Error(err)
	}
	for i := range sources {
		if d, a := next[i].data.Load(), next[i].answers.Load(); d != messages || a != messages {
			t.Errorf("of %d's messages %d were handled, and %d answers", i, d, a)
		}
	}
	if wrong.Load() > 0 || most.Load() > limit {
		t.Errorf("%d out of order, up to %d at once, want %d at most", wrong.Load(), most.Load(), limit)
	}
}
