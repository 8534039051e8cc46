package node_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// A node says how late it was, and its registry has more patience with it.
func TestNodeThatIsLateSaysSo(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		time.Sleep(ringtest.Lease)
		r, n := ringtest.RegistryOf(tr.Registry), tr.Nodes[0]
		patience := func() (p time.Duration) {
			r.Await(t.Context(), func() bool {
				p = r.Authority().Timeout(ring.Ref{ID: uint64(n.ID()), Incarnation: n.Incarnation()})
				return true
			})
			return p
		}
		if p := patience(); p != ringtest.Lease {
			t.Fatal(p)
		}
		synctest.Wait() // a heartbeat is due now, and would take this lateness for its own
		ringtest.NodeOf(n).RunLate(ringtest.Lease / 4)
		time.Sleep(ringtest.Lease/2 + ringtest.Lease/10)
		if p := patience(); p < ringtest.Lease+ringtest.Lease/2 || p > 2*ringtest.Lease {
			t.Errorf("its registry has %v", p)
		}
		time.Sleep(10 * ringtest.Lease)
		if p := patience(); p != ringtest.Lease {
			t.Errorf("its registry has %v for ever", p)
		}
	})
}

// A quiet node's heartbeats say no more than that it lives.
func TestHeartbeatsSayWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(3*time.Second))
		n := tr.Join(nil)
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		if b := ringtest.NodeOf(n).Heartbeat(false); len(b.Status) != 0 {
			t.Errorf("again: %+v", b.Status)
		}
		if b := ringtest.NodeOf(n).Heartbeat(true); len(b.Status) != 1 { // over another connection
			t.Error("a new connection does not begin with everything")
		}
		s := tr.Registry.Snapshot()
		if m := s.Members[0]; m.Heard.Sub(m.Joined) != 2*time.Second || m.Limits.Streams == 0 {
			t.Errorf("member: %+v", m)
		}
	})
}

// slowCodec holds up the first heartbeat with a status that it encodes.
type slowCodec struct {
	ringdht.Codec
	armed       atomic.Bool
	began, goOn chan struct{}
}

func (c *slowCodec) Append(dst []byte, v any) ([]byte, error) {
	if b, ok := v.(control.Beat); ok && len(b.Status) > 0 && c.armed.CompareAndSwap(true, false) {
		close(c.began)
		<-c.goOn
	}
	return c.Codec.Append(dst, v)
}

// A heartbeat does not overtake a later one: what the registry heard last would be out of
// date, and the node would not say it again.
func TestHeartbeatsKeepTheirOrder(t *testing.T) {
	c := &slowCodec{Codec: ringdht.JSON(), began: make(chan struct{}), goOn: make(chan struct{})}
	tr := ringtest.New(t, memnet.New(1), ringdht.WithCodec(c))
	n := tr.Join(nil)
	tr.Setup(0)
	send := func() { // which changes what there is to say
		if err := n.Cast(tr.Ctx(), n.ID(), nil); err != nil {
			t.Error(err)
		}
	}
	send()
	c.armed.Store(true)
	var beats sync.WaitGroup
	beats.Go(ringtest.NodeOf(n).SendHeartbeat)
	<-c.began
	send()
	second := make(chan struct{})
	beats.Go(func() { ringtest.NodeOf(n).SendHeartbeat(); close(second) })
	select {
	case <-second:
	case <-time.After(20 * time.Millisecond): // it waits for the first, as it should
	}
	close(c.goOn)
	beats.Wait()
	for ringtest.NodeOf(n).Unanswered() > 0 {
		time.Sleep(time.Millisecond)
	}
	if got := tr.Registry.Snapshot().Members[0].Counters.Sent; got != 2 {
		t.Errorf("the registry has heard of %d messages, 2 were sent", got)
	}
}
