package registry_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/secure"
)

// frames returns the kinds of the notes that come before the answer to a heartbeat.
func (m *teller) frames(t *testing.T) (all []arc.Kind) {
	t.Helper()
	m.Send(control.TypeBeat, control.Beat{Every: 1})
	var reader arc.NoteReader
	for {
		typ, body, err := m.Recv()
		switch {
		case err != nil:
			t.Fatalf("the connection has ended: %v", err)
		case typ == control.TypeBeatAnswer:
			return all
		case typ == control.TypeNote:
			var note control.Note
			if err := m.Decode(body, &note); err != nil {
				t.Fatal(err)
			}
			text, err := secure.Bytes(note.Body, control.MaxNote)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := reader.Read(text); err == nil && n.Kind == arc.NoteFrame {
				all = append(all, n.Frame.Kind)
			}
		}
	}
}

// The last owner does not retire while a newcomer has not reported: it gives to that one. If the newcomer
// only sends, the last one has retired.
func TestLastOwnerWaitsForNewcomers(t *testing.T) {
	for name, says := range map[string]func(m *teller){
		"owner":  func(m *teller) { m.reports("a", arc.Report{}) },
		"source": func(m *teller) { m.note("a", arc.ReportNotes(0, false, arc.Report{})[0]) },
	} {
		inKeyRig(t, func(t *testing.T, r keyRig) {
			last := r.joins(t, 1, "a")
			last.reports("a", arc.Report{})
			last.frames(t)
			newcomer := r.joins(t, 2, "a")
			last.note("a", arc.AppendNote(nil, arc.Frame{Kind: arc.Retire}))
			if slices.Contains(last.frames(t), arc.Retired) {
				t.Errorf("%s: the last owner has retired before the newcomer has reported", name)
			}
			says(newcomer)
			synctest.Wait()
			if got := slices.Contains(last.frames(t), arc.Retired); got != (name != "owner") {
				t.Errorf("%s: the last owner has retired is %v", name, got)
			}
			if keys := r.reg.Keys(); name == "owner" && (len(keys) != 1 || keys[0].Moving == 0) {
				t.Errorf("%s: %+v", name, keys)
			}
		}, ringdht.WithSelfSetup(2), ringdht.WithGrace(time.Millisecond))
	}
}
