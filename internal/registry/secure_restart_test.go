package registry_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

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

// The clock of the machine is set back by a year, and the registry restarts again and again:
// incarnations and the registry's time go on growing.
func TestRestartsWithAWrongClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		back := time.Duration(0)
		clock := ringtest.WithRegistryConfig(func(c *registry.Config) { c.TimeOfDay = func() time.Time { return time.Now().Add(-back) } })
		tr := secureAt(t, memnet.New(1), dir, clock)
		line := lineOf(t, tr)
		keep := newProcess(t, tr.Net, line).join()
		latest, shown := keep.inc, keep.admission.Since
		look := func() {
			t.Helper()
			n := newProcess(t, tr.Net, line).join()
			if n.inc <= latest || n.admission.Since.Before(shown) {
				t.Fatalf("incarnation %d at %v, after %d at %v", n.inc, n.admission.Since, latest, shown)
			}
			latest, shown = n.inc, n.admission.Since
			n.end()
		}
		look()
		back = 365 * 24 * time.Hour
		for range 30 {
			restart(t, tr, dir, clock)
			look()
			if r := keep.comeBack(keep.resume()); r != nil {
				t.Fatal(r)
			}
			time.Sleep(time.Second)
		}
		if ahead := time.Until(shown); ahead > time.Minute {
			t.Errorf("the registry's clock is ahead by %v", ahead)
		}
		// Killed, and not closed: the directory is as it was in the middle.
		for range 10 {
			look()
			killed := t.TempDir()
			for _, name := range []string{"ring.json", "ring.key", "security.json"} {
				copyFile(t, dir, killed, name)
			}
			dir = killed
			restart(t, tr, dir, clock)
			look()
			time.Sleep(time.Second)
		}
		if ahead := time.Until(shown); ahead > time.Minute {
			t.Errorf("after crashes the registry's clock is ahead by %v", ahead)
		}
	})
}

// A registry that is killed while it changes its key has the old one or the new one.
func TestKilledWhileTheKeyChanges(t *testing.T) {
	ringtest.OpenOnly(t, "there a registry inherits the key of the one before")
	dir := t.TempDir()
	tr := secureAt(t, memnet.New(1), dir, ringdht.WithSelfSetup(0), ringdht.WithGrace(time.Millisecond))
	waitOpen(t, tr)
	n := newProcess(t, tr.Net, lineOf(t, tr)).join()
	read := func(name string) []byte {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	oldKey, oldState := read("ring.key"), read("security.json")
	oldPin := tr.Registry.Snapshot().Security.Key
	if err := tr.Registry.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	newKey, newState := read("ring.key"), read("security.json")
	newPin := tr.Registry.Snapshot().Security.Key
	if strings.Count(string(newKey), "BEGIN") != 1 || string(newKey) == string(oldKey) {
		t.Errorf("%d keys on disk", strings.Count(string(newKey), "BEGIN"))
	}
	both := slices.Concat(oldKey, newKey)
	for _, c := range []struct {
		name       string
		key, state []byte
		pin        string
	}{
		{"before the state", both, oldState, oldPin},
		{"after the state", both, newState, newPin},
	} {
		tr.Registry.Close()
		os.WriteFile(filepath.Join(dir, "ring.key"), c.key, 0o600)
		os.WriteFile(filepath.Join(dir, "security.json"), c.state, 0o600)
		restart(t, tr, dir, ringdht.WithSelfSetup(0))
		if got := tr.Registry.Snapshot().Security.Key; got != c.pin {
			t.Errorf("%s: the key is %s, want %s", c.name, got, c.pin)
		}
		if n := strings.Count(string(read("ring.key")), "BEGIN"); n != 1 {
			t.Errorf("%s: %d keys on disk afterwards", c.name, n)
		}
		if r := n.comeBack(n.resume()); r != nil {
			t.Errorf("%s: %v", c.name, r)
		}
	}
}

// Without a directory the key is the process's, and the log says what that means.
func TestSecureRingWithoutADirectory(t *testing.T) {
	ringtest.OpenOnly(t, "there a registry inherits the key of the one before")
	log := ringtest.NewLog()
	network := memnet.New(1)
	tr := ringtest.New(t, network, ringdht.WithSecurity(0), log.Option())
	log.WaitFor(t, "kept in memory only", "new join line", "WithState")
	n := newProcess(t, network, lineOf(t, tr)).join()
	tr.Registry.Close()
	tr.RestartRegistry(ringdht.WithLease(30*time.Second), ringdht.WithSecurity(0))
	if err := n.dial(); !errors.Is(err, secure.ErrNotRegistry) {
		t.Errorf("a registry with another key: %v", err)
	}
}

// A suspect is dead at once if another key answers at its address.
func TestSuspectsAreProbedByKey(t *testing.T) {
	tr := secureRing(t)
	line := lineOf(t, tr)
	n, m := newProcess(t, tr.Net, line).join(), newProcess(t, tr.Net, line).join()
	m.hangUp()
	await(t, tr, func(s *status.Snapshot) bool { return s.Happened[status.EventSuspect] == 1 })
	n.listener.Close()
	other := newProcess(t, tr.Net, line, strings.TrimSuffix(n.addr, ":5"))
	n.hangUp()
	await(t, tr, func(s *status.Snapshot) bool { return s.Happened[status.EventDead] == 1 })
	other.join() // in its place
	if s := tr.Registry.Snapshot(); len(s.Members) != 2 || s.Happened[status.EventDead] != 1 {
		t.Errorf("%d members, %v", len(s.Members), s.Happened)
	}
	if r := m.comeBack(m.resume()); r != nil {
		t.Error("one that answers by its own key:", r)
	}
}

// No secret of the ring is in what a registry logs, shows, or says.
func TestSecretsDoNotGetOut(t *testing.T) {
	log := ringtest.NewLog()
	dir := t.TempDir()
	tr := secureAt(t, memnet.New(1), dir, log.Option(), ringdht.WithSelfSetup(0), ringdht.WithGrace(time.Millisecond))
	waitOpen(t, tr)
	line := lineOf(t, tr)
	var said strings.Builder
	say := func(v ...any) { fmt.Fprintf(&said, "%v %+v %#v\n", v, v, v) }
	n := newProcess(t, tr.Net, line).join()
	once := newToken(t, tr, status.TokenTerms{Once: true})
	say(once)
	bad := newProcess(t, tr.Net, lineOf(t, tr, once.Number))
	bad.join()
	say(newProcess(t, tr.Net, lineOf(t, tr)).tryJoin(func(r *control.Register) { r.Proof = "AAAA" }))
	say(tr.Registry.Expel(t.Context(), ringdht.ID(n.id)), tr.Registry.RotateTokens(t.Context()), tr.Registry.RotateKey(t.Context()), tr.Registry.RotateKey(t.Context()))
	_, err := tr.Registry.JoinLine("nonsense")
	say(err, tr.Registry.Tokens(), bad.tryJoin(), newProcess(t, tr.Net, line).tryJoin())
	say(tr.Registry.Snapshot(), *tr.Registry.Snapshot().Security)
	kept, err := os.ReadFile(filepath.Join(dir, "security.json"))
	if err != nil {
		t.Fatal(err)
	}
	tr.Registry.Close()
	os.WriteFile(filepath.Join(dir, "security.json"), append(kept[:len(kept)-20], 'x'), 0o600)
	_, err = ringdht.NewRegistry(ringdht.WithSecurity(0), ringdht.WithState(dir))
	say(err)
	all := said.String() + log.Text()
	for _, l := range []string{line, lineAfter(line)} {
		if strings.Contains(all, l) {
			t.Error("the join line got out")
		}
	}
	secrets := secretsIn(string(kept))
	if len(secrets) < 4 {
		t.Fatal("the state has no secrets")
	}
	j, _ := secure.ParseJoinLine(line)
	secrets = append(secrets, fmt.Sprintf("%x", j.Secret[:]), fmt.Sprint([]byte(j.Secret[:])), secure.Text(j.Secret[:]))
	for _, s := range secrets {
		if strings.Contains(all, s) {
			t.Errorf("a secret got out")
		}
	}
}

// lineAfter is the part of a join line behind the pin.
func lineAfter(line string) string {
	_, secret, _ := strings.Cut(line[strings.LastIndex(line, "/"):], "-")
	return secret
}

// secretsIn lists the values of "secret" in a text of JSON.
func secretsIn(text string) (all []string) {
	for _, part := range strings.Split(text, `"secret": "`)[1:] {
		value, _, _ := strings.Cut(part, `"`)
		all = append(all, value)
	}
	return all
}
