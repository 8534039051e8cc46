package registry_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// A token of one use goes on for the key that used it, but not for that of an expelled node: also
// not when the revocation of the key is forgotten.
func TestASpentTokenIsNoWayBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := secureRing(t, ringdht.WithSecurity(time.Hour))
		token := newToken(t, tr, status.TokenTerms{Once: true})
		n := newProcess(t, tr.Net, lineOf(t, tr, token.Number)).join()
		n.hangUp()
		if r := n.tryJoin(); r != nil {
			t.Fatal("the same process, again:", r)
		}
		if err := tr.Registry.Expel(t.Context(), ringdht.ID(n.id)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if refused := n.tryJoin(); refused == nil {
				t.Fatal("an expelled node is a member again")
			}
			time.Sleep(time.Hour)
		}
		if got := tr.Registry.Snapshot().Security.Expelled; len(got) != 0 {
			t.Errorf("%+v", got)
		}
		refusedFor(t, tr, n.tryJoin(), control.CodeCredentials, status.RefusedToken, "was expelled")
	})
}

// A revocation lasts as long as the longest admission of the key, which an earlier registry may have
// given, with another WithSecurity.
func TestARevocationOutlivesEarlierAdmissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		tr := secureAt(t, memnet.New(1), dir, ringdht.WithSecurity(10*time.Hour))
		n := newProcess(t, tr.Net, lineOf(t, tr)).join()
		long := n.Credentials.Admission
		restart(t, tr, dir, ringdht.WithSecurity(time.Hour))
		if r := n.comeBack(n.resume()); r != nil {
			t.Fatal(r)
		}
		if err := tr.Registry.Expel(t.Context(), ringdht.ID(n.id)); err != nil {
			t.Fatal(err)
		}
		n.show(long)
		time.Sleep(2 * time.Hour)
		if err := n.comeBackErr(); !errors.Is(err, secure.ErrRevoked) {
			t.Errorf("an expelled node with an admission of ten hours, after two: %v", err)
		}
	})
}

// A process has one incarnation: with the admissions of several it is one member, also at a
// registry that has restarted. Otherwise expelling it would end one of many.
func TestOneKeyIsOneMember(t *testing.T) {
	for name, order := range map[string][2]int{"the earlier first": {0, 1}, "the later first": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tr := secureAt(t, memnet.New(1), dir, ringdht.WithSelfSetup(0), ringdht.WithGrace(50*time.Millisecond))
			waitOpen(t, tr)
			n := newProcess(t, tr.Net, lineOf(t, tr))
			var admissions [2][]byte
			for i := range admissions {
				n.join()
				admissions[i] = n.Credentials.Admission
			}
			n.hangUp()
			restart(t, tr, dir, ringdht.WithSelfSetup(0))
			for _, i := range order {
				a, err := secure.ParseAdmission(admissions[i])
				if err != nil {
					t.Fatal(err)
				}
				n.show(admissions[i])
				if err := n.dial(); err != nil {
					t.Fatal(err)
				}
				addr := []string{n.addr, "127.0.0.1:9"}[i] // a claim that is not checked while the ring is rebuilt
				n.id, n.inc = a.ID, a.Incarnation
				refused := n.ask(control.Register{Addr: addr, ID: a.ID, Incarnation: a.Incarnation, Ready: true, Epoch: 3})
				if late := order[0] == 1 && i == 0; late != (refused != nil) {
					t.Errorf("incarnation %d of 2: %v", i+1, refused)
				}
				n.conn, n.heard = nil, nil // both connections stay
			}
			if members := tr.Registry.Members(); len(members) != 1 {
				t.Errorf("one key is %d members: %v", len(members), members)
			}
		})
	}
}

// A stranger that asks to deregister a node learns neither whether there is one, nor its address.
func TestAStrangerLearnsNoMember(t *testing.T) {
	tr := secureRing(t)
	member := newProcess(t, tr.Net, lineOf(t, tr)).join()
	for _, id := range []uint64{member.id, member.id ^ 1} {
		stranger := newProcess(t, tr.Net, lineOf(t, tr))
		if err := stranger.dial(); err != nil {
			t.Fatal(err)
		}
		if err := stranger.conn.Send(control.TypeDeregister, control.Deregister{ID: id, Addr: "a:1"}); err != nil {
			t.Fatal(err)
		}
		var refused control.Refused
		_, body, err := stranger.conn.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if stranger.decode(body, &refused); refused.Code != control.CodeNotMember || refused.Reason != "register first" {
			t.Errorf("%+v", refused)
		}
	}
}
