package plane

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"testing"
)

// A handler that Close interrupts has had its last message, and none before it is left out.
// Messages whose handler has returned are accounted for.
func TestCloseLeavesNoGap(t *testing.T) {
	for range 5 {
		var mu sync.Mutex
		var got []uint32
		var stops []context.CancelFunc
		started := make(chan struct{})
		m := newMesh(t, 2, 1, testLimits(), memory, func(node int) Deliver {
			return func(ctx context.Context, d *Delivery) {
				n := binary.BigEndian.Uint32(d.Body)
				mu.Lock()
				got = append(got, n)
				mu.Unlock()
				if n != 3 {
					return
				}
				for range 100000 { // makes the end of the context take a while
					_, stop := context.WithCancel(ctx)
					stops = append(stops, stop)
				}
				close(started)
				<-ctx.Done()
			}
		})
		send := func(from, to uint32) {
			for i := from; i < to; i++ {
				if err := m.planes[0].Send(t.Context(), 20, 0, binary.BigEndian.AppendUint32(nil, i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		send(0, 20)
		<-started
		send(20, 40)
		m.planes[1].Close(net.ErrClosed)
		if len(got) != 4 || got[3] != 3 {
			t.Fatalf("handled %v", got)
		}
		if n := m.planes[1].Counters().Delivered; n != 3 {
			t.Errorf("%d messages counted, the handler was done with 3", n)
		}
		m.close()
		for _, stop := range stops {
			stop()
		}
	}
}

// Receive on a closed plane calls ended.
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
