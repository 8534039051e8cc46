package registry_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/internal/codec"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/memnet"
)

// teller is a member without a node behind it, which says what it likes about keys.
type teller struct {
	ringtest.RawConn
	ring.Ref
	token uint64
	addr  string
}

// keyRig is a registry with members of whom a test writes the notes.
type keyRig struct {
	*ringtest.Ring
	reg *registry.Registry
}

func inKeyRig(t *testing.T, test func(t *testing.T, r keyRig), opts ...ringdht.RegistryOption) {
	synctest.Test(t, func(t *testing.T) {
		ringtest.OpenOnly(t, "its members have no node behind them")
		tr := ringtest.New(t, memnet.New(1), append(opts, ringdht.WithLease(time.Minute))...)
		test(t, keyRig{tr, ringtest.RegistryOf(tr.Registry)})
		tr.Close()
	})
}

// joins lets a member join that opens services with keys.
func (r keyRig) joins(t *testing.T, token uint64, keys ...string) *teller {
	t.Helper()
	p := newImpostor(t, r.Net.Host("raw"), "raw:0")
	p.token.Store(token)
	m := &teller{RawConn: r.DialRaw(t), token: token, addr: p.addr}
	m.Send(control.TypeRegister, control.Register{Addr: p.addr, Token: token, Keys: keys})
	typ, body, err := m.Recv()
	var got control.Registered
	if err == nil && typ == control.TypeRegistered {
		err = m.Decode(body, &got)
	}
	if err != nil || typ != control.TypeRegistered || got.Notes != (len(keys) > 0) {
		t.Fatalf("type %d, %v: %+v", typ, err, got)
	}
	m.Ref = ring.Ref{ID: got.ID, Incarnation: got.Incarnation}
	return m
}

func (m *teller) note(service string, body []byte) {
	m.Send(control.TypeNote, control.Note{Service: service, Body: secure.Text(body)})
}

// reports lets it report as an owner.
func (m *teller) reports(service string, r arc.Report) {
	for _, n := range arc.ReportNotes(8, true, r) {
		m.note(service, n)
	}
}

// ended reads to the end of the connection, and says with which refusal or violation.
func (m *teller) ended(t *testing.T) (refused control.Code, violation bool) {
	t.Helper()
	for {
		typ, body, err := m.Recv()
		switch {
		case err != nil:
			return refused, violation
		case typ == control.TypeViolation:
			violation = true
		case typ == control.TypeRefused:
			var r control.Refused
			if err := m.Decode(body, &r); err != nil {
				t.Fatal(err)
			}
			refused = r.Code
		}
	}
}

// answers fails the test if the registry does not answer a heartbeat.
func (m *teller) answers(t *testing.T) {
	t.Helper()
	m.Send(control.TypeBeat, control.Beat{Every: 1})
	for {
		typ, _, err := m.Recv()
		if err != nil {
			t.Fatalf("the connection has ended: %v", err)
		}
		if typ == control.TypeBeatAnswer {
			return
		}
	}
}

// owners are the lives that the registry shows as holders.
func (r keyRig) owners(service string) (all []uint64) {
	for i := range uint64(64) {
		if ref, ok := r.reg.KeyOwner(service, i<<58+1); ok && !slices.Contains(all, ref.Incarnation) {
			all = append(all, ref.Incarnation)
		}
	}
	slices.Sort(all)
	return all
}

// Notes about services that a member has not named, of a later kind, or before the report have no effect.
func TestNotesWithoutEffect(t *testing.T) {
	inKeyRig(t, func(t *testing.T, r keyRig) {
		m := r.joins(t, 1, "a")
		m.reports("b", arc.Report{})
		m.note("a", []byte{200})
		m.note("a", arc.AppendNote(nil, arc.Frame{Kind: arc.Retire}))
		m.answers(t)
		if n := r.reg.IgnoredNotes(); n != 3 || len(r.reg.Keys()) != 0 {
			t.Errorf("%d notes were ignored, and there is %+v", n, r.reg.Keys())
		}
	})
}

// What a hostile member says ends its own connection or life, and no other one's holding.
func TestHostileNotes(t *testing.T) {
	report := arc.ReportNotes(8, true, arc.Report{})[0]
	took := func(life, term uint64) []byte {
		return arc.AppendNote(nil, arc.Frame{Kind: arc.Took, Arc: arc.Ring, Term: term, Life: life})
	}
	for _, c := range []struct {
		name      string
		say       func(m *teller, victim uint64)
		ends      bool
		violation bool
		refused   control.Code
	}{
		{"no base64", func(m *teller, _ uint64) { m.Send(control.TypeNote, control.Note{Service: "a", Body: "~~~"}) }, true, true, 0},
		{"half a report", func(m *teller, _ uint64) { m.note("a", report[:2]) }, true, true, 0},
		{"a long frame", func(m *teller, _ uint64) { m.note("a", make([]byte, 120<<10)) }, true, false, 0}, // what it has sent behind that is not read, so it may not hear why
		{"a long body", func(m *teller, _ uint64) { m.note("a", make([]byte, control.MaxNote+1)) }, true, true, 0},
		{"what it cannot hold", func(m *teller, _ uint64) {
			m.reports("a", arc.Report{Held: []arc.Held{{Arc: arc.Ring, Term: 1 << 62}}})
		}, true, false, control.CodeEvicted},
		{"took what moves to others", func(m *teller, victim uint64) {
			m.reports("a", arc.Report{})
			for term := range uint64(1000) {
				m.note("a", took(victim, term))
			}
		}, false, false, 0},
		{"left without being told", func(m *teller, _ uint64) {
			m.note("a", report)
			m.note("a", arc.AppendNote(nil, arc.Frame{Kind: arc.Left}))
		}, false, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inKeyRig(t, func(t *testing.T, r keyRig) {
				victim, m := r.joins(t, 1, "a"), r.joins(t, 2, "a")
				victim.reports("a", arc.Report{})
				victim.answers(t)
				c.say(m, victim.Incarnation)
				if c.ends {
					if refused, violation := m.ended(t); refused != c.refused || c.violation && !violation {
						t.Errorf("it was refused with %d, a violation: %v", refused, violation)
					}
				} else {
					m.answers(t)
				}
				synctest.Wait()
				victim.answers(t)
				if got := r.owners("a"); !slices.Equal(got, []uint64{victim.Incarnation}) {
					t.Errorf("the holders are %d, the victim is %d", got, victim.Incarnation)
				}
			}, ringdht.WithSelfSetup(2), ringdht.WithGrace(time.Millisecond))
		})
	}
}

// Reports that are never whole cost a bounded amount of memory, of one member and of all, and end the
// connections of those that send them.
func TestHalfReportsAreBounded(t *testing.T) {
	inKeyRig(t, func(t *testing.T, r keyRig) {
		const most, mostAll = 1 << 20, 2 << 20
		r.reg.BoundNoteParts(most, mostAll)
		var held []arc.Held
		for i := range uint64(12_000) {
			held = append(held, arc.Held{Arc: arc.Arc{First: i << 40, Last: i << 40}, Term: 1})
		}
		parts := arc.ReportNotes(8, true, arc.Report{Held: held})
		parts = parts[:len(parts)-1]
		var names []string
		for i := range control.MaxKeys {
			names = append(names, fmt.Sprintf("s%02d", i))
		}
		var members []*teller
		byAll := 0 // members that were within their own bound
		for token := range uint64(8) {
			m := r.joins(t, token+1, names...)
			members = append(members, m)
			sent := 0
			for _, name := range names[:2+(token+2)%4*2] {
				for _, part := range parts {
					m.note(name, part)
					sent += len(part)
				}
				synctest.Wait()
			}
			if n := r.reg.NoteParts(); n > mostAll {
				t.Fatalf("%d bytes are kept", n)
			}
			if sent > most {
				m.ended(t)
			}
			r.reg.Locked(func() {
				switch s := r.reg.Session(m.Ref); {
				case s == nil && sent <= most:
					byAll++
				case s != nil && sent > most:
					t.Errorf("after %d bytes its connection lasts", sent)
				}
			})
		}
		if byAll == 0 {
			t.Error("the bound of all members did nothing")
		}
		for _, m := range members {
			r.reg.Locked(func() { r.reg.ExpelMember(m.Ref) })
		}
		r.reg.Wake()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := r.reg.NoteParts(); n != 0 {
			t.Errorf("without a member %d bytes are kept", n)
		}
	})
}

// A ring has a bounded number of services with keys. A node with more is refused, and its place is free
// when others have gone.
func TestServicesWithKeysAreBounded(t *testing.T) {
	inKeyRig(t, func(t *testing.T, r keyRig) {
		var members []*teller
		for i := range 8 {
			var names []string
			for j := range control.MaxKeys {
				names = append(names, fmt.Sprintf("s%d-%02d", i, j))
			}
			m := r.joins(t, uint64(i+1), names...)
			for _, n := range names {
				m.reports(n, arc.Report{})
			}
			m.answers(t)
			members = append(members, m)
		}
		if n := len(r.reg.Keys()); n != 128 {
			t.Errorf("there are %d services", n)
		}
		p := newImpostor(t, r.Net.Host("raw"), "raw:0")
		p.token.Store(100)
		for _, c := range []struct {
			keys []string
			code control.Code
		}{{[]string{"another"}, control.CodeFull}, {[]string{"b", "a"}, control.CodeProtocol}, {make([]string, 17), 0}} {
			m := r.DialRaw(t)
			m.Send(control.TypeRegister, control.Register{Addr: p.addr, Token: 100, Keys: c.keys})
			if code, _ := (&teller{RawConn: m}).ended(t); code != c.code {
				t.Errorf("with %q the code is %d, want %d", c.keys, code, c.code)
			}
		}
		r.joins(t, 200, "s3-00") // one that there is
		r.reg.Locked(func() { r.reg.ExpelMember(members[0].Ref) })
		r.reg.Wake()
		synctest.Wait()
		if n := len(r.reg.Keys()); n != 112 {
			t.Errorf("when a member has gone there are %d services", n)
		}
		r.joins(t, 300, "another")
	})
}

// The notes of a session count while it is attached: not after its member's end, and not after the member
// is back over another connection.
func TestNotesOfSessionsThatAreOver(t *testing.T) {
	inKeyRig(t, func(t *testing.T, r keyRig) {
		m := r.joins(t, 1, "a")
		m.reports("a", arc.Report{})
		m.answers(t)
		var first *registry.Session
		r.reg.Locked(func() { first = r.reg.Session(m.Ref) })
		next := &teller{RawConn: r.DialRaw(t)}
		if refused := next.Ask(control.TypeRegister, control.Register{Addr: m.addr, Token: 1, ID: m.ID, Incarnation: m.Incarnation, Keys: []string{"a"}}); refused != nil {
			t.Fatalf("refused: %+v", refused)
		}
		before := r.reg.IgnoredNotes()
		next.note("a", arc.AppendNote(nil, arc.Frame{Kind: arc.Retire})) // its report has not come
		next.answers(t)
		if n := r.reg.IgnoredNotes() - before; n != 1 {
			t.Errorf("a note before the report over this connection counts: %d were ignored", n)
		}
		// One that was read before the member was back, and is handled after.
		before = r.reg.IgnoredNotes()
		retire := control.Note{Service: "a", Body: secure.Text(arc.ReportNotes(8, true, arc.Report{Retiring: true})[0])}
		if err := r.reg.HandleNote(first, retire); err != nil || r.reg.IgnoredNotes() != before+1 {
			t.Errorf("a late report over the first connection counts: %v", err)
		}
		next.reports("a", arc.Report{Held: []arc.Held{{Arc: arc.Ring, Term: 5}}})
		next.answers(t)

		r.Net.Hold("registry", "raw") // so that the connection lasts
		r.reg.Locked(func() { r.reg.ExpelMember(m.Ref) })
		r.reg.Wake()
		synctest.Wait()
		if n := len(r.reg.Keys()); n != 0 {
			t.Fatalf("after the end of its member there are %d services", n)
		}
		next.reports("a", arc.Report{})
		synctest.Wait()
		if all := r.reg.Keys(); len(all) != 0 {
			t.Errorf("a report after the end of its member counts: %+v", all)
		}
		r.Net.Release("registry", "raw")
	})
}

// A ring without keys has no authority, and no node is sent a byte for them.
func TestRingsWithoutKeys(t *testing.T) {
	inKeyRig(t, func(t *testing.T, r keyRig) {
		m := r.joins(t, 1)
		m.note("a", arc.ReportNotes(8, true, arc.Report{})[0])
		m.answers(t)
		if all := r.reg.Keys(); all != nil {
			t.Errorf("there is an authority: %+v", all)
		}
	})
	for _, by := range []control.Codec{codec.JSON{}, codec.Msgpack{}} {
		for _, v := range []any{control.Register{}, control.Registered{}, control.Manifest{}} {
			b, err := control.Encode(by, control.TypeRegister, v)
			if err != nil {
				t.Fatal(err)
			}
			for _, field := range []string{"keys", "recovery", "told_by", "back_with", "notes", "registry"} {
				if bytes.Contains(b, []byte(field)) {
					t.Errorf("%T: %T without keys has %q", by, v, field)
				}
			}
		}
	}
}
