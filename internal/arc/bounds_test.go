package arc

import "testing"

// quiet is an output that counts frames by kind.
type quiet struct {
	frames  [Closed + 1]int
	refused []uint64
}

func (q *quiet) Send(_ uint64, f Frame)    { q.frames[f.Kind]++ }
func (q *quiet) Tell(f Frame)              { q.frames[f.Kind]++ }
func (q *quiet) Handle(Message)            {}
func (q *quiet) Give(uint64, Arc)          {}
func (q *quiet) Take(uint64, Arc, []byte)  {}
func (q *quiet) Resume(Arc)                {}
func (q *quiet) Drop(Arc, bool)            {}
func (q *quiet) Left()                     {}
func (q *quiet) Over()                     {}
func (q *quiet) Guess(uint64) uint64       { return 1 }
func (q *quiet) Reachable(uint64) bool     { return true }
func (q *quiet) Answered(uint64, []byte)   {}
func (q *quiet) Unknown(uint64)            {}
func (q *quiet) Later()                    {}
func (q *quiet) Refused(life uint64)       { q.refused = append(q.refused, life) }
func (q *quiet) Orders(_ uint64, _ Orders) {}

// told is an output of an authority.
type told struct{ *quiet }

func (t told) Tell(_ uint64, f Frame) { t.frames[f.Kind]++ }

func TestSourceBounds(t *testing.T) {
	s := NewSource(&quiet{})
	if !s.Room(maxBodies + 1) {
		t.Error("no room for a message longer than the bound, alone")
	}
	s.Send(1, make([]byte, maxBodies), false)
	if s.Room(1) {
		t.Error("room beyond maxBodies")
	}
	s = NewSource(&quiet{})
	for range maxUnanswered {
		if !s.Room(0) {
			t.Fatalf("no room after %d messages", s.Unanswered())
		}
		s.Send(1, nil, false)
	}
	if s.Room(0) {
		t.Error("room beyond maxUnanswered")
	}
	for i := range uint64(maxKnown - 2) { // of two lives in turn: no piece is like the next
		s.Handle(2+i%2, Frame{Kind: Is, Arc: Arc{10 + i, 10 + i}, Term: i + 1})
	}
	if n := s.known.size(); n != maxKnown {
		t.Errorf("%d known arcs", n)
	}
	s.Handle(2, Frame{Kind: Is, Arc: Arc{1, 1}, Term: maxKnown})
	if n := s.known.size(); n != 3 {
		t.Errorf("%d known arcs beyond maxKnown", n)
	}
}

func TestOwnerBounds(t *testing.T) {
	out := &quiet{}
	o := NewOwner(out)
	o.Report()
	o.Orders(Orders{Pull: []Order{{Held{Ring, 5}, 9}}})
	for point := range uint64(maxParked) {
		o.Handle(7, Frame{Kind: Ask, Point: point})
	}
	if len(o.parked) != maxParked || out.frames[No] != 0 {
		t.Fatalf("%d asks wait, %d are answered No", len(o.parked), out.frames[No])
	}
	if o.Handle(7, Frame{Kind: Ask, Point: maxParked}); len(o.parked) != maxParked || out.frames[No] != 1 {
		t.Errorf("at the bound: %d asks wait, %d are answered No", len(o.parked), out.frames[No])
	}
	o.Handle(9, Frame{Kind: Give, Arc: Ring, Term: 5})
	o.TookState(1, true)
	if len(o.parked) != 0 || out.frames[Is] != maxParked {
		t.Errorf("when it holds: %d asks wait, %d are answered", len(o.parked), out.frames[Is])
	}
	for i := range uint64(maxQueued) {
		if !o.Room() {
			t.Fatalf("no room after %d messages", i)
		}
		o.Handle(7, Frame{Kind: Msg, Point: i % 3, Term: 5, Seq: i})
	}
	if o.Room() {
		t.Error("room beyond maxQueued")
	}
}

// Pulls of hostile lives, which no Grant follows, cost memory up to a bound.
func TestPullBounds(t *testing.T) {
	o := NewOwner(&quiet{})
	o.Report()
	o.Orders(Orders{})
	for i := range uint64(maxPieces + 100) {
		o.Handle(7, Frame{Kind: Pull, Arc: Arc{i, i}, Term: i + 1})
	}
	if n := o.pulls.size(); n > maxPieces+2 {
		t.Errorf("%d pieces", n)
	}
	if o.Gone(7); !o.pulls.zero() {
		t.Errorf("%d pieces of a life that has ended", o.pulls.size())
	}
}

// A life with holdings of which a registry knows nothing is over.
func TestReportAfterTheGrace(t *testing.T) {
	out := told{&quiet{}}
	term := uint64(0)
	a := NewAuthority(func() uint64 { term++; return term }, true, out)
	a.Report(Member{1, []uint64{5}}, Report{Held: []Held{{Ring, 3}}})
	a.Recovered()
	a.Report(Member{2, []uint64{9}}, Report{Held: []Held{{Ring, 2}}})
	if len(out.refused) != 1 || out.refused[0] != 2 || a.owners[2] != nil {
		t.Errorf("refused %v", out.refused)
	}
	if s := a.arcs.at(7); s != (state{holder: 1, term: 3}) {
		t.Errorf("%+v", s)
	}
}
