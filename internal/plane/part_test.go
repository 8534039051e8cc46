package plane

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// A node that leaves handles what it has taken in, while its handlers send. Its sources learn the
// fate of each message.
func TestPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handled, answers atomic.Int32
		release := make(chan struct{})
		var m *mesh
		m = newMesh(t, 4, 2, testLimits(), memory, func(node int) Deliver {
			return func(ctx context.Context, d *Delivery) {
				if node != 1 {
					answers.Add(1)
					return
				}
				select {
				case <-release:
				case <-ctx.Done(): // the test has failed
					return
				}
				handled.Add(1)
				// 20 answers itself for ever, which must not delay its leave
				if err := m.planes[1].Send(ctx, d.Source, 0, nil); err != nil && (d.Source != 20 || err != ErrSendingStopped) {
					t.Error("a handler's answer:", err)
				}
			}
		})
		defer m.close()
		leaver := m.planes[1]
		for _, p := range []*Plane{m.planes[0], m.planes[2]} {
			p.SetMembers([]uint64{20, 40}, nil, false)
			for range 5 {
				if err := p.Send(t.Context(), 20, 0, []byte("before")); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := leaver.Send(t.Context(), 20, 0, []byte("to itself")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		parted := make(chan error, 1)
		go func() { parted <- leaver.CloseIncoming(t.Context(), time.Minute) }()
		synctest.Wait()
		for range 3 { // on the stream that is cut and has room
			if err := m.planes[0].Send(t.Context(), 20, 0, []byte("after")); err != nil {
				t.Fatal(err)
			}
		}
		m.planes[3].SetMembers([]uint64{20}, nil, false)
		switch err := m.planes[3].Send(t.Context(), 20, 0, []byte("early")); err {
		case nil: // before the sink has answered
			if failed, err := m.planes[3].Flush(t.Context()); err != nil || len(failed) != 1 || failed[0].NotHandled != 1 || failed[0].Err != stream.ErrLeft {
				t.Error("a message for a stream that never opened:", failed, err)
			}
		case stream.ErrLeft: // the answer was faster
		default:
			t.Fatal(err)
		}
		if err := m.planes[3].Send(t.Context(), 20, 0, nil); err != stream.ErrLeft {
			t.Error("a new stream:", err)
		}
		synctest.Wait()
		select {
		case err := <-parted:
			t.Fatal("it did not wait for its handlers:", err)
		default:
		}
		close(release)
		if err := <-parted; err != nil {
			t.Fatal(err)
		}
		if n := handled.Load(); n < 10 {
			t.Error(n, "of 10 handled")
		}
		if failed, err := m.planes[0].Flush(t.Context()); err != nil || len(failed) != 1 || failed[0].Messages != 3 || failed[0].NotHandled != 3 ||
			len(failed[0].Bodies) != 3 || string(failed[0].Bodies[0]) != "after" || failed[0].Err != stream.ErrLeft {
			t.Error("what came after the cut:", failed, err)
		}
		if failed, err := m.planes[2].Flush(t.Context()); err != nil || failed != nil {
			t.Error("all was handled:", failed, err)
		}
		if n := slices.IndexFunc(leaver.incomingStreams(), func(in *inbound) bool { return in.source != 20 }); n >= 0 {
			t.Error("the leaver keeps streams that were confirmed")
		}

		leaver.StopSending()
		for name, err := range map[string]error{
			"Send":         leaver.Send(t.Context(), 10, 0, nil),
			"of a handler": leaver.Send(leaver.Context(), 10, 0, nil),
			"a new stream": leaver.Send(t.Context(), 40, 0, nil),
			"to itself":    leaver.Send(t.Context(), 20, 0, nil),
		} {
			if err != ErrSendingStopped {
				t.Errorf("%s: %v", name, err)
			}
		}
		if failed, err := leaver.Flush(t.Context()); err != nil || failed != nil || answers.Load() != 10 {
			t.Errorf("%v, %v, and %d of 10 answers", failed, err, answers.Load())
		}
		if err := leaver.CloseOutgoing(t.Context(), time.Minute); err != nil {
			t.Error(err)
		}
		if out, in := leaver.StreamCount(); out != 0 || in != 0 {
			t.Errorf("%d outgoing and %d incoming streams are left", out, in)
		}
		for _, p := range []*Plane{m.planes[0], m.planes[2]} {
			if out, in := p.StreamCount(); out != 0 || in != 0 {
				t.Errorf("%d outgoing and %d incoming streams are left at %d", out, in, p.Self)
			}
		}
	})
}

// Whatever a source sends on a stream that was cut, it gets a farewell, until it confirms.
func TestFarewellIsSaidUntilItIsHeard(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.offer(40, 5, 1, 0, 1)
		number := uint64(0)
		r.mu.Lock()
		for _, f := range r.got[30] {
			if f.Type() == wire.Opened {
				b, _ := wire.ParseOpened(f.Body())
				number = b.First
			}
		}
		delete(r.got, 30)
		r.mu.Unlock()
		frame := func(t wire.Type, seq uint64, body []byte) wire.Frame {
			return wire.Append(nil, wire.Header{Type: t, Dst: 20, Src: 40, Seq: seq}, body)
		}
		open := func(inc, gen uint64) wire.Frame {
			return frame(wire.Open, gen, wire.OpenBody{Incarnation: inc}.Append(nil))
		}
		said := func(what string, want ...wire.Type) {
			t.Helper()
			synctest.Wait()
			r.mu.Lock()
			defer r.mu.Unlock()
			var got []wire.Type
			for _, f := range r.got[30] {
				got = append(got, f.Type())
				if f.Type() == wire.Farewell && f.Seq() != number+2 {
					t.Errorf("%s: farewell at %d", what, f.Seq()-number)
				}
			}
			delete(r.got, 30)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		parted := make(chan error, 1)
		go func() { parted <- r.p.CloseIncoming(t.Context(), time.Minute) }()
		said("at once", wire.Farewell)
		time.Sleep(stream.MinRTO)
		said("again", wire.Farewell)
		time.Sleep(2 * stream.MinRTO)
		said("and again", wire.Farewell)
		r.feed(frame(wire.Data, number+2, nil), frame(wire.Data, number+3, nil))
		said("data behind the cut", wire.Farewell)
		r.feed(frame(wire.Data, number+1, nil))
		said("data that was handled")
		r.feed(frame(wire.Sync, number+4, wire.AppendRound(nil, 1)))
		said("a question", wire.Farewell)
		r.feed(open(5, 1))
		said("the same request to open", wire.Opened, wire.Farewell)
		r.feed(open(5, 0))
		said("an earlier request to open")
		r.feed(frame(wire.Close, number+1, nil))
		said("a close at another number", wire.Ack)
		select {
		case err := <-parted:
			t.Fatal("nothing was confirmed:", err)
		default:
		}
		r.feed(frame(wire.Close, number+2, nil))
		said("the confirmation", wire.Closed)
		if err := <-parted; err != nil {
			t.Error(err)
		}
		r.feed(open(5, 2))
		said("a new stream", wire.Refuse)
		r.feed(frame(wire.Close, number+2, nil))
		said("the confirmation again", wire.Closed)
	})
}

// CloseIncoming waits for nothing without bound: not for a source that does not answer, nor for a
// handler when ctx ends or the plane closes.
func TestPartEnds(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.offer(40, 5, 1, 0)
		r.offer(50, 5, 1, 0)
		start := time.Now()
		gone := time.AfterFunc(2*time.Second, func() { r.p.Evict(50, 5) })
		defer gone.Stop()
		if err := r.p.CloseIncoming(t.Context(), 3*time.Second); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("a source that is silent: %v after %v", err, time.Since(start))
		}
		r.offerAnew(40, 5, 2) // the source has ended the stream, as this shows
		start = time.Now()
		if err := r.p.CloseIncoming(t.Context(), 3*time.Second); err != nil || time.Since(start) != 0 {
			t.Errorf("no stream is left: %v after %v", err, time.Since(start))
		}
	})
	for name, end := range map[string]func(r *rig, cancel func()) error{
		"ctx":   func(r *rig, cancel func()) error { cancel(); return context.Canceled },
		"close": func(r *rig, _ func()) error { go r.p.Close(net.ErrClosed); return net.ErrClosed },
	} {
		withRig(t, func(t *testing.T, r *rig) {
			routed(r)
			r.offer(40, 5, 1, 0)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			parted := make(chan error, 1)
			go func() { parted <- r.p.CloseIncoming(ctx, time.Hour) }()
			synctest.Wait()
			want := end(r, cancel)
			if err := <-parted; !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
		}, func(c *Config) { c.Deliver = func(ctx context.Context, _ *Delivery) { <-ctx.Done() } })
	}
}

// CloseIncoming does not wait for a source that has left, before the cut or after it: if two nodes
// leave at once, the last frame of the other may be lost, and it is not there any more.
func TestPartWithSourcesThatHaveLeft(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.offer(40, 5, 1, 0)
		r.offer(50, 5, 1, 0)
		synctest.Wait()
		r.p.Left(40, 5)
		start := time.Now()
		left := time.AfterFunc(time.Second, func() { r.p.Left(50, 5) })
		defer left.Stop()
		if err := r.p.CloseIncoming(t.Context(), time.Minute); err != nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// offerAnew is an Open of a source for another stream.
func (r *rig) offerAnew(source, inc, gen uint64) {
	r.feed(wire.Append(nil, wire.Header{Type: wire.Open, Dst: 20, Src: source, Seq: gen}, wire.OpenBody{Incarnation: inc}.Append(nil)))
}

// A source confirms a farewell even if its stream has ended already. It does not if the farewell
// may be about a stream whose Opened is still on its way.
func TestFarewellIsConfirmed(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		farewell := func(seq uint64) wire.Frame {
			return wire.Append(nil, wire.Header{Type: wire.Farewell, Dst: 20, Src: 40, Seq: seq}, nil)
		}
		confirmed := func(what string, yes bool) {
			t.Helper()
			synctest.Wait()
			r.mu.Lock()
			defer r.mu.Unlock()
			if got := slices.ContainsFunc(r.got[30], func(f wire.Frame) bool { return f.Type() == wire.Close && f.Dst() == 40 }); got != yes {
				t.Errorf("%s: confirmed: %v", what, got)
			}
			delete(r.got, 30)
		}
		r.feed(farewell(7))
		confirmed("no stream", true)
		r.p.SetMembers([]uint64{40}, nil, false)
		if err := r.p.Send(t.Context(), 40, 0, []byte("early")); err != nil {
			t.Fatal(err)
		}
		r.feed(farewell(7))
		confirmed("one that opens", false)
		r.feed(r.opened(40, 5))
		r.feed(farewell(7))
		confirmed("one of another incarnation", false)
		r.feed(farewell(1000))
		confirmed("the present one", true)
		failed, err := r.p.Flush(t.Context())
		if err != nil || len(failed) != 1 || failed[0].Messages != 1 || failed[0].NotHandled != 1 || failed[0].Err != stream.ErrLeft {
			t.Error(failed, err)
		}
		r.feed(farewell(1000))
		confirmed("again", true)

		// A message for it now waits for an answer, until the registry has said that it has left,
		// or it answers.
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		r.p.SetMembers([]uint64{40, 50}, nil, false)
		if err := r.p.Send(ctx, 40, 0, nil); err != context.DeadlineExceeded {
			t.Error("to a sink that leaves:", err)
		}
		r.feed(r.opened(40, 6))
		if err := r.p.Send(t.Context(), 40, 0, nil); err != nil {
			t.Error("it has answered:", err)
		}
		if r.p.members.Stays(40) != true {
			t.Error("it is known to leave, though it has answered")
		}
		r.p.members.Left(40, 0)
		r.p.SetMembers([]uint64{50}, nil, false)
		r.p.SetMembers([]uint64{40, 50}, nil, false)
		if r.p.members.Stays(40) != true {
			t.Error("another has its ID, and is known to leave")
		}
	})
}
