package registry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// An incarnation that was marked dead a moment ago cannot deregister the one that has its ID
// now.
func TestDeregisterOfTheDead(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	for range 3 {
		tr.Join(nil)
	}
	tr.Setup(0)
	n := tr.Nodes[0]
	r := ringtest.RegistryOf(tr.Registry)
	old := ring.Ref{ID: uint64(n.ID()), Incarnation: n.Incarnation()}
	deregister := r.Deregister(old)
	m, err := r.Readmit(n.Peer())
	if err != nil {
		t.Fatal(err)
	}
	b, _ := ringtest.NodeOf(n).Config().Codec.Append(nil, control.Deregister{ID: old.ID, Addr: n.Peer().Addr})
	deregister(b)
	var h ring.Member
	ok := false
	r.Await(tr.Ctx(), func() bool { h, ok = r.Authority().Holder(old.ID); return true })
	r.Apply()
	if !ok || h.Incarnation != m.Incarnation {
		t.Errorf("the new incarnation %d was deregistered by the old one", m.Incarnation)
	}
}

// A request to leave is answered also if the member's end is decided and not applied yet.
func TestDeregisterAtTheEnd(t *testing.T) {
	tr := secureRing(t)
	member := newProcess(t, tr.Net, lineOf(t, tr)).join()
	r := ringtest.RegistryOf(tr.Registry)
	r.Locked(func() {
		h, _ := r.Authority().Holder(member.id)
		r.Authority().Leave(r.Now(), h.Ref())
	})
	member.conn.Send(control.TypeDeregister, control.Deregister{ID: member.id, Addr: member.addr})
	var refused control.Refused
	member.until(control.TypeRefused, &refused)
	if refused.Code != control.CodeNotMember || !strings.Contains(refused.Reason, "already") {
		t.Errorf("%+v", refused)
	}
}

// A member whose connection ended, and whose probe hangs, is suspect. It has a lease to come
// back, and then goes on as before.
func TestSuspectMember(t *testing.T) {
	for _, back := range []bool{true, false} {
		ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
			n := tr.Nodes[1]
			inc := n.Incarnation()
			net.Hold("registry", "n1") // probes hang
			net.Hold("n1", "registry")
			ringtest.NodeOf(n).HangUp()
			start := time.Now()
			ringtest.RegistryOf(tr.Registry).HangUpOnHost("n1")
			if back {
				time.Sleep(ringtest.Lease / 2)
				net.Heal()
				if err := n.WaitConnected(tr.Ctx()); err != nil {
					t.Error(err)
				}
				time.Sleep(2 * ringtest.Lease)
				if n.Incarnation() != inc || len(tr.Registry.Members()) != 6 {
					t.Errorf("incarnation %d, was %d; %v", n.Incarnation(), inc, tr.Registry.Members())
				}
				tr.Exchange(tr.Nodes...)
				return
			}
			tr.WaitGone(20)
			if d := time.Since(start); d < ringtest.Lease || d > ringtest.Lease+100*time.Millisecond {
				t.Errorf("declared dead after %v", d)
			}
			net.Heal()
		})
	}
}
