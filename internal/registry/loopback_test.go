package registry

import (
	"slices"
	"testing"

	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/ring"
)

func TestIsLoopback(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "localhost:1": true, "a.localhost:1": true,
		"10.0.0.1:1": false, "[fe80::1%lo]:1": false, "host:1": false, "localhost.example:1": false, "nonsense": false,
	} {
		if got := dial.IsLoopback(addr); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}

// The log warns once of a member that others cannot dial, whichever of them joins first.
func TestLoopbacks(t *testing.T) {
	var l loopbacks
	ref := func(id uint64) ring.Ref { return ring.Ref{ID: id, Incarnation: 1} }
	put := func(id uint64, addr string, want ...uint64) {
		t.Helper()
		var got []uint64
		for _, r := range l.put(ref(id), addr) {
			got = append(got, r.ID)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%d at %s: warned of %v, want %v", id, addr, got, want)
		}
	}
	put(1, "127.0.0.1:1")
	put(2, "[::1]:1")
	put(3, "10.0.0.1:1", 1, 2)
	put(4, "localhost:1", 4)
	put(4, "localhost:1") // it is back
	put(5, "10.0.0.2:1")
	l.drop(ref(3))
	put(6, "127.0.0.1:2", 6)
	l.drop(ref(5))
	put(7, "127.0.0.1:3") // all are of this machine
	put(7, "10.0.0.3:3")  // it moves; the others were warned of
	put(7, "127.0.0.1:3") // and back
	if l.others != 0 {
		t.Errorf("%d are elsewhere", l.others)
	}
	for id := range uint64(8) {
		l.drop(ref(id))
	}
	if len(l.isLoopback)+len(l.warned)+l.others != 0 {
		t.Errorf("%+v is left", l)
	}
}
