package stream

import (
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
