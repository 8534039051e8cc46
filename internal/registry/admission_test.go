package registry_test

import (
	"errors"
	"strings"
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

func contains(s, part string) bool { return strings.Contains(s, part) }

// A node that proves a secret is admitted: its admission is signed, and it is told the ring's keys
// before any table.
func TestJoinByASecret(t *testing.T) {
	tr := secureRing(t)
	n := newProcess(t, tr.Net, lineOf(t, tr)).join()
	trust := secure.Trust{Ring: n.trust.Ring}
	for _, text := range n.trust.Keys {
		b, err := secure.Bytes(text, 32)
		if err != nil {
			t.Fatal(err)
		}
		trust.Keys = append(trust.Keys, secure.Key(b))
	}
	if len(trust.Keys) != 1 || trust.Keys[0].Pin() != n.line.Pin || trust.Ring != secure.RingOf(trust.Keys[0]) || len(n.trust.Revoked) != 0 {
		t.Errorf("trust: %+v", n.trust)
	}
	a, err := trust.Admission(n.Credentials.Admission, time.UnixMilli(n.trust.Time))
	if err != nil || a.Token != 1 || a.Flags != 0 || a.Until.Sub(a.Since) != 24*time.Hour {
		t.Errorf("%+v, %v", a, err)
	}
	ringtest.WaitUntil(t, "a use of the token", func() bool { s := tr.Registry.Tokens(); return len(s) > 0 && s[0].Uses > 0 }) // after the answer
	if tokens := tr.Registry.Tokens(); len(tokens) != 1 || tokens[0].Uses != 1 || !tokens[0].Valid() {
		t.Errorf("tokens: %+v", tokens)
	}
	s := tr.Registry.Snapshot()
	if m := s.Members[0]; m.Admission == nil || m.Admission.Token != 1 || !m.Admission.Until.Equal(a.Until) || m.Admission.Key != a.Key.String() {
		t.Errorf("%+v", m.Admission)
	}
	if s.Security.Kept || s.Security.Validity != 24*time.Hour || len(s.Security.Tokens) != 1 {
		t.Errorf("%+v", s.Security)
	}
}

// Strangers are refused, each for its own reason, and listed for the operator.
func TestStrangersAreRefused(t *testing.T) {
	tr := secureRing(t)
	line := lineOf(t, tr)
	process := func(line string) *rawNode { t.Helper(); return newProcess(t, tr.Net, line) }

	refusedFor(t, tr, process(line).tryJoin(func(r *control.Register) { r.Proof = "" }), control.CodeCredentials, status.RefusedNone, "join with the join line")
	refusedFor(t, tr, process(line).tryJoin(func(r *control.Register) { r.Proof = "AAAA" }), control.CodeCredentials, status.RefusedSecret, "32 bytes")
	refusedFor(t, tr, process(line).tryJoin(func(r *control.Register) { r.Proof = strings.Repeat("A", 3000) }), control.CodeCredentials, status.RefusedSecret, "32 bytes")

	guess := process(line)
	guess.line.Secret[3] ^= 1
	refusedFor(t, tr, guess.tryJoin(), control.CodeCredentials, status.RefusedSecret, "not one of this ring")

	// A proof of another connection is worth nothing.
	n := process(line).join()
	recorded := n.proveSecret(n.line.Secret)
	refusedFor(t, tr, process(line).tryJoin(func(r *control.Register) { r.Proof = recorded }), control.CodeCredentials, status.RefusedSecret, "not one of this ring")

	again := process(line).join()
	recorded = again.proveSecret(again.line.Secret)
	refusedFor(t, tr, again.tryJoin(func(r *control.Register) { r.Proof = recorded }), control.CodeCredentials, status.RefusedSecret, "not one of this ring")

	// Without an admission there is nothing to go on with, also with the secret.
	refusedFor(t, tr, process(line).tryJoin(func(r *control.Register) { r.ID, r.Incarnation, r.Epoch, r.Every = n.id, n.inc, 5, 100 }), control.CodeCredentials, status.RefusedNone, "by its admission only")

	// The address is another process's.
	other := process(line)
	refused := other.tryJoin(func(r *control.Register) { r.Addr = n.addr })
	if refused == nil || refused.Code != control.CodeAddrTaken {
		t.Errorf("%v", refused)
	}
	gone := process(line)
	refused = other.tryJoin(func(r *control.Register) { r.Addr = gone.addr })
	refusedFor(t, tr, refused, control.CodeUnreachable, status.RefusedAddress, "another process answers there")

	// Tokens that are over: the one that knows the secret is told why.
	once := process(lineOf(t, tr, newToken(t, tr, status.TokenTerms{Once: true}).Number)).join()
	late := process(line)
	late.line.Secret = once.line.Secret
	refusedFor(t, tr, late.tryJoin(), control.CodeCredentials, status.RefusedToken, "was used")
	if refused := once.tryJoin(); refused != nil { // its answer may have been lost
		t.Errorf("the process that has used the token: %v", refused)
	}
	id := ringdht.ID(4711)
	bound := lineOf(t, tr, newToken(t, tr, status.TokenTerms{ID: &id}).Number)
	refusedFor(t, tr, process(bound).tryJoin(func(r *control.Register) { r.Want, r.ID = true, 5 }), control.CodeCredentials, status.RefusedID, "for node 4711")
	if n := process(bound).join(); n.id != 4711 || n.admission.Flags != secure.FlagBound {
		t.Errorf("node %d, flags %d", n.id, n.admission.Flags)
	}
	if err := tr.Registry.RotateTokens(t.Context()); err != nil {
		t.Fatal(err)
	}
	refusedFor(t, tr, process(line).tryJoin(), control.CodeCredentials, status.RefusedToken, "ended by the operator")
	process(lineOf(t, tr)).join()
	if refused := n.comeBack(n.resume()); refused != nil {
		t.Errorf("a rotation has hit a member: %v", refused)
	}
}

// An expired token admits none, and the clock that counts is the registry's.
func TestExpiredToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := secureRing(t)
		line := lineOf(t, tr, newToken(t, tr, status.TokenTerms{For: 10 * time.Minute}).Number)
		early, late := newProcess(t, tr.Net, line), newProcess(t, tr.Net, line)
		time.Sleep(10*time.Minute - time.Second)
		early.join()
		time.Sleep(2 * time.Second)
		refusedFor(t, tr, late.tryJoin(), control.CodeCredentials, status.RefusedToken, "has expired")
		if tokens := tr.Registry.Tokens(); tokens[1].State != status.TokenExpired || tokens[1].Uses != 1 {
			t.Errorf("%+v", tokens)
		}
		if _, err := tr.Registry.JoinLine(tr.Addr, 2); err == nil {
			t.Error("a join line with an expired token")
		}
	})
}

// Only the holder of an admission's key goes on with its incarnation, ends it, or takes its place.
func TestOnlyTheKeyGoesOn(t *testing.T) {
	tr := secureRing(t)
	line := lineOf(t, tr)
	victim, member := newProcess(t, tr.Net, line).join(), newProcess(t, tr.Net, line).join()

	// A stolen admission, without its key: the handshake says no more than that.
	thief := newProcess(t, tr.Net, line)
	thief.show(victim.Credentials.Admission)
	if err := thief.dial(); !errors.Is(err, ringdht.ErrHandshake) {
		t.Errorf("a stolen admission: %v", err)
	}
	await(t, tr, func(s *status.Snapshot) bool { return s.Security.Refusals[status.RefusedStolen] == 1 })

	// A member in another's name.
	refusedFor(t, tr, member.comeBack(victim.resume()), control.CodeCredentials, status.RefusedID, "the admission is of incarnation")
	if err := member.dial(); err != nil {
		t.Fatal(err)
	}
	refusedFor(t, tr, member.ask(control.Register{Want: true, ID: victim.id}), control.CodeCredentials, status.RefusedID, "the admission is of node")
	if refused := member.comeBack(member.resume()); refused != nil {
		t.Fatal(refused)
	}
	member.conn.Send(control.TypeDeregister, control.Deregister{ID: victim.id, Addr: victim.addr})
	var refused control.Refused
	member.until(control.TypeRefused, &refused)
	if refused.Code != control.CodeNotYours {
		t.Errorf("%+v", refused)
	}
	if s := tr.Registry.Snapshot(); s.Happened[status.EventDead] != 0 || len(s.Members) != 2 {
		t.Errorf("a member was hurt: %v", s.Happened)
	}
	// The victim goes on, over a second connection, while the first is open.
	if refused := victim.comeBack(victim.resume()); refused != nil {
		t.Error(refused)
	}
}

// await waits until the snapshot is as it should be.
func await(t *testing.T, tr *ringtest.Ring, done func(*status.Snapshot) bool) {
	t.Helper()
	for start := time.Now(); !done(tr.Registry.Snapshot()); time.Sleep(time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatalf("it does not come: %+v", tr.Registry.Snapshot().Security)
		}
	}
}

// A process that was declared dead joins again by its old admission, without a secret, and with its
// ID. One of a token for one ID can have no other.
func TestRejoinByTheOldAdmission(t *testing.T) {
	tr := secureRing(t)
	line := lineOf(t, tr)
	n := newProcess(t, tr.Net, line).join()
	id, inc := n.id, n.inc
	ringtest.RegistryOf(tr.Registry).Locked(func() {
		ringtest.RegistryOf(tr.Registry).Authority().Expel(ringtest.RegistryOf(tr.Registry).Now(), ring.Ref{ID: n.id, Incarnation: n.inc}, "for a test")
	})
	ringtest.RegistryOf(tr.Registry).Wake()
	var refused control.Refused
	n.until(control.TypeRefused, &refused)
	if refused.Code != control.CodeEvicted {
		t.Fatalf("%+v", refused)
	}
	tr.Registry.RotateTokens(t.Context())
	if r := n.comeBack(control.Register{Want: true, ID: id}); r != nil || n.id != id || n.inc <= inc {
		t.Fatalf("%v: node %d, incarnation %d, it was %d of %d", r, n.id, n.inc, inc, id)
	}
	if n.admission.Token != 1 {
		t.Error("the token is", n.admission.Token)
	}
	if tokens := tr.Registry.Tokens(); tokens[0].Uses != 1 {
		t.Errorf("a token was used: %+v", tokens)
	}
}

// A member's word of a later incarnation counts, a newcomer's and that of an expired member do not.
// The word of one that is far ahead of the registry's clock counts for nothing, however often.
func TestOnlyMembersTellOfIncarnations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithSecurity(time.Hour))
		n := newProcess(t, tr.Net, lineOf(t, tr))
		ahead := func(d uint64) uint64 { return uint64(time.Now().UnixNano()) + d }
		seen := ahead(1 << 40)
		tell := func(r *control.Register) { r.Seen = seen }
		if n.join(tell); n.inc >= seen {
			t.Errorf("a newcomer was believed: incarnation %d", n.inc)
		}
		again := func(d uint64) {
			t.Helper()
			seen = ahead(d)
			if r := n.comeBack(control.Register{Want: true, ID: n.id, Seen: seen}); r != nil {
				t.Fatal(r)
			}
		}
		if again(1 << 40); n.inc <= seen || n.inc > seen+1<<32 {
			t.Errorf("a member told of %d, and got incarnation %d", seen, n.inc)
		}
		if again(1 << 52); n.inc <= seen || n.inc > seen+1<<32 {
			t.Errorf("a member told of %d, and got incarnation %d", seen, n.inc)
		}
		for _, d := range []uint64{1 << 54, 1<<60 - 1, 1 << 63} {
			if again(d); n.inc >= ahead(1<<54) {
				t.Errorf("a member told of %d, and got incarnation %d", seen, n.inc)
			}
		}
		time.Sleep(time.Hour)
		seen = ahead(1<<53 - 1<<40)
		if err := n.dial(); err != nil {
			t.Fatal(err)
		}
		if r := n.ask(control.Register{Proof: n.proveSecret(n.line.Secret), Seen: seen}); r != nil || n.inc >= seen {
			t.Errorf("%v: an expired member was believed: incarnation %d", r, n.inc)
		}
	})
}

// Admissions are renewed at half their time, behind the answer to a heartbeat; one that has expired
// needs the join line.
func TestRenewalAndExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithSecurity(time.Hour))
		n := newProcess(t, tr.Net, lineOf(t, tr)).join()
		first, firstBytes := n.admission, n.Credentials.Admission
		beat := func() {
			t.Helper()
			if err := n.conn.Send(control.TypeBeat, control.Beat{Every: 1}); err != nil {
				t.Fatal(err)
			}
			if err := n.next(control.TypeBeatAnswer, &control.BeatAnswer{}); err != nil {
				t.Fatal(err)
			}
		}
		for time.Now().Before(first.Since.Add(30*time.Minute - 10*time.Second)) {
			beat()
			time.Sleep(10 * time.Second)
		}
		time.Sleep(10 * time.Second)
		beat()
		var renewed control.Admission
		if err := n.next(control.TypeAdmission, &renewed); err != nil {
			t.Fatal(err)
		}
		n.admit(renewed.Admission)
		if got := n.admission.Until.Sub(first.Until); got < 30*time.Minute || got > 31*time.Minute {
			t.Errorf("renewed by %v", got)
		}
		beat() // it is not renewed twice
		// A member that does not take it is not cut, and gets others.
		for range 720 {
			time.Sleep(10 * time.Second)
			if err := n.conn.Send(control.TypeBeat, control.Beat{Every: 1}); err != nil {
				t.Fatal(err)
			}
			n.until(control.TypeBeatAnswer, &control.BeatAnswer{})
			synctest.Wait()
		}
		if len(tr.Registry.Members()) != 1 {
			t.Error("the member was cut")
		}
		if got := tr.Registry.Snapshot().Members[0].Admission.Since.Sub(first.Since); got < 2*time.Hour {
			t.Errorf("the latest renewal came after %v", got)
		}
		n.show(firstBytes)
		refusedFor(t, tr, n.comeBack(n.resume()), control.CodeCredentials, status.RefusedExpired, "has expired")
		refusedFor(t, tr, n.comeBack(control.Register{}), control.CodeCredentials, status.RefusedExpired, "join line")
		n.join()
	})
}

// A node that answers a probe with an admission that is worth nothing is known by its key: it may be
// about to get another.
func TestProbesGoByTheKey(t *testing.T) {
	tr := secureRing(t)
	n := newProcess(t, tr.Net, lineOf(t, tr))
	if err := n.dial(); err != nil {
		t.Fatal(err)
	}
	a := secure.Admission{Ring: 1, ID: 2, Incarnation: 3, Since: time.Unix(1, 0), Until: time.Unix(2, 0), Key: secure.KeyOf(n.Key)}
	n.show(a.Sign(n.Key))
	if r := n.ask(control.Register{Proof: n.proveSecret(n.line.Secret)}); r != nil {
		t.Error(r)
	}
}
