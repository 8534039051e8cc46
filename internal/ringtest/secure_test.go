package ringtest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// validity is that of admissions in the bubbles below.
const validity = 20 * ringtest.Lease

// inSecureBubble is ringtest.InBubble for a secure ring, whose admissions are valid for a short time.
func inSecureBubble(t *testing.T, test func(t *testing.T, tr *ringtest.Ring, net *memnet.Network)) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		tr := ringtest.NewSecure(t, net, ringdht.WithLease(ringtest.Lease), ringdht.WithSecurity(validity))
		for _, id := range ringtest.SixIDs {
			tr.Join(nil, ringdht.WithID(id), ringdht.WithTraffic())
		}
		tr.Setup(0)
		tr.Exchange(tr.Nodes...)
		test(t, tr, net)
		tr.Close()
	})
}

// incarnations are those of all nodes.
func incarnations(tr *ringtest.Ring) (all []uint64) {
	for _, n := range tr.Nodes {
		all = append(all, n.Incarnation())
	}
	return all
}

// An expelled node is gone at once for all others, and for itself. It does not come back.
func TestExpelledNodeIsGone(t *testing.T) {
	inSecureBubble(t, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		x := tr.Nodes[2]
		began := time.Now()
		if err := tr.Registry.Expel(tr.Ctx(), x.ID()); err != nil {
			t.Fatal(err)
		}
		tr.Remove(x)
		tr.WaitSettled()
		synctest.Wait()
		if err := x.Send(tr.Ctx(), tr.Nodes[0].ID(), []byte("x")); !errors.Is(err, ringdht.ErrNotMember) {
			t.Error(err)
		}
		for _, n := range tr.Nodes {
			if err := n.Send(tr.Ctx(), x.ID(), []byte("x")); err == nil {
				if err = n.Flush(tr.Ctx()); err == nil {
					t.Errorf("node %d has sent to it", n.ID())
				}
			}
			for _, l := range n.Status().Links {
				if l.To == x.ID() {
					t.Errorf("node %d has a link to it: %+v", n.ID(), l)
				}
			}
		}
		ringtest.CheckElapsed(t, "expelling", began, ringtest.Lease)
		tr.Run(status.Traffic{Messages: 50})
		time.Sleep(2 * validity)
		if got := len(tr.Registry.Members()); got != 5 {
			t.Errorf("%d members", got)
		}
		x.Close()
	})
}

// Admissions are renewed in time, so that no node is ever without one.
func TestAdmissionsAreRenewed(t *testing.T) {
	inSecureBubble(t, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		before := incarnations(tr)
		for range 10 {
			time.Sleep(validity / 3)
			for _, n := range tr.Nodes {
				if left := time.Until(n.Status().AdmittedUntil); left < validity/2-2*ringtest.Lease || left > validity+time.Second {
					t.Errorf("node %d has %v left", n.ID(), left)
				}
			}
		}
		same(t, tr, before)
		tr.Run(status.Traffic{Messages: 50})
	})
}

// same fails the test if an incarnation has ended.
func same(t *testing.T, tr *ringtest.Ring, before []uint64) {
	t.Helper()
	for i, inc := range incarnations(tr) {
		if inc != before[i] {
			t.Errorf("node %d has another incarnation", tr.Nodes[i].ID())
		}
	}
}

// A ring goes on without its registry as long as its admissions are valid, and then on the links
// that it has. A registry that is back before that finds all as they were; after that, they join
// by the secret.
func TestSecureRingOutlivesItsRegistry(t *testing.T) {
	for name, away := range map[string]time.Duration{"for a while": validity / 3, "for too long": 2 * validity} {
		t.Run(name, func(t *testing.T) {
			inSecureBubble(t, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
				before := incarnations(tr)
				tr.Registry.Close()
				time.Sleep(away)
				tr.Exchange(tr.Nodes...)
				same(t, tr, before)
				tr.RestartRegistry(ringdht.WithLease(ringtest.Lease), ringdht.WithSecurity(validity))
				for _, n := range tr.Nodes {
					if err := n.WaitConnected(tr.Ctx()); err != nil {
						t.Fatal(err)
					}
				}
				if away < validity {
					tr.WaitSettled()
					same(t, tr, before)
				} else if _, err := tr.Registry.Setup(tr.Ctx(), 0); err != nil {
					t.Fatal(err)
				}
				for _, n := range tr.Nodes {
					if err := n.Ready(tr.Ctx()); err != nil {
						t.Fatal(err)
					}
				}
				tr.Run(status.Traffic{Messages: 50})
				tr.Registry.Close()
			})
		})
	}
}

// The ring's key changes while all nodes are there, and again when all have the new one. Nodes go
// on; newcomers join by a line from before.
func TestRingKeyChanges(t *testing.T) {
	inSecureBubble(t, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		before := incarnations(tr)
		for range 2 {
			if err := tr.Registry.RotateKey(tr.Ctx()); err != nil {
				t.Fatal(err)
			}
			tr.Run(status.Traffic{Messages: 50})
			for _, n := range tr.Nodes {
				ringtest.NodeOf(n).HangUp()
			}
			time.Sleep(ringtest.Lease)
			for _, n := range tr.Nodes {
				if err := n.WaitConnected(tr.Ctx()); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(2 * validity)
			tr.WaitSettled()
			tr.Run(status.Traffic{Messages: 50})
		}
		same(t, tr, before)
	})
}

// A node that joined by a token of one use joins again by its admission, when it was taken for dead.
func TestSpentTokenDoesNotKeepANodeOut(t *testing.T) {
	inSecureBubble(t, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		token, err := tr.Registry.NewToken(tr.Ctx(), status.TokenTerms{Once: true})
		if err != nil {
			t.Fatal(err)
		}
		line, err := tr.Registry.JoinLine(tr.Addr, token.Number)
		if err != nil {
			t.Fatal(err)
		}
		n, err := ringtest.Join(tr.Ctx(), line, nil, ringdht.WithTransport(net.Host("once")), ringdht.WithTraffic())
		if err != nil {
			t.Fatal(err)
		}
		tr.Nodes = append(tr.Nodes, n)
		tr.WaitSettled()
		inc := n.Incarnation()
		net.Cut("once", "")
		tr.WaitGone(n.ID())
		net.Mend("once", "")
		if err := ringtest.NodeOf(n).Await(tr.Ctx(), func() bool { return n.Incarnation() != inc }); err != nil {
			t.Fatal(err)
		}
		if err := n.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		tr.WaitSettled()
		tr.Run(status.Traffic{Messages: 50})
	})
}
