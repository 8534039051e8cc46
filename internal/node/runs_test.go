package node_test

import (
	"sync/atomic"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/codec"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// finishes is the default codec, and counts the reports of nodes that have finished a run.
type finishes struct {
	codec.Msgpack
	n atomic.Int32
}

func (c *finishes) Append(dst []byte, v any) ([]byte, error) {
	if _, ok := v.(control.Finished); ok {
		c.n.Add(1)
	}
	return c.Msgpack.Append(dst, v)
}

// A node that closes during a run is lost to it. It must not say first that it cannot
// finish, as though that were a fault of the run.
func TestNodeThatClosesDuringARun(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	own, others := new(finishes), new(finishes)
	for i := range 4 {
		c := others
		if i == 1 {
			c = own
		}
		tr.Join(nil, ringdht.WithID(ringdht.ID(10*i+10)), ringdht.WithTraffic(), ringdht.WithCodec(c))
	}
	tr.Setup(1)
	n := tr.Nodes[1]
	net.Hold("n1", "n2") // all that it sends goes there
	done := tr.StartRun(status.Traffic{Messages: 1000})
	ringtest.WaitUntil(t, "it has its task", func() bool { return ringtest.NodeOf(n).Runs().Latest > 0 })
	ringtest.NodeOf(n).BeginClose()
	ringtest.WaitUntil(t, "it has given up its task", func() bool { return !ringtest.NodeOf(n).Runs().Sending })
	net.Heal()
	ringtest.WaitUntil(t, "the others have finished", func() bool { return others.n.Load() == 3 })
	n.Close()
	tr.Remove(n)
	if s := <-done; own.n.Load() > 0 || !s.Balanced() || len(s.Lost) != 1 {
		t.Errorf("it said %d times that it cannot finish; %s", own.n.Load(), s.Verdict())
	}
}

// What was received, or lost, of a run that was never collected is in no later one either,
// also if that uses its port.
func TestMessagesOfAnAbandonedRun(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 3 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(1)
	number := uint64(0) // of the latest run that was collected
	for range 3 {
		first := number + 1
		for run := first; run < first+2; run++ { // of registries that are gone
			for _, n := range tr.Nodes {
				ringtest.NodeOf(n).RunTask(control.Task{Run: run, Messages: int64(100 * (first + 1 - run)), Payload: 4})
				if run == first {
					ringtest.NodeOf(n).LoseMessage(run)
				}
			}
		}
		// The registry goes on with the number after the latest that a node comes back with.
		knows := tr.Nodes[0]
		ringtest.NodeOf(knows).SetLatestRun(first + 127)
		lost := knows.Disconnected()
		ringtest.NodeOf(knows).HangUp()
		<-lost
		if err := knows.WaitConnected(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		ringtest.CheckRelayed(t, tr.Run(status.Traffic{Messages: 10}))
		runs := tr.Registry.Snapshot().Runs
		number = runs[len(runs)-1].Number
		if number == first || node.TrafficPort(first) != node.TrafficPort(number) {
			t.Fatalf("run %d has another port than run %d", number, first)
		}
	}
}
