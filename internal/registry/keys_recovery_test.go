package registry_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
)

// back lets a member of an earlier registry come back.
func (r keyRig) back(t *testing.T, id uint64, seen uint64, keys ...string) *teller {
	t.Helper()
	p := newImpostor(t, r.Net.Host("raw"), "raw:0")
	p.token.Store(id)
	m := &teller{token: id, addr: p.addr, Ref: ring.Ref{ID: id, Incarnation: 1000 + id}}
	if refused := m.again(t, r, seen, keys...); refused != nil {
		t.Fatalf("refused: %+v", refused)
	}
	return m
}

// again lets it come back over another connection.
func (m *teller) again(t *testing.T, r keyRig, seen uint64, keys ...string) *control.Refused {
	t.Helper()
	m.RawConn = r.DialRaw(t)
	return m.Ask(control.TypeRegister, control.Register{Addr: m.addr, Token: m.token, ID: m.ID, Incarnation: m.Incarnation, Seen: seen, Epoch: 5, Size: 2, Ready: true, Keys: keys})
}

// live lets members live on for a time.
func live(t *testing.T, d time.Duration, members ...*teller) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Second) {
		for _, m := range members {
			m.answers(t)
		}
	}
	synctest.Wait()
}

// A registry that is set up by hand has no grace before the first member is back. Newcomers may be faster, and get
// nothing of what the members of the earlier ring hold.
func TestNewcomersBeforeThoseOfAnEarlierRing(t *testing.T) {
	inKeyRig(t, func(t *testing.T, r keyRig) {
		newcomer := r.joins(t, 1, "a")
		newcomer.reports("a", arc.Report{})
		newcomer.answers(t)
		old := r.back(t, 7, 0, "a")
		old.reports("a", arc.Report{Held: []arc.Held{{Arc: arc.Ring, Term: 500}}})
		old.answers(t)
		if got := r.owners("a"); len(got) != 0 {
			t.Errorf("in the grace the holders are %d", got)
		}
		live(t, 3*time.Minute, newcomer, old)
		if got := r.owners("a"); !slices.Equal(got, []uint64{old.Incarnation}) {
			t.Errorf("the holders are %d, want %d", got, old.Incarnation)
		}
	})
}

// A member of an earlier ring that comes back again and again, and does not report, holds up the others for a
// bounded time. So do newcomers that do not report: not at all.
func TestMembersThatDoNotReport(t *testing.T) {
	inKeyRig(t, func(t *testing.T, r keyRig) {
		good, bad := r.back(t, 7, 0, "a"), r.back(t, 8, 0, "a")
		good.reports("a", arc.Report{Held: []arc.Held{{Arc: arc.Ring, Term: 500}}})
		begun := time.Now()
		for time.Since(begun) < time.Hour && len(r.owners("a")) == 0 {
			live(t, 20*time.Second, good)
			if bad != nil && bad.again(t, r, 0, "a") != nil {
				bad = nil
			}
		}
		if after := time.Since(begun); after < 4*time.Minute || after > 11*time.Minute || bad != nil && bad.again(t, r, 0, "a") == nil {
			t.Errorf("there are holders after %v", after)
		}
	})
	inKeyRig(t, func(t *testing.T, r keyRig) {
		good, bad := r.back(t, 7, 0, "a", "b"), r.back(t, 8, 0, "a")
		good.reports("a", arc.Report{Held: []arc.Held{{Arc: arc.Ring, Term: 500}}})
		live(t, 130*time.Second, good, bad) // after the grace
		newcomer := r.joins(t, 1, "a")
		bad.reports("a", arc.Report{})
		live(t, time.Second, good, bad, newcomer)
		if got := r.owners("a"); !slices.Equal(got, []uint64{good.Incarnation}) {
			t.Errorf("the holders are %d, want %d", got, good.Incarnation)
		}
	})
}

// The terms of a registry are greater than those in the reports that it has adopted, also if no Register has named
// them. A member whose terms leave no room is over.
func TestTermsCountOnFromReports(t *testing.T) {
	inKeyRig(t, func(t *testing.T, r keyRig) {
		const latest = control.MaxIncarnation + 1<<40
		old, liar := r.back(t, 7, control.MaxIncarnation, "a"), r.back(t, 8, 0, "a")
		old.reports("a", arc.Report{Held: []arc.Held{{Arc: arc.Ring, Term: latest}}})
		liar.reports("a", arc.Report{Given: []arc.Held{{Arc: arc.Ring, Term: 1<<64 - 1}}})
		if refused, _ := liar.ended(t); refused != control.CodeEvicted {
			t.Errorf("a liar was refused with %d", refused)
		}
		live(t, 130*time.Second, old)
		newcomer := r.joins(t, 1, "a")
		newcomer.reports("a", arc.Report{})
		grants := 0
		for grants < 8 {
			typ, body, err := newcomer.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if typ != control.TypeNote {
				continue
			}
			var note control.Note
			if err := newcomer.Decode(body, &note); err != nil {
				t.Fatal(err)
			}
			b, err := secure.Bytes(note.Body, control.MaxNote)
			if err != nil {
				t.Fatal(err)
			}
			n, err := new(arc.NoteReader).Read(b)
			if err != nil {
				t.Fatal(err)
			}
			if n.Kind == arc.NoteFrame && n.Frame.Kind == arc.Grant {
				if grants++; n.Frame.Life != old.Incarnation || n.Frame.Term <= latest {
					t.Errorf("%+v, the holder is %d under %d", n.Frame, old.Incarnation, uint64(latest))
				}
			}
		}
	})
}
