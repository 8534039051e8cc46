package reference

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// Long messages travel alone, between stretches. All arrive whole and in order.
func TestStretchesAmongLongMessages(t *testing.T) {
	const messages = 20_000
	size := func(i uint64) int { return 8 + int(i*i%37)*50 } // 8 to 1808 bytes
	for _, c := range []struct {
		s bench.System
		t bench.Topology
	}{
		{RelayStretches(), bench.Topology{Shape: bench.Chain, Nodes: 3, Payload: 2 * short}},
		{IdealStretches(), bench.Topology{Shape: bench.Ring, Nodes: 3, Payload: 2 * short}},
	} {
		next, done := uint64(0), make(chan error, 1)
		n, err := c.s.Start(t.Context(), c.t, func(sink int, b []byte) {
			if got := binary.LittleEndian.Uint64(b); got != next || len(b) != size(next) {
				t.Errorf("%s: %d bytes of message %d arrive, %d bytes of %d are next", c.s.Name(), len(b), got, size(next), next)
			}
			if next++; next == messages {
				done <- nil
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		s := n.Sender(0)
		for i := range uint64(messages) {
			b := make([]byte, size(i))
			binary.LittleEndian.PutUint64(b, i)
			if err := s.Send(c.t.Nodes-1, b); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Push(); err != nil {
			t.Fatal(err)
		}
		<-done
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A stretch holds hundreds of short messages, and never more than its bound.
func TestStretch(t *testing.T) {
	var s stretch
	var sent [][]byte
	for b := []byte("12345678"); s.fits(b); b = make([]byte, rand.IntN(16)) {
		s.add(1, 2, 3, b)
		sent = append(sent, b)
	}
	frame := s.end(nil)
	if len(frame) > header+longest || len(sent) < 200 {
		t.Errorf("%d messages in a frame of %d bytes", len(sent), len(frame))
	}
	if length, sink := whole(frame); length != len(frame) || sink != 2 {
		t.Errorf("a frame of %d bytes for %d, not of %d for 2", length, sink, len(frame))
	}
	got := 0
	each(frame, 2, func(_ int, b []byte) {
		if got >= len(sent) || string(b) != string(sent[got]) {
			t.Errorf("message %d is %q", got, b)
		}
		got++
	})
	if got != len(sent) || len(s.end(nil)) != 0 {
		t.Errorf("%d of %d messages, %d bytes left", got, len(sent), len(s.b))
	}
}
