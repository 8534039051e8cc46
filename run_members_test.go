package ringdht

import (
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/codec"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ring"
)

// illiterate is the default codec of a member that cannot read some messages.
type illiterate struct {
	codec.Msgpack
	cannot func(v any) bool
	tried  atomic.Int64
}

func (c *illiterate) Decode(data []byte, v any) error {
	if c.cannot(v) {
		c.tried.Add(1)
		return errors.New("illegible")
	}
	return c.Msgpack.Decode(data, v)
}

// A member that cannot read its task says so and stays.
func TestTaskThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTestRing(t, NewMemoryNetwork(1))
		tr.join(nil, WithTraffic())
		tr.join(nil, WithTraffic())
		c := &illiterate{cannot: func(v any) bool { _, task := v.(*control.Task); return task }}
		n := tr.join(nil, WithTraffic(), WithCodec(c))
		tr.setup(0)
		for run := range int64(3) {
			s, err := tr.registry.RunTraffic(tr.ctx(), Traffic{Messages: 10})
			if err != nil {
				t.Fatal(err)
			}
			if s.Balanced() || !strings.Contains(s.Verdict(), n.ID().String()+" cannot read its task") || !strings.Contains(s.Verdict(), "illegible") || s.Sum.Sent != 20 {
				t.Errorf("%s, %+v", s.Verdict(), s.Sum)
			}
			if c.tried.Load() != run+1 {
				t.Errorf("it was asked %d times in %d runs", c.tried.Load(), run+1)
			}
		}
		select {
		case <-n.Disconnected():
			t.Error("it has lost its registry")
		default:
		}
		tr.close()
	})
}

// A member that hangs up on what it is asked, each time, is asked a few times more, ever
// more seldom; then the run ends without it, and says so.
func TestMemberThatHangsUpOnRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTestRing(t, NewMemoryNetwork(1), WithLease(3*time.Second))
		tr.join(nil, WithTraffic())
		tr.join(nil, WithTraffic())
		c := &illiterate{cannot: func(v any) bool {
			switch v.(type) {
			case *control.Task, *control.Collect, *control.Explain:
				return true
			}
			return false
		}}
		n := tr.join(nil, WithTraffic(), WithCodec(c))
		tr.setup(0)
		start := time.Now()
		s, err := tr.registry.RunTraffic(tr.ctx(), Traffic{Messages: 10})
		if err != nil {
			t.Fatal(err)
		}
		if s.Balanced() || !strings.Contains(s.Verdict(), "node "+n.ID().String()+" came back 5 times without an answer") {
			t.Error(s.Verdict())
		}
		// Twice for each task: once for its number.
		if tried := c.tried.Load(); tried != 2*(handshake.MaxReminders+1)+2*(handshake.MaxReminders+1) {
			t.Errorf("it was asked %d times in %v", tried, time.Since(start))
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("the run took %v", took)
		}
		tr.close()
	})
}

// A member whose connection breaks again and again while it sends is in the run to its
// end: it says that it has its task when it comes back.
func TestMemberThatComesBackDuringARun(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net)
	for range 3 {
		tr.join(nil, WithTraffic())
	}
	tr.setup(0)
	r, n := tr.registry, tr.nodes[1]
	ref := ring.Ref{ID: uint64(n.ID()), Life: n.Incarnation()}
	net.Hold("registry", "n0") // the run waits for it
	net.Hold("n1", "n2")       // n1 too
	done := tr.start(Traffic{Messages: 100})
	var last *control.Conn
	for range 3 * handshake.MaxReminders {
		if err := n.await(tr.ctx(), func() bool { return n.ctl.Load() != last }); err != nil {
			t.Fatal(err)
		}
		last = n.ctl.Load()
		r.mu.Lock()
		s := r.sessions[ref]
		r.mu.Unlock()
		for n.inc.Load().traffic.latest() == 0 {
			time.Sleep(time.Millisecond)
		}
		n.hangUp()
		if err := r.await(tr.ctx(), func() bool { now := r.sessions[ref]; return now != nil && now != s }); err != nil {
			t.Fatal(err)
		}
	}
	net.Heal()
	if s := <-done; !s.Exact() || s.Sum.Received != 300 {
		t.Error(s.Verdict())
	}
}

// A run may be larger than an int of 32 bits. `GOARCH=386 go test` shows that a node of
// 32 bits takes part in it.
func TestTaskOfManyMessages(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	for range 2 {
		tr.join(nil, WithTraffic())
	}
	tr.setup(0)
	r, n := tr.registry, tr.nodes[0]
	r.mu.Lock()
	s := r.sessions[ring.Ref{ID: uint64(n.ID()), Life: n.Incarnation()}]
	r.mu.Unlock()
	lost := n.Disconnected()
	for run, messages := range []int64{math.MaxInt32 + 1, maxMessages, math.MaxInt64} {
		before := n.Status().Counters.Sent
		s.conn.Send(control.TypeTask, control.Task{Run: uint64(run + 1), Messages: messages, Payload: 4})
		for n.Status().Counters.Sent < before+1000 {
			select {
			case <-lost:
				t.Fatalf("a task of %d messages cost it its registry", messages)
			case <-time.After(time.Millisecond):
			}
		}
	}
	s.conn.Send(control.TypeTask, control.Task{Run: 9, Messages: 1, Payload: math.MaxInt64}) // answered, with an error
	for n.inc.Load().traffic.latest() < 9 {
		time.Sleep(time.Millisecond)
	}
	r.mu.Lock()
	r.runs = 9
	r.mu.Unlock()
	tr.run(Traffic{Messages: 10})
	select {
	case <-lost:
		t.Error("it has lost its registry")
	default:
	}
}

// A node that closes during a run is lost to it. It must not say first that it cannot
// finish, as though that were a fault of the run.
func TestNodeThatClosesDuringARun(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net)
	for i := range 4 {
		tr.join(nil, WithID(ID(10*i+10)), WithTraffic())
	}
	tr.setup(1)
	r, n := tr.registry, tr.nodes[1]
	ref := ring.Ref{ID: uint64(n.ID()), Life: n.Incarnation()}
	net.Hold("n1", "n2") // all that it sends goes there
	done := tr.start(Traffic{Messages: 1000})
	for n.inc.Load().traffic.latest() == 0 {
		time.Sleep(time.Millisecond)
	}
	n.stop(ErrClosed) // as Close begins
	traffic := n.inc.Load().traffic
	traffic.mu.Lock()
	for traffic.running {
		traffic.idle.Wait()
	}
	traffic.mu.Unlock()
	net.Heal()
	still := false
	if err := r.await(tr.ctx(), func() bool {
		if r.run == nil {
			return true
		}
		_, still = r.run.sending[ref]
		return !still || len(r.run.sending) == 1
	}); err != nil {
		t.Fatal(err)
	}
	n.Close()
	tr.drop(n)
	if s := <-done; !still || !s.Balanced() || len(s.Lost) != 1 {
		t.Errorf("it said that it cannot finish: %v; %s", !still, s.Verdict())
	}
}
