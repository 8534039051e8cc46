package registry_test

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// A member that cannot read its task says so and stays.
func TestTaskThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1))
		tr.Join(nil, ringdht.WithTraffic())
		tr.Join(nil, ringdht.WithTraffic())
		c := &ringtest.FailingCodec{Fails: func(v any) bool { _, task := v.(*control.Task); return task }}
		n := tr.Join(nil, ringdht.WithTraffic(), ringdht.WithCodec(c))
		tr.Setup(0)
		for run := range int64(3) {
			s, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 10})
			if err != nil {
				t.Fatal(err)
			}
			if s.Balanced() || !strings.Contains(s.Verdict(), n.ID().String()+" cannot read its task") || !strings.Contains(s.Verdict(), "illegible") || s.Sum.Sent != 20 {
				t.Errorf("%s, %+v", s.Verdict(), s.Sum)
			}
			if c.Failed.Load() != run+1 {
				t.Errorf("it was asked %d times in %d runs", c.Failed.Load(), run+1)
			}
		}
		select {
		case <-n.Disconnected():
			t.Error("it has lost its registry")
		default:
		}
		tr.Close()
	})
}

// A member hangs up each time it is asked for something. It is asked a few times more, ever
// more seldom. Then the run ends without it, and says so.
func TestMemberThatHangsUpOnRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(3*time.Second))
		tr.Join(nil, ringdht.WithTraffic())
		tr.Join(nil, ringdht.WithTraffic())
		c := &ringtest.FailingCodec{Fails: func(v any) bool {
			switch v.(type) {
			case *control.Task, *control.Collect, *control.Explain:
				return true
			}
			return false
		}}
		n := tr.Join(nil, ringdht.WithTraffic(), ringdht.WithCodec(c))
		tr.Setup(0)
		start := time.Now()
		s, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 10})
		if err != nil {
			t.Fatal(err)
		}
		if s.Balanced() || !strings.Contains(s.Verdict(), "node "+n.ID().String()+" came back 5 times without an answer") {
			t.Error(s.Verdict())
		}
		// Twice for each task, of which once for its number.
		if tried := c.Failed.Load(); tried != 2*(handshake.MaxReminders+1)+2*(handshake.MaxReminders+1) {
			t.Errorf("it was asked %d times in %v", tried, time.Since(start))
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("the run took %v", took)
		}
		tr.Close()
	})
}

// A member whose connection breaks again and again while it sends stays in the run. When it
// comes back, it says that it has its task.
func TestMemberThatComesBackDuringARun(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	for range 3 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	r, n := ringtest.RegistryOf(tr.Registry), tr.Nodes[1]
	ref := refOf(n)
	net.Hold("registry", "n0") // the run waits for it
	net.Hold("n1", "n2")       // n1 too
	done := tr.StartRun(status.Traffic{Messages: 100})
	var was *registry.Session
	for range 3 * handshake.MaxReminders {
		if err := n.WaitConnected(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		r.Locked(func() { was = r.Session(ref) })
		for ringtest.NodeOf(n).Runs().Latest == 0 {
			time.Sleep(time.Millisecond)
		}
		ringtest.NodeOf(n).HangUp()
		if err := r.Await(tr.Ctx(), func() bool { now := r.Session(ref); return now != nil && now != was }); err != nil {
			t.Fatal(err)
		}
	}
	net.Heal()
	if s := <-done; !s.Exact() || s.Sum.Received != 300 {
		t.Error(s.Verdict())
	}
}

// A run may be larger than an int of 32 bits. `GOARCH=386 go test` shows that a node of 32 bits
// takes part in it.
func TestTaskOfManyMessages(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 2 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	r, n := ringtest.RegistryOf(tr.Registry), tr.Nodes[0]
	send := func(task control.Task) {
		if err := r.SendTo(refOf(n), control.TypeTask, task); err != nil {
			t.Fatal(err)
		}
	}
	lost := n.Disconnected()
	for run, messages := range []int64{math.MaxInt32 + 1, registry.MaxMessages, math.MaxInt64} {
		before := n.Status().Counters.Sent
		send(control.Task{Run: uint64(run + 1), Messages: messages, Payload: 4})
		for n.Status().Counters.Sent < before+1000 {
			select {
			case <-lost:
				t.Fatalf("a task of %d messages ended its connection to the registry", messages)
			case <-time.After(time.Millisecond):
			}
		}
	}
	send(control.Task{Run: 9, Messages: 1, Payload: math.MaxInt64}) // answered with an error
	for ringtest.NodeOf(n).Runs().Latest < 9 {
		time.Sleep(time.Millisecond)
	}
	r.SkipRuns(9)
	tr.Run(status.Traffic{Messages: 10})
	select {
	case <-lost:
		t.Error("it has lost its registry")
	default:
	}
}
