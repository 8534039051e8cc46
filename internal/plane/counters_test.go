package plane

import (
	"log/slog"
	"net"
	"testing"

	"github.com/x/ringdht/internal/memnet"
	"github.com/x/ringdht/internal/wire"
)

// What was counted stays counted while connections end, whose own figures move to where
// those of all that have ended are.
func TestCountersNeverGoBack(t *testing.T) {
	p := New(Config{
		Self: 20, Life: 200, Bits: 16, MaxPayload: 64 << 10, HopLimit: 1000,
		Limits: testLimits(), Deliver: nothing, Log: slog.New(slog.DiscardHandler),
	})
	defer p.Close(net.ErrClosed)
	frame := wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: 5}, nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 5000 {
			near, far := memnet.Pipe()
			received := make(chan struct{})
			go func() { p.Receive(far, 10, 1, nil); close(received) }()
			near.Write(frame)
			near.Close()
			<-received
		}
	}()
	var before Counters
	for {
		select {
		case <-ended:
			return
		default:
		}
		c := p.Counters()
		if c.BytesIn < before.BytesIn || c.Reads < before.Reads || c.FramesIn < before.FramesIn {
			t.Fatalf("%+v, and before %+v", c, before)
		}
		before = c
	}
}
