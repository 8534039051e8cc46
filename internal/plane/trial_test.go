package plane

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

func openFrom(source, inc, gen uint64) wire.Frame {
	return wire.Append(nil, wire.Header{Type: wire.Open, Dst: 20, Src: source, Seq: gen}, wire.OpenBody{Incarnation: inc}.Append(nil))
}

// flood sends an Open from each of n sources that do not exist.
func (r *rig) flood(n int) {
	r.t.Helper()
	var all []byte
	for i := range n {
		all = append(all, openFrom(uint64(1000+i), 1, 1)...)
	}
	if _, err := r.from.Write(all); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

// Opens in the names of nodes that do not exist take no window from the streams of members, and no
// place. Members that this node has not heard of yet find room again when the trials are over.
func TestForgedOpens(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.p.SetMembers([]uint64{40, 50}, []uint64{5, 1}, true)
		r.offer(40, 5, 1, 0)
		window := r.p.window(&r.p.services[0])
		r.flood(60_000)
		if _, in := r.p.StreamCount(); in != 1+maxTrials {
			t.Errorf("%d streams", in)
		}
		if got := r.p.Counters().Dropped.Refused; got != 60_000-maxTrials {
			t.Errorf("%d refused", got)
		}
		if r.p.window(&r.p.services[0]) != window {
			t.Errorf("a window of %d bytes, it was %d", r.p.window(&r.p.services[0]), window)
		}
		r.p.Left(1000, 1)
		r.feed(openFrom(1000, 2, 1)) // it is back, and has still proven nothing
		if n := r.p.sharing.Load(); n != 1 {
			t.Errorf("%d streams share the receive buffer", n)
		}
		r.offer(50, 1, 1, 0) // a member finds room
		if r.p.window(&r.p.services[0]) != window/2 {
			t.Errorf("a window of %d bytes for two", r.p.window(&r.p.services[0]))
		}
		r.feed(openFrom(60, 7, 1)) // a newcomer does not, and asks again
		if in := r.p.lockInbound(60, 0); in != nil {
			in.mu.Unlock()
			t.Error("one trial too many")
		}
		r.p.SetMembers([]uint64{40, 50, 60}, []uint64{5, 1, 7}, true) // this node hears of it
		r.offer(60, 7, 1, 0)
		for range trialTime + 1 {
			r.p.Sweep(false)
		}
		if _, in := r.p.StreamCount(); in != 3 {
			t.Errorf("%d streams after the trials", in)
		}
		if n, sharing := r.p.trials.Load(), r.p.sharing.Load(); n != 0 || sharing != 3 {
			t.Errorf("%d on trial, %d share", n, sharing)
		}
		r.offer(70, 1, 1, 0) // another newcomer, which proves itself
		if n, sharing := r.p.trials.Load(), r.p.sharing.Load(); n != 0 || sharing != 4 {
			t.Errorf("%d on trial, %d share", n, sharing)
		}
	}, func(c *Config) { c.Streams, c.ReceiveBuffer = 1<<16, 2<<20 })
}

// Where a node knows a sample of the members, strangers leave a quarter of the streams to those.
func TestForgedOpensInALargeRing(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.p.SetMembers([]uint64{40}, []uint64{5}, false)
		r.flood(1000)
		if _, in := r.p.StreamCount(); in != 48 {
			t.Errorf("%d streams of 64", in)
		}
		r.offer(40, 5, 1, 0)
	})
}

// A source that is a member, or may be one, keeps its stream, however long its first messages take.
func TestTrialsOfMembersHaveNoTime(t *testing.T) {
	for name, members := range map[string]func(p *Plane){
		"no list":        func(*Plane) {},
		"a sample":       func(p *Plane) { p.SetMembers([]uint64{40}, []uint64{5}, false) },
		"heard of later": func(p *Plane) { p.SetMembers([]uint64{40, 60}, []uint64{5, 7}, true) },
	} {
		withRig(t, func(t *testing.T, r *rig) {
			routed(r)
			r.feed(openFrom(60, 7, 1))
			members(r.p)
			for range 3 * trialTime {
				r.p.Sweep(false)
			}
			if _, in := r.p.StreamCount(); in != 1 {
				t.Errorf("%s: %d streams", name, in)
			}
		})
	}
}

// The memory of a flood is bounded.
func TestForgedOpensCostLittle(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.p.SetMembers([]uint64{40}, []uint64{5}, true)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		r.flood(66_000)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 6<<20 {
			t.Errorf("the heap has grown by %d bytes", grown)
		}
	}, func(c *Config) { c.Streams = 1 << 16 })
}

// Frames that cannot be from where they say, or are for no part of a node, are dropped and counted.
func TestImpossibleFrames(t *testing.T) {
	handled := 0
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		handled = 0
		cast := func(src uint64, port uint8) wire.Frame {
			return wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: src, Port: port}, []byte("x"))
		}
		for _, c := range []struct {
			name      string
			f         wire.Frame
			malformed int64
		}{
			{"a cast", cast(40, 0), 0},
			{"a cast of a traffic run", cast(40, 128), 0},
			{"a cast in this node's own name", cast(20, 0), 1},
			{"a cast from beyond the ID space", cast(1<<16, 0), 1},
			{"a cast for a reserved port", cast(40, 77), 1},
			{"an Open in this node's own name", openFrom(20, 200, 1), 1},
			{"an Open from beyond the ID space", openFrom(1<<63, 1, 1), 1},
			{"an Open of an incarnation that cannot be", openFrom(40, 1<<64-1, 1), 1},
			{"an Open of a generation that cannot be", openFrom(40, 5, 1<<64-1), 1},
		} {
			was := r.p.Counters().Dropped.Malformed
			r.feed(c.f)
			if got := r.p.Counters().Dropped.Malformed - was; got != c.malformed {
				t.Errorf("%s: counted %d times", c.name, got)
			}
		}
		if handled != 2 {
			t.Errorf("%d messages were handled", handled)
		}
		r.offer(40, 5, 1, 0) // the forged ones have not taken its place
		was := r.p.Counters().Dropped
		in := r.p.lockInbound(40, 0)
		next := in.r.First() + 1
		in.mu.Unlock()
		message := func(port uint8) wire.Frame {
			return wire.Append(nil, wire.Header{Type: wire.Data, Port: port, Dst: 20, Src: 40, Seq: next}, []byte("x"))
		}
		r.feed(message(1), message(127))
		was.Stale += 2 // of services for which it has opened no stream
		r.dropped(was)
		r.feed(message(0)) // it was not taken in, so the number is free
		if handled != 4 {
			t.Errorf("%d messages were handled", handled)
		}
	}, func(c *Config) {
		c.Deliver = func(context.Context, *Delivery) { handled++ }
		c.MayExist = func(inc uint64) bool { return inc < 1<<62 }
		c.Handlers = 1
	})
}

// A source denies a stream that another node has opened in its name, so that the sink takes its
// own.
func TestForgedOpenIsDenied(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.p.SetMembers([]uint64{40}, []uint64{5}, true)
		if err := r.p.Send(t.Context(), 40, 0, []byte("x")); err != nil {
			t.Fatal(err)
		}
		gen := r.p.generation
		r.arrived(30, gen)
		opened := func(inc, gen, first uint64) wire.Frame {
			return wire.Append(nil, wire.Header{Type: wire.Opened, Dst: 20, Src: 40, Seq: gen},
				wire.OpenedBody{SourceIncarnation: inc, SinkIncarnation: 5, First: first, Window: 1 << 16}.Append(nil))
		}
		r.feed(opened(200, gen-1, 500)) // may be the late answer to an earlier question
		r.arrived(30)
		r.feed(opened(200, gen+1, 600))
		r.feed(opened(201, 1, 700))
		for _, f := range r.arrived(30, 600, 700) {
			if f.Type() != wire.Close {
				t.Errorf("the answer is %v", f.Type())
			}
		}
		r.feed(opened(200, gen, 800)) // and the stream opens
		r.arrived(30, 800)
		r.dropped(status.Dropped{Stale: 1})
	})
}
