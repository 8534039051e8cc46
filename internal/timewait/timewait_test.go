package timewait

import "testing"

// The numbers of a stream are from first to end, of its own peer. No number is of an empty list.
func TestNumbers(t *testing.T) {
	var l List
	if l.Has(0, 0) {
		t.Error("an empty list has a stream")
	}
	l.Add(7, 10, 20)
	l.Add(8, 20, 20) // without a message
	for _, c := range []struct {
		peer, seq uint64
		want      bool
	}{{7, 9, false}, {7, 10, true}, {7, 20, true}, {7, 21, false}, {8, 19, false}, {8, 20, true}, {8, 21, false}, {9, 15, false}} {
		if l.Has(c.peer, c.seq) != c.want {
			t.Errorf("%+v is not so", c)
		}
	}
}

// What is remembered is bounded: the oldest is forgotten.
func TestListIsBounded(t *testing.T) {
	var l List
	for i := range uint64(3*most + 5) {
		l.Add(i, 10, 20)
		if i >= most && l.Has(i-most, 15) || i >= most-1 && !l.Has(i-most+1, 15) || !l.Has(i, 15) {
			t.Fatalf("not the latest %d, after %d", most, i+1)
		}
	}
	if len(l.streams) != most {
		t.Error(len(l.streams))
	}
}
