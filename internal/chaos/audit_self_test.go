//go:build linux

package chaos

import (
	"path/filepath"
	"strings"
	"testing"
)

// The audit finds the fault in books with one fault each.
func TestAuditFindsFaults(t *testing.T) {
	const a, b = 101, 102 // processes
	const idA, idB = 7, 9
	for _, c := range []struct {
		name   string
		killed bool // the source
		sent   uint64
		told   []uint64
		got    []uint64
		as     uint64 // the ID that b had
		want   string // in the complaints; "" for none
	}{
		{name: "exact", sent: 4, got: []uint64{1, 2, 3, 4}},
		{name: "lost at the end", sent: 4, got: []uint64{1, 2, 3}, want: "lost: 4-4"},
		{name: "lost in between", sent: 4, got: []uint64{1, 2, 4}, want: "lost: 3-3"},
		{name: "all lost", sent: 2, want: "lost: 1-2"},
		{name: "twice", sent: 4, got: []uint64{1, 2, 3, 3, 4}, want: "number 3 from a came again"},
		{name: "twice, later", sent: 4, got: []uint64{1, 2, 3, 4, 2}, want: "number 2 from a came again"},
		{name: "out of order", sent: 4, got: []uint64{1, 3, 2, 4}, want: "number 2 came after later ones"},
		{name: "never sent", sent: 2, got: []uint64{1, 2, 3}, want: "received and never accepted: 3-3"},
		{name: "honest about the loss", sent: 4, told: []uint64{3, 4}, got: []uint64{1, 2}},
		{name: "honest, and it arrived", sent: 4, told: []uint64{3, 4}, got: []uint64{1, 2, 3}},
		{name: "not all of the loss told", sent: 5, told: []uint64{4, 5}, got: []uint64{1, 2}, want: "lost: 3-3"},
		{name: "told of what was not sent", sent: 1, told: []uint64{2}, got: []uint64{1}, want: "undelivered and never accepted"},
		{name: "told twice", sent: 2, told: []uint64{2, 1, 2}, want: "undelivered twice"},
		{name: "killed source", killed: true, sent: 5, got: []uint64{1, 2}},
		{name: "killed between Send and the note", killed: true, sent: 2, got: []uint64{1, 2, 3}},
		{name: "killed source, a gap", killed: true, sent: 5, got: []uint64{1, 3}, want: "lacks 2-2"},
		{name: "killed source, a gap that was told", killed: true, sent: 5, told: []uint64{2}, got: []uint64{1, 3}},
		{name: "delivered to another node", sent: 1, got: []uint64{1}, as: 8, want: "that were for 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			source, sink := newBook(t, dir, "a"), newBook(t, dir, "b")
			for n := range c.sent {
				source.noteAccepted(a, idB, n+1)
			}
			for _, n := range c.told {
				source.noteUndelivered(a, idB, n)
			}
			for _, n := range c.got {
				sink.noteReceived(idA, 1, header{process: a, sink: idB, n: n})
			}
			if c.as == 0 {
				c.as = idB
			}
			v := audit([]account{
				{name: "a", process: a, killed: c.killed, held: []identity{{idA, 1}}, records: pages(t, dir, "a")},
				{name: "b", process: b, held: []identity{{c.as, 2}}, records: pages(t, dir, "b")},
			})
			if c.want == "" && !v.exact() || !strings.Contains(v.few(), c.want) {
				t.Errorf("want %q, got\n%s\n%s", c.want, v, v.few())
			}
			if v.accepted != c.sent {
				t.Errorf("%d accepted, want %d", v.accepted, c.sent)
			}
		})
	}
}

func TestAuditFindsCorruption(t *testing.T) {
	dir := t.TempDir()
	newBook(t, dir, "b").noteCorrupt(7, 1)
	v := audit([]account{{name: "b", process: 1, records: pages(t, dir, "b")}})
	if !strings.Contains(v.few(), "corrupt") {
		t.Errorf("got %s", v.few())
	}
	body := make([]byte, 100)
	header{process: 1, sink: 2, n: 3, at: 4}.put(body)
	if h, err := parse(body); err != nil || h != (header{1, 2, 3, 4}) {
		t.Errorf("got %v, %v", h, err)
	}
	body[50] ^= 1
	if _, err := parse(body); err == nil {
		t.Error("a flipped bit goes unnoticed")
	}
}

func TestAuditFindsAFullBook(t *testing.T) {
	dir := t.TempDir()
	b := newBook(t, dir, "b")
	for n := range uint64(bookSize/8/recordSize + 10) {
		b.noteReceived(7, 1, header{process: 1, sink: 9, n: 2 * n}) // a gap each time
	}
	v := audit([]account{{name: "b", process: 1, held: []identity{{9, 1}, {7, 1}}, records: pages(t, dir, "b")}})
	if !strings.Contains(strings.Join(v.complains, "\n"), "its book is full") {
		t.Errorf("got %s", v.few())
	}
}

func newBook(t *testing.T, dir, name string) *book {
	t.Helper()
	b, err := createBook(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.close() })
	return b
}

func pages(t *testing.T, dir, name string) []record {
	t.Helper()
	records, err := readBook(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return records
}
