package registry_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// trustOf is what a process has been told to believe.
func (n *rawNode) trustOf() *secure.Trust {
	n.t.Helper()
	t := &secure.Trust{Ring: n.trust.Ring, Revoked: make(map[secure.Key]struct{})}
	key := func(text string) secure.Key {
		b, err := secure.Bytes(text, 32)
		if err != nil || len(b) != 32 {
			n.t.Fatal(text, err)
		}
		return secure.Key(b)
	}
	for _, text := range n.trust.Keys {
		t.Keys = append(t.Keys, key(text))
	}
	for _, text := range n.trust.Revoked {
		t.Revoked[key(text)] = struct{}{}
	}
	return t
}

// link waits until the registry says that all tables lead to each of the processes.
func link(all ...*rawNode) {
	for _, n := range all {
		n.until(control.TypeReady, &control.Ready{})
	}
}

// An expelled node ends at once: all others hear that its key is revoked and its incarnation over, by
// the ring's signature. It finds no way back in.
func TestExpel(t *testing.T) {
	tr := secureRing(t, ringdht.WithSelfSetup(0), ringdht.WithGrace(time.Millisecond))
	waitOpen(t, tr)
	line := lineOf(t, tr)
	bad, good := newProcess(t, tr.Net, line).join(), newProcess(t, tr.Net, line).join()
	own := lineOf(t, tr, newToken(t, tr, status.TokenTerms{Once: true}).Number)
	once := newProcess(t, tr.Net, own).join()
	link(bad, good, once)

	if err := tr.Registry.Expel(t.Context(), ringdht.ID(bad.id)); err != nil {
		t.Fatal(err)
	}
	var refused control.Refused
	bad.until(control.TypeRefused, &refused)
	if refused.Code != control.CodeExpelled || !contains(refused.Reason, "expelled") {
		t.Errorf("%+v", refused)
	}
	good.until(control.TypeTrust, &good.trust)
	if _, revoked := good.trustOf().Revoked[secure.KeyOf(bad.Key)]; !revoked {
		t.Errorf("%+v", good.trust)
	}
	var note control.Announce
	for len(note.Gone) == 0 {
		good.until(control.TypeAnnounce, &note)
	}
	over := control.Over{ID: bad.id, Incarnation: bad.inc, Epoch: note.Epoch, Signature: note.Signatures[0]}
	signature, err := secure.Bytes(over.Signature, 64)
	if err != nil || len(note.Signatures) != len(note.Gone) || !good.trustOf().Gone(secure.Gone{ID: bad.id, Incarnation: bad.inc, Epoch: note.Epoch}, signature) {
		t.Errorf("%+v, %v", note, err)
	}

	// No way back: by its admission, by the secret it knows, with another key.
	if err := bad.comeBackErr(); !errors.Is(err, secure.ErrRevoked) {
		t.Errorf("by its admission: %v", err)
	}
	refusedFor(t, tr, bad.tryJoin(), control.CodeExpelled, status.RefusedRevoked, "expelled")
	refusedFor(t, tr, newProcess(t, tr.Net, line).tryJoin(), control.CodeCredentials, status.RefusedToken, "was expelled")
	newProcess(t, tr.Net, lineOf(t, tr)).join() // by the new token

	// Members that joined by the same token stay.
	if r := good.comeBack(good.resume()); r != nil {
		t.Error(r)
	}
	s := tr.Registry.Snapshot()
	if len(s.Security.Expelled) != 1 || uint64(s.Security.Expelled[0].ID) != bad.id || s.Happened[status.EventExpelled] != 1 || s.Happened[status.EventDead] != 1 {
		t.Errorf("%+v, %v", s.Security.Expelled, s.Happened)
	}

	// One that joined by a token of its own, and is away.
	ringtest.RegistryOf(tr.Registry).Locked(func() {
		a := ringtest.RegistryOf(tr.Registry).Authority()
		a.Expel(ringtest.RegistryOf(tr.Registry).Now(), ring.Ref{ID: once.id, Incarnation: once.inc}, "for a test")
	})
	ringtest.RegistryOf(tr.Registry).Wake()
	once.until(control.TypeRefused, &refused)
	if err := tr.Registry.Expel(t.Context(), ringdht.ID(once.id)); err != nil {
		t.Fatal(err)
	}
	if err := once.comeBackErr(); !errors.Is(err, secure.ErrRevoked) {
		t.Errorf("one that was away: %v", err)
	}
	if line2 := lineOf(t, tr); line2 == line || tr.Registry.Tokens()[2].Valid() == false {
		t.Errorf("a token that joins one node has ended others: %+v", tr.Registry.Tokens())
	}
	if err := tr.Registry.Expel(t.Context(), ringdht.ID(1)); !errors.Is(err, ringdht.ErrNotMember) {
		t.Error("an ID that no node has had:", err)
	}
}

func (n *rawNode) comeBackErr() error { return n.dial() }

// A revocation is forgotten when no admission of the key can be valid any more, and the members are
// told.
func TestRevocationsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithSecurity(time.Hour))
		n := newProcess(t, tr.Net, lineOf(t, tr)).join()
		if err := tr.Registry.Expel(t.Context(), ringdht.ID(n.id)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if got := tr.Registry.Snapshot().Security.Expelled; len(got) != 1 {
			t.Errorf("%+v", got)
		}
		time.Sleep(3 * time.Minute)
		if got := tr.Registry.Snapshot().Security.Expelled; len(got) != 0 {
			t.Errorf("%+v", got)
		}
		refusedFor(t, tr, n.comeBack(n.resume()), control.CodeCredentials, status.RefusedExpired, "expired")
	})
}

// The ring changes its key: members get it, with an admission that it has signed. One that was away
// comes back by the succession. Then the old one is dropped.
func TestRotateKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithSecurity(time.Hour), ringdht.WithLease(30*time.Minute/4))
		line := lineOf(t, tr)
		here, away := newProcess(t, tr.Net, line).join(), newProcess(t, tr.Net, line).join()
		away.hangUp()
		if err := tr.Registry.RotateKey(t.Context()); err != nil {
			t.Fatal(err)
		}
		here.until(control.TypeTrust, &here.trust)
		var renewed control.Admission
		here.until(control.TypeAdmission, &renewed)
		here.admit(renewed.Admission)
		trust := here.trustOf()
		if len(trust.Keys) != 2 || trust.Keys[0].Pin() != here.line.Pin {
			t.Fatalf("%+v", here.trust)
		}
		latest := &secure.Trust{Ring: trust.Ring, Keys: trust.Keys[1:]}
		if _, err := latest.Admission(here.Credentials.Admission, time.Time{}); err != nil {
			t.Error("the renewed admission is not of the new key:", err)
		}
		if err := tr.Registry.RotateKey(t.Context()); !errors.Is(err, ringdht.ErrBusy) || contains(err.Error(), "traffic") {
			t.Error("again:", err)
		}
		if r := away.comeBack(away.resume()); r != nil { // it knows the old pin only
			t.Fatal(r)
		}
		if _, err := latest.Admission(away.Credentials.Admission, time.Time{}); err != nil {
			t.Error("the one that was away:", err)
		}
		if lineOf(t, tr) == line {
			t.Error("join lines have the old pin")
		}
		newProcess(t, tr.Net, lineOf(t, tr)).join()
		newProcess(t, tr.Net, line).join() // the old line still serves
		shown := tr.Registry.Snapshot().Security
		if shown.OldKey == "" || shown.OldUntil.Before(time.Now().Add(time.Hour)) {
			t.Errorf("%+v", shown)
		}
		for time.Now().Before(shown.OldUntil.Add(2 * time.Minute)) {
			for _, n := range []*rawNode{here, away} {
				n.conn.Send(control.TypeBeat, control.Beat{Every: 1})
			}
			time.Sleep(time.Minute)
		}
		for len(here.trust.Keys) > 1 {
			here.until(control.TypeTrust, &here.trust)
		}
		if here.trustOf().Keys[0] != latest.Keys[0] || tr.Registry.Snapshot().Security.OldKey != "" {
			t.Errorf("%+v", here.trust)
		}
		if err := tr.Registry.RotateKey(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
