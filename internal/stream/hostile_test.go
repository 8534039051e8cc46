package stream

import (
	"bytes"
	"testing"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// A sink chooses where numbers start and what it acknowledges, so it can make their
// sum wrap. That must not get past the checks.
func TestAckThatWrapsIsStale(t *testing.T) {
	s := NewSender(1, 2, 3, 4)
	s.Start(time.Millisecond, nil)
	s.Opened(2*time.Millisecond, 4, wire.OpenedBody{SourceIncarnation: 2, SinkIncarnation: 9, First: 1, Window: 1 << 16}, 0, nil)
	s.Push(0, []byte("x"))
	s.Ack(3*time.Millisecond, ^uint64(0)-1, wire.AckBody{Received: 3, Window: 1 << 16}.Append(nil, nil), nil)
	if s.Stale() != 1 || s.Pending() != 1 {
		t.Errorf("stale %d, pending %d", s.Stale(), s.Pending())
	}
}

// One message far ahead must not make each acknowledgement walk all the way to it.
func BenchmarkAckBehindOneFarMessage(b *testing.B) {
	r := NewReceiver(1, 2, 3, 4, 5, 100)
	r.Data(wire.Append(nil, wire.Header{Type: wire.Data, Seq: 100 + maxAhead - 1}, nil), 1<<20)
	var out []byte
	for b.Loop() {
		out = r.AppendAck(out[:0], 1000)
	}
}

// However far ahead a hostile source's frames are, an acknowledgement does not walk all the way. One that
// names a message just ahead is what the others are measured by.
func TestAckBehindFarBundles(t *testing.T) {
	many := bundle(0, make([][]byte, 1<<16-1)...)
	took := func(frames ...wire.Frame) time.Duration {
		r := receiver()
		for _, f := range frames {
			if v, _ := r.Data(f, 16<<20); v != Held {
				t.Fatal(v)
			}
		}
		least := time.Hour
		var out []byte
		for range 20 {
			start := time.Now()
			out = r.AppendAck(out[:0], 1000)
			least = min(least, time.Since(start))
		}
		return least
	}
	at := func(f wire.Frame, n uint64) wire.Frame {
		f = bytes.Clone(f)
		f.SetSeq(first + n)
		return f
	}
	near := took(bundle(1, nil))
	for name, frames := range map[string][]wire.Frame{
		"a message":   {bundle(maxAhead-1, nil)},
		"one":         {at(many, 400_000)},
		"overlapping": {at(many, 900_000), at(many, 900_001), at(many, 900_002)},
		"two":         {at(many, 2), at(many, 500_000)},
	} {
		if far := took(frames...); far > 100*max(near, time.Microsecond) {
			t.Errorf("%s: an acknowledgement takes %v, with a message just ahead %v", name, far, near)
		}
	}
}
