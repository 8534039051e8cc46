package node_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// silent is how long the registry was silent when a node gave it up. The network holds back what
// the registry sends, from a time after an answer on. Answers take a while, so the timeout does
// not end when a heartbeat is due.
func silent(t *testing.T, from, late time.Duration) (took time.Duration) {
	t.Helper()
	ringtest.InBubble(t, 1, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		net.Delay("registry", "n2", ringtest.Lease/20, 0)
		time.Sleep(10 * ringtest.Lease)
		heard := tr.Nodes[2]
		last := time.Now()
		for at := lastAnswer(heard); at == lastAnswer(heard); time.Sleep(time.Millisecond) {
			last = time.Now()
		}
		time.Sleep(from)
		net.Hold("registry", "n2")
		if late > 0 {
			ringtest.NodeOf(heard).RunLate(late)
		}
		<-heard.Disconnected()
		took = time.Since(last)
		net.Delay("registry", "n2", 0, 0)
		net.Heal()
	})
	return took
}

// lastAnswer is when the latest answered heartbeat was sent.
func lastAnswer(n *ringtest.Node) time.Time { return ringtest.NodeOf(n).Present().Heard() }

// A registry that falls silent is given up when its timeout ends, whenever in a third of a lease
// it was heard last.
func TestSilentRegistry(t *testing.T) {
	const lease = ringtest.Lease
	for part := time.Duration(0); part < lease/4; part += lease / 16 {
		if took := silent(t, part, 0); took < lease || took > lease+lease/32 {
			t.Errorf("silent from %v after an answer: given up after %v", part, took)
		}
	}
}

// Time in which the node did not run does not count as the registry's silence.
func TestSilenceOfALateNode(t *testing.T) {
	const lease, late = ringtest.Lease, ringtest.Lease / 2
	if took := silent(t, 0, late); took < lease+late || took > lease+late+lease/32 {
		t.Errorf("the node was late for %v, and gave up the registry after %v", late, took)
	}
}

// A peer that falls silent while a link to it is idle is noticed within a lease of the next
// message, though idle links are looked at half as often.
func TestSilentPeerOfAnIdleLink(t *testing.T) {
	const lease = ringtest.Lease
	for part := time.Duration(0); part < lease/3; part += lease / 16 {
		ringtest.InBubble(t, 1, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
			time.Sleep(10*lease + part)
			from, to := ringtest.NodeOf(tr.Nodes[1]).Present(), tr.Nodes[2]
			net.Hold("n2", "n1")
			start := time.Now()
			if err := tr.Nodes[1].Cast(t.Context(), to.ID(), nil); err != nil {
				t.Fatal(err)
			}
			for from.Plane().HasLink(uint64(to.ID()), to.Incarnation()) {
				time.Sleep(10 * time.Millisecond)
				synctest.Wait()
			}
			if took := time.Since(start); took < lease*2/3 || took > lease+10*time.Millisecond {
				t.Errorf("a message %v after a check: noticed after %v", part, took)
			}
			net.Heal()
		})
	}
}

// A link that is busy after a rest is noticed to be dead within 7/6 of a lease of its first message.
// That is the longest: the message comes right after a check, and the next ping waits behind it
// until the check after that. From then on checks are a sixth of a lease apart.
func TestSilentPeerOfABusyLink(t *testing.T) {
	const lease = ringtest.Lease
	for part := time.Millisecond; part < lease/3; part += lease / 16 {
		ringtest.InBubble(t, 1, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
			time.Sleep(10 * lease)
			from, to := ringtest.NodeOf(tr.Nodes[1]).Present(), tr.Nodes[2]
			sinceCheck := time.Since(lastAnswer(tr.Nodes[1])) % (lease / 3)
			time.Sleep(lease/3 - sinceCheck + part)
			// The peer answers nothing. It takes what fills the connection half a sixth after the next check.
			net.Hold("n2", "n1")
			net.Delay("n1", "n2", lease/3-part+lease/12, 0)
			start := time.Now()
			for range 100 {
				if err := tr.Nodes[1].Cast(t.Context(), to.ID(), make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
			}
			for from.Plane().HasLink(uint64(to.ID()), to.Incarnation()) {
				time.Sleep(time.Millisecond)
				synctest.Wait()
			}
			if took, want := time.Since(start), lease*7/6-part; took < want || took > want+time.Millisecond {
				t.Errorf("messages %v after a check: noticed after %v, and not %v", part, took, want)
			}
			net.Heal()
		})
	}
}

// Links that carry traffic are looked at every sixth of a lease: what waits in the queue of one
// is noticed as early as ever.
func TestBusyLinksAreCheckedMoreOften(t *testing.T) {
	const lease = ringtest.Lease
	ringtest.InBubble(t, 1, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		written := func() int64 { return tr.Nodes[1].Status().Counters.BytesOut }
		pings := func(casts int) int {
			before := written()
			for range casts {
				if err := tr.Nodes[1].Cast(t.Context(), tr.Nodes[2].ID(), nil); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * lease / time.Duration(casts))
			}
			return int(written()-before)/wire.HeaderSize - casts
		}
		time.Sleep(lease)
		if n := pings(600); n < 57 || n > 62 {
			t.Errorf("%d pings in ten leases", n)
		}
		time.Sleep(lease)
		before := written()
		if time.Sleep(5 * lease); written() != before { // later, streams close
			t.Error("pings over a link at rest")
		}
	})
}
