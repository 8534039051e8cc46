package stream

import (
	"errors"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

// bundleFrame is a bundle of empty messages from number n on, relative to first.
func bundleFrame(n, messages int) wire.Frame {
	f := wire.Frame(dataFrame(n, wire.HeaderSize))
	for i := 1; i < messages; i++ {
		f = append(f, make([]byte, wire.Bundling(i, 0))...)
		wire.Bundle(f, i, nil)
	}
	return f
}

// bundled is a sender whose stream is open, with a bundle of n messages out.
func bundled(t *testing.T, n int) (s *Sender, f wire.Frame) {
	t.Helper()
	s = opening(t)
	s.Opened(1010*ms, 3, grant(1<<20), wire.MaxBundle, nil)
	size := 0
	for range n {
		size += s.Push(0, []byte("x"))
	}
	all := frames(sent(s, size))
	if len(all) != 1 || all[0].Messages() != n {
		t.Fatal(all)
	}
	return s, all[0]
}

// Bundles that overlap come from no honest source. What the sink says of them must be possible.
func TestOverlappingBundles(t *testing.T) {
	for _, far := range []int{30, 100_000} { // few enough to walk, and not
		r := receiver()
		for _, b := range [][2]int{{2, 10}, {5, 10}, {2, 20}, {far, 10}, {far + 9, 10}, {far + 10, 1}} {
			r.Data(bundleFrame(b[0], b[1]), plenty)
		}
		_, ranges, err := wire.ParseAck(wire.Frame(r.AppendAck(nil, 1000)).Body(), nil)
		if err != nil || len(ranges) != 2 || ranges[0] != (wire.Range{From: 2, N: 10}) || ranges[1].From != uint32(far) {
			t.Errorf("the ranges are %v, %v", ranges, err)
		}
		if v, _ := r.Data(bundleFrame(0, 7), plenty); v != Accepted {
			t.Fatal("verdict", v)
		}
		if v, _ := r.Data(bundleFrame(5, 10), plenty); v != Stale { // its first two are here
			t.Error("a bundle of which a part was received: verdict", v)
		}
		if v, _ := r.Data(bundleFrame(2, 5), plenty); v != Duplicate {
			t.Error("a bundle that was received: verdict", v)
		}
		arrive(t, r, Accepted, 7, 8)
		n := 0
		for q := r.Take(); q.Size() > 0; q.Discard(len(q.Front())) {
			n += wire.Count(q.Front())
		}
		if n != 9 {
			t.Errorf("%d messages are delivered", n)
		}
		r.Abandon()
		if r.Bytes() != 0 {
			t.Errorf("%d bytes stay", r.Bytes())
		}
	}
}

// A sink that has taken a part of a bundle got that number in another frame, which is not the
// source's. It will never take the bundle, so the stream must not stay.
func TestForgedFrameWithinABundleEndsTheStream(t *testing.T) {
	for name, c := range map[string]struct {
		forged   wire.Frame
		verdict  Verdict
		received int
	}{
		"one message":     {dataFrame(0, 40), Stale, 1},
		"a longer bundle": {bundleFrame(0, 11), Duplicate, 11}, // its last message is not known to the source
		"the same length": {bundleFrame(0, 10), Duplicate, 10},
	} {
		s, f := bundled(t, 10)
		r := receiver()
		r.Data(c.forged, plenty)
		if c.received < 10 {
			r.Data(dataFrame(8, 40), plenty) // there is also a hole
		}
		if v, _ := r.Data(f, plenty); v != c.verdict {
			t.Fatal(name, v)
		}
		q := frames(s.Flush(1020*ms, nil))[0]
		round, _ := wire.ParseRound(q.Body())
		r.Sync(q.Seq(), round)
		a := wire.Frame(r.AppendAck(nil, 1000))
		out, _, err := s.Ack(1030*ms, a.Seq(), a.Body(), nil)
		if err != nil || len(out) > 0 {
			t.Error(name, show(out), err)
		}
		if ended := s.State() == Ended; ended != (c.received < 10) || ended && !errors.Is(s.Err(), ErrContradiction) {
			t.Errorf("%s: state %d, %v", name, s.State(), s.Err())
		}
	}
}

// A sink may say that a part of a bundle is handled. The source keeps the bundle, which counts whole
// against the window and goes out whole again. Its number is then below what is delivered, and the
// answers to it count.
func TestPartOfABundleIsDelivered(t *testing.T) {
	for name, answer := range map[string]func(*Sender){
		"reset":    func(s *Sender) { s.Reset(first) },
		"no route": func(s *Sender) { s.NoRoute(first, wire.NoRouteBody{Type: wire.Data, Reason: wire.NoSuchNode}) },
	} {
		s, f := bundled(t, 10)
		acked(t, s, 1020*ms, 4, 10, len(f)+40, 0)
		if s.InFlight() != len(f) || s.Pending() != 6 || s.Room(9) || !s.Room(8) {
			t.Errorf("%d bytes and %d messages are out; room for 9 bytes %v, for 8 %v", s.InFlight(), s.Pending(), s.Room(9), s.Room(8))
		}
		answer(s)
		if s.State() != Ended || s.Stale() != 0 {
			t.Errorf("%s: state %d, stale %d", name, s.State(), s.Stale())
		}
	}
	s, f := bundled(t, 10)
	acked(t, s, 1020*ms, 4, 10, 1000, 0)
	n := 0
	for range s.Unacknowledged() {
		n++
	}
	acked(t, s, 1030*ms, 10, 10, 1000, 0)
	if n != 6 || s.InFlight() != 0 || s.Pending() != 0 {
		t.Errorf("%d messages unacknowledged, then %d bytes of %d out", n, s.InFlight(), len(f))
	}
}

// A sink may acknowledge what has not left. Nothing joins such a bundle any more; what is not
// acknowledged leaves whole.
func TestAckOfABundleThatHasNotLeft(t *testing.T) {
	for _, delivered := range []int{2, 3} {
		s := opening(t)
		s.Opened(1010*ms, 3, grant(1<<20), wire.MaxBundle, nil)
		size := 0
		for _, body := range []string{"a", "b", "c"} {
			size += s.Push(0, []byte(body))
		}
		from := s.Last(size)
		acked(t, s, 1020*ms, delivered, 3, 1<<20, 0)
		if n := s.Push(0, []byte("d")); n != wire.HeaderSize+1 {
			t.Errorf("%d of 3 acknowledged: another message takes %d bytes", delivered, n)
		} else {
			size += n
		}
		var q fifo.Queue
		s.Copy(from, size, &q)
		var sent []string
		for chunk := range q.Chunks() {
			for w := wire.Walk(chunk); w.Next(); {
				sent = append(sent, string(w.Body))
			}
		}
		q.Clear()
		if want := map[int]string{2: "abcd", 3: "d"}[delivered]; strings.Join(sent, "") != want {
			t.Errorf("%d of 3 acknowledged: %q leave, want %q", delivered, sent, want)
		}
	}
}

// An Ack or a Farewell beyond what was sent is not of this stream, also if that is within a bundle.
func TestAnswersBeyondABundle(t *testing.T) {
	s, _ := bundled(t, 10)
	for _, x := range [][2]int{{11, 11}, {5, 11}, {5, 1 << 20}, {12, 5}} {
		b := wire.AckBody{Received: uint32(x[1] - x[0]), Window: 1000}.Append(nil, nil)
		s.Ack(1020*ms, first+uint64(x[0]), b, nil)
	}
	if s.Farewell(1030*ms, first+11) || s.Stale() != 5 || s.Pending() != 10 || s.State() != Open {
		t.Errorf("stale %d, pending %d, state %d", s.Stale(), s.Pending(), s.State())
	}
	if !s.Farewell(1040*ms, first+4) { // no honest sink cuts a bundle
		t.Error("not taken")
	}
}

// A sink that leaves takes no bundle that begins below the cut and ends above it, and none behind it.
func TestBundleAcrossTheCut(t *testing.T) {
	r := receiver()
	r.Data(bundleFrame(0, 4), plenty)
	r.Data(bundleFrame(6, 4), plenty) // is held, and dropped
	r.Cut()
	for _, c := range []struct {
		n, messages int
		verdict     Verdict
	}{{0, 4, Duplicate}, {2, 2, Duplicate}, {2, 4, Stale}, {0, 5, Stale}, {4, 2, Beyond}, {6, 4, Beyond}, {maxAhead + 4, 2, Stale}} {
		if v, _ := r.Data(bundleFrame(c.n, c.messages), plenty); v != c.verdict {
			t.Errorf("%d messages from %d on: verdict %d, want %d", c.messages, c.n, v, c.verdict)
		}
	}
	if n := wire.Count(bundleFrame(0, 4)); r.DataBatch(bundleFrame(4, 2), plenty) != 0 || r.Bytes() != len(bundleFrame(0, 4)) || n != 4 {
		t.Error("taken behind the cut")
	}
	r.Handled(4)
	if want(t, r.AppendFarewell(nil), "farewell 4"); !r.Drained() {
		t.Error("not drained")
	}
}

// After a Farewell within a bundle, exactly the messages from it on come back.
func TestFarewellWithinABundle(t *testing.T) {
	s := opening(t)
	s.Opened(1010*ms, 3, grant(1<<20), wire.MaxBundle, nil)
	var back []string
	s.OnEnd(func() {
		for _, body := range s.Unacknowledged() {
			back = append(back, string(body))
		}
	})
	for _, body := range []string{"a", "b", "c", "d"} {
		s.Push(0, []byte(body))
	}
	s.Flush(1020*ms, nil) // no message joins a bundle that was asked about
	s.Push(0, []byte("e"))
	if s.Farewell(1030*ms, first+2); strings.Join(back, "") != "cde" || s.Unknown() != 0 {
		t.Errorf("%q come back, %d of unknown outcome", back, s.Unknown())
	}
}

// One bundle ahead and one far ahead must not make each acknowledgement walk from one to the other.
func BenchmarkAckBehindLongBundles(b *testing.B) {
	r := receiver()
	for i := range 20 {
		r.Data(bundleFrame(1+i*32766, 32766), 8<<20)
	}
	r.Data(bundleFrame(maxAhead-2, 1), 8<<20)
	var out []byte
	for b.Loop() {
		out = r.AppendAck(out[:0], 1000)
	}
}
