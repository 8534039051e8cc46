package registry_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
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

// secureAt starts the registry of a secure ring with a directory.
func secureAt(t *testing.T, network *memnet.Network, dir string, opts ...ringdht.RegistryOption) *ringtest.Ring {
	t.Helper()
	return ringtest.New(t, network, append([]ringdht.RegistryOption{ringdht.WithSecurity(time.Hour), ringdht.WithState(dir)}, opts...)...)
}

// restart starts the registry again, from its directory, at the same address.
func restart(t *testing.T, tr *ringtest.Ring, dir string, opts ...ringdht.RegistryOption) {
	t.Helper()
	tr.Registry.Close()
	tr.RestartRegistry(append([]ringdht.RegistryOption{ringdht.WithLease(30 * time.Second), ringdht.WithSecurity(time.Hour), ringdht.WithState(dir)}, opts...)...)
}

// A registry that restarts from its directory keeps pin, tokens, admissions and revocations.
func TestRestartOfASecureRing(t *testing.T) {
	dir := t.TempDir()
	tr := secureAt(t, memnet.New(1), dir, ringdht.WithSelfSetup(0), ringdht.WithGrace(50*time.Millisecond))
	waitOpen(t, tr)
	line := lineOf(t, tr)
	onceLine := lineOf(t, tr, newToken(t, tr, status.TokenTerms{Once: true}).Number)
	a, b, bad, spent := newProcess(t, tr.Net, line).join(), newProcess(t, tr.Net, line).join(), newProcess(t, tr.Net, line).join(), newProcess(t, tr.Net, onceLine).join()
	if err := tr.Registry.Expel(t.Context(), ringdht.ID(bad.id)); err != nil {
		t.Fatal(err)
	}
	line = lineOf(t, tr)
	restart(t, tr, dir, ringdht.WithSelfSetup(0))
	if lineOf(t, tr) != line {
		t.Error("the join line has changed")
	}
	late := newProcess(t, tr.Net, onceLine)
	refusedFor(t, tr, late.tryJoin(), control.CodeCredentials, status.RefusedToken, "was used")
	if err := bad.comeBackErr(); !errors.Is(err, secure.ErrRevoked) {
		t.Error("an expelled node after the restart:", err)
	}
	id, inc := a.id, a.inc
	if r := a.comeBack(a.resume()); r != nil || a.id != id || a.inc != inc {
		t.Errorf("%v: %d %d", r, a.id, a.inc)
	}
	// A member cannot say that another is over, without the ring's signature.
	lie := b.resume()
	lie.Epoch = 3
	lie.Over = []control.Over{{ID: a.id, Incarnation: a.inc, Epoch: 1 << 40}, {ID: a.id, Incarnation: a.inc, Epoch: 1 << 40, Signature: secure.Text(make([]byte, 64))}}
	if r := b.comeBack(lie); r != nil {
		t.Error(r)
	}
	if r := spent.comeBack(spent.resume()); r != nil {
		t.Error(r)
	}
	if s := tr.Registry.Snapshot(); len(s.Members) != 3 || s.Happened[status.EventDead] != 0 {
		t.Errorf("%d members, %v", len(s.Members), s.Happened)
	}
	if tokens := tr.Registry.Tokens(); tokens[0].State != status.TokenExpelled || tokens[0].Uses != 3 || tokens[1].State != status.TokenUsed {
		t.Errorf("%+v", tokens)
	}
}

func waitOpen(t *testing.T, tr *ringtest.Ring) {
	t.Helper()
	r := ringtest.RegistryOf(tr.Registry)
	if err := r.Await(tr.Ctx(), func() bool { return !r.Authority().Recovering() }); err != nil {
		t.Fatal(err)
	}
}

// What the ring has signed to be over is over also for its next registry.
func TestSignedOverCounts(t *testing.T) {
	dir := t.TempDir()
	tr := secureAt(t, memnet.New(1), dir, ringdht.WithSelfSetup(0), ringdht.WithGrace(50*time.Millisecond))
	waitOpen(t, tr)
	line := lineOf(t, tr)
	a, b := newProcess(t, tr.Net, line).join(), newProcess(t, tr.Net, line).join()
	link(a, b)
	a.hangUp()
	a.listener.Close() // it has died
	var note control.Announce
	for len(note.Gone) == 0 {
		b.until(control.TypeAnnounce, &note)
	}
	if note.Gone[0].ID != a.id {
		t.Fatalf("%+v", note)
	}
	restart(t, tr, dir, ringdht.WithSelfSetup(0))
	back := b.resume()
	back.Epoch, back.Over = note.Epoch, []control.Over{{ID: a.id, Incarnation: a.inc, Epoch: note.Epoch, Signature: note.Signatures[0]}}
	if r := b.comeBack(back); r != nil {
		t.Fatal(r)
	}
	again := a.resume()
	again.Epoch = note.Epoch - 1
	if r := a.comeBack(again); r == nil || r.Code != control.CodeEvicted {
		t.Errorf("a member that the ring has declared dead is back: %v", r)
	}
}

// Each thing that can be wrong with the directory has an error that says what to do.
func TestDirectoryOfASecureRing(t *testing.T) {
	make := func(opts ...ringdht.RegistryOption) (dir string) {
		t.Helper()
		dir = t.TempDir()
		tr := ringtest.New(t, memnet.New(1), append([]ringdht.RegistryOption{ringdht.WithState(dir), ringdht.WithSelfSetup(0), ringdht.WithGrace(time.Millisecond)}, opts...)...)
		waitOpen(t, tr)
		if len(opts) > 0 {
			newProcess(t, tr.Net, lineOf(t, tr)).join()
		} else {
			tr.Join(nil)
		}
		tr.Close()
		return dir
	}
	secured := func() string { return make(ringdht.WithSecurity(0)) }
	for name, c := range map[string]struct {
		dir    string
		change func(dir string)
		opts   []ringdht.RegistryOption
		want   string
	}{
		"nothing":        {secured(), func(string) {}, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, ""},
		"no security":    {secured(), func(string) {}, nil, "keeps a secure ring"},
		"an open ring":   {make(), func(string) {}, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "keeps an open ring"},
		"no key":         {secured(), func(d string) { os.Remove(filepath.Join(d, "ring.key")) }, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "ring.key is missing"},
		"no state":       {secured(), func(d string) { os.Remove(filepath.Join(d, "security.json")) }, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "security.json is missing"},
		"another key":    {secured(), func(d string) { copyFile(t, secured(), d, "ring.key") }, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "is not the key of this ring"},
		"no key in it":   {secured(), func(d string) { os.WriteFile(filepath.Join(d, "ring.key"), []byte("x"), 0o600) }, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "not the key of a ring"},
		"readable":       {secured(), func(d string) { os.Chmod(filepath.Join(d, "ring.key"), 0o644) }, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "chmod 600"},
		"readable state": {secured(), func(d string) { os.Chmod(filepath.Join(d, "security.json"), 0o640) }, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "chmod 600"},
		"damaged": {secured(), func(d string) {
			os.WriteFile(filepath.Join(d, "security.json"), []byte(`{"version": 1, "tokens": [{"secret": "6162`), 0o600)
		}, []ringdht.RegistryOption{ringdht.WithSecurity(0)}, "restore it"},
	} {
		c.change(c.dir)
		r, err := ringdht.NewRegistry(append(c.opts, ringdht.WithState(c.dir))...)
		if err == nil {
			r.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && !contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		} else if err != nil {
			t.Log(err)
		}
	}
	for _, name := range []string{"ring.key", "security.json", "ring.json"} {
		info, err := os.Stat(filepath.Join(secured(), name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func copyFile(t *testing.T, from, to, name string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(from, name))
	if err == nil {
		err = os.WriteFile(filepath.Join(to, name), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A change that cannot be written has not happened, and the ring goes on.
func TestChangesThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	tr := secureAt(t, memnet.New(1), dir, ringdht.WithSelfSetup(0), ringdht.WithGrace(time.Millisecond))
	waitOpen(t, tr)
	line := lineOf(t, tr)
	once := lineOf(t, tr, newToken(t, tr, status.TokenTerms{Once: true}).Number)
	n := newProcess(t, tr.Net, line).join()
	key := tr.Registry.Snapshot().Security.Key
	block := func(name string) func() {
		path := filepath.Join(dir, name+".tmp")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		return func() { os.Remove(path) }
	}
	unblock := block("security.json")
	ctx := context.Background()
	for what, err := range map[string]error{
		"expel":  tr.Registry.Expel(ctx, ringdht.ID(n.id)),
		"rotate": tr.Registry.RotateTokens(ctx),
		"key":    tr.Registry.RotateKey(ctx),
		"token":  func() error { _, err := tr.Registry.NewToken(ctx, status.TokenTerms{}); return err }(),
	} {
		if err == nil || !contains(err.Error(), "nothing was changed") {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused := newProcess(t, tr.Net, once).tryJoin()
	if refused == nil || refused.Code != control.CodeWait {
		t.Errorf("a token for one node was not written as used: %v", refused)
	}
	if r := n.comeBack(n.resume()); r != nil {
		t.Errorf("a member: %v", r)
	}
	s := tr.Registry.Snapshot()
	if len(s.Security.Expelled) != 0 || s.Security.Key != key || s.Security.OldKey != "" || lineOf(t, tr) != line || len(s.Members) != 1 {
		t.Errorf("%+v", s.Security)
	}
	unblock()
	newProcess(t, tr.Net, once).join()
	if err := tr.Registry.Expel(ctx, ringdht.ID(n.id)); err != nil {
		t.Error(err)
	}
	unblock = block("ring.key")
	if err := tr.Registry.RotateKey(ctx); err == nil || tr.Registry.Snapshot().Security.Key != key {
		t.Error("a key that was not written is in use:", err)
	}
	unblock()
	if err := tr.Registry.RotateKey(ctx); err != nil {
		t.Error(err)
	}
	want := tr.Registry.Snapshot().Security
	restart(t, tr, dir)
	got := tr.Registry.Snapshot().Security
	if got.Key != want.Key || got.OldKey != want.OldKey || !got.OldUntil.Equal(want.OldUntil) || !slices.Equal(tokenStates(got), tokenStates(want)) || len(got.Expelled) != 1 {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func tokenStates(s *status.Security) (all []status.TokenState) {
	for _, t := range s.Tokens {
		all = append(all, t.State)
	}
	return all
}
