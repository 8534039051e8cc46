package undelivered

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// rig is a Ledger with a callback that the test calls.
type rig struct {
	*Ledger
	t        *testing.T
	callback bool // of each service
	service  int  // of the next stream

	tells bool // Add has asked for a goroutine, and Returned has not ended it
	told  []Stream

	unlisted uint64 // by Returned
}

func newRig(t *testing.T, callback bool, maxBytes int) *rig {
	return &rig{Ledger: New(maxBytes), t: t, callback: callback}
}

// lost adds a stream that ended with these messages pending.
func (r *rig) lost(sink uint64, bodies ...string) (unlisted uint64) {
	r.t.Helper()
	all := func(yield func([]byte) bool) {
		b := []byte("overwritten")
		for _, text := range bodies {
			if b = append(b[:0], text...); !yield(b) {
				return
			}
		}
	}
	s := Stream{Sink: sink, Service: r.service, Messages: uint64(len(bodies)), Err: fmt.Errorf("the end of %q", bodies)}
	unlisted, tell := r.Add(s, r.callback, len(strings.Join(bodies, "")), all)
	if tell && r.tells || r.callback && !tell && !r.tells {
		r.t.Errorf("asks for a goroutine: %v, while one runs: %v", tell, r.tells)
	}
	r.tells = r.tells || tell
	return unlisted
}

// call makes the callback return from the next n streams, or from all if n is 0.
func (r *rig) call(n int, ok bool) {
	r.t.Helper()
	for i := 0; r.tells && (n == 0 || i < n); i++ {
		s := r.Next()
		var unlisted uint64
		unlisted, r.tells = r.Returned(ok)
		if r.unlisted += unlisted; ok {
			r.told = append(r.told, s)
		}
	}
}

// flush is a Flush during which nothing happens.
func (r *rig) flush(sinks ...uint64) []Stream { return r.EndFlush(r.BeginFlush(), sinks) }

// empty checks that nothing is kept.
func (r *rig) empty() {
	r.t.Helper()
	if left := r.TakeRest(); left != nil {
		r.t.Error("told again:", texts(left))
	}
	if r.entries != 0 || r.heldBytes != 0 || len(r.kept) != 0 || r.callBytes != 0 || r.calls != nil {
		r.t.Errorf("%d entries are kept, of %d bytes, and %d calls of %d", r.entries, r.heldBytes, len(r.calls), r.callBytes)
	}
}

func texts(all []Stream) (s []string) {
	for _, u := range all {
		s = append(s, fmt.Sprintf("%d: %d %s", u.Sink, u.Messages, bytes.Join(u.Bodies, []byte(","))))
	}
	return s
}

func want(t *testing.T, got []Stream, want ...string) {
	t.Helper()
	if s := texts(got); !slices.Equal(s, want) {
		t.Errorf("got %q, want %q", s, want)
	}
}

// Flush tells each stream, oldest first, and only of the sinks that it was asked about. The rest is
// for Close.
func TestFlushAndCloseShareTheStreams(t *testing.T) {
	r := newRig(t, false, 1<<20)
	r.lost(40, "a")
	r.lost(50, "b")
	r.lost(40, "c", "", "d")
	r.lost(60, "e")
	r.lost(50, "f")
	want(t, r.flush(40, 60), "40: 1 a", "40: 3 c,,d", "60: 1 e")
	want(t, r.flush(40))
	want(t, r.TakeRest(), "50: 1 b", "50: 1 f")
	r.empty()
}

// Bodies are kept within the bound, and those that are not kept are counted.
func TestBodiesAreBounded(t *testing.T) {
	r := newRig(t, false, 1500)
	big := string(make([]byte, 900))
	if n := r.lost(40, big) + r.lost(50, "x", big) + r.lost(60, "y"); n != 2 { // the second is too much
		t.Errorf("%d messages are not listed", n)
	}
	left := r.flush(50, 60)
	if want(t, left, "50: 2 ", "60: 1 y"); left[0].Bodies != nil {
		t.Error("not nil")
	}
	r.flush()
	if r.lost(50, big); r.flush()[0].Bodies == nil {
		t.Error("room was not given back")
	}
	if n := r.lost(50, big, big, big); n != 0 || len(r.flush()[0].Bodies) != 3 {
		t.Error("one stream is not kept")
	}
	r.empty()
}

// A callback that does not return keeps no more bodies than Flush would.
func TestBodiesOfCallsAreBounded(t *testing.T) {
	r := newRig(t, true, 1500)
	for i := range 5 {
		if n := r.lost(40, fmt.Sprint(i)+string(make([]byte, 599))); n != 0 {
			t.Error("Flush has them")
		}
		r.flush()
	}
	r.call(0, true)
	listed := 0
	for i, u := range r.told {
		if u.Messages != 1 || u.Err.Error()[13] != byte('0'+i) {
			t.Errorf("%.20v, not in order", u.Err)
		}
		listed += len(u.Bodies)
	}
	if len(r.told) != 5 || listed != 2 {
		t.Errorf("%d told of %d", listed, len(r.told))
	}
	r.lost(40, string(make([]byte, 600)))
	if r.call(0, true); len(r.told) != 6 || r.told[5].Bodies == nil {
		t.Error("there is no room again")
	}
	r.empty()
}

// Streams to one sink beyond the bound are added up. What the callback is told in full is not.
func TestEntriesOfASinkAreBounded(t *testing.T) {
	for _, callback := range []bool{false, true} {
		r := newRig(t, callback, 1<<20)
		unlisted := uint64(0)
		for i := range 40 {
			unlisted += r.lost(40, "x", fmt.Sprint(i))
		}
		unlisted += r.lost(50, "y")
		r.call(0, true)
		switch got := r.flush(); {
		case callback:
			if len(got) != 0 || len(r.told) != 41 || len(r.told[39].Bodies) != 2 || unlisted != 0 {
				t.Errorf("told twice, or kept: %v; %d are not listed", texts(got), unlisted)
			}
		case len(got) != 33 || got[30].Bodies == nil || got[31].Bodies != nil || got[31].Messages != 2*9 || got[31].Err.Error() != `the end of ["x" "39"]` || got[32].Sink != 50 || unlisted != 18:
			t.Errorf("%d: %v; %d are not listed", len(got), texts(got), unlisted)
		}
		r.empty()
	}
}

// All sinks together have a bound. Streams beyond it are added up and told as well: nothing vanishes.
// If the callback is stuck, they are told by Flush or Close.
func TestEntriesOfManySinksAreBounded(t *testing.T) {
	const sinks = maxEntries + 500
	for _, callback := range []bool{false, true} {
		r := newRig(t, callback, 1<<20)
		for i := range uint64(sinks) {
			r.lost(1000+i, "x", "y")
		}
		many := len(r.kept[place{many: true}])
		if r.entries-many != maxEntries || many > 2 || len(r.calls) > maxCalls {
			t.Errorf("%d entries and %d, %d calls", r.entries, many, len(r.calls))
		}
		var all []Stream
		if !callback {
			all = r.flush(1005, 1006)
			if len(all) != 3 || !all[2].Many || all[2].Sink != 0 || all[2].Messages != 2*500 || all[2].Err == nil {
				t.Errorf("%v", all)
			}
		}
		r.call(0, true)
		rest := r.TakeRest()
		messages := uint64(0)
		for _, u := range slices.Concat(all, r.told, rest) {
			messages += u.Messages
		}
		if messages != 2*sinks {
			t.Errorf("%d messages are told, want %d", messages, 2*sinks)
		}
		if callback && (len(rest) != 1 || !rest[0].Many || len(r.told) != maxCalls) {
			t.Errorf("%d by Close, %d by the callback", len(rest), len(r.told))
		}
		r.empty()
	}
}
