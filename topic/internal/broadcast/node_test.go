package broadcast

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/x/ringdht/internal/leaks"
)

func TestMain(m *testing.M) { leaks.Main(m) }

// A split gives each member of a range to one child, and the tree that comes of it has the depth of
// a binary logarithm, from wherever it starts and wherever it ends.
func TestSplit(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var v view
		for range 1 + rng.IntN(100) {
			v = v.with(Member{rng.Uint64N(400), rng.Uint64()})
		}
		reached := map[uint64]int{}
		depth := 0
		var walk func(from, limit uint64, at int)
		walk = func(from, limit uint64, at int) {
			depth = max(depth, at)
			v.split(from, limit, func(child Member, limit uint64) {
				reached[child.ID]++
				walk(child.ID, limit, at+1)
			})
		}
		from, limit := rng.Uint64N(400), rng.Uint64N(400) // members or not
		whole := rng.IntN(3) == 0
		if whole {
			v.splitAll(from, func(child Member, limit uint64) {
				reached[child.ID]++
				walk(child.ID, limit, 1)
			})
		} else {
			walk(from, limit, 0)
		}
		want := 0
		for _, m := range v {
			in := m.ID-from-1 < limit-from-1 && limit != from // clockwise between them
			if from > limit {
				in = m.ID > from || m.ID < limit
			}
			if whole {
				in = m.ID != from
			}
			if in {
				want++
			}
			if reached[m.ID] != map[bool]int{true: 1}[in] {
				t.Fatalf("member %d was reached %d times, in range %v: %d to %d, %v, all %v", m.ID, reached[m.ID], in, from, limit, v, whole)
			}
		}
		if depth > bits.Len(uint(want)) {
			t.Fatalf("depth %d for %d members", depth, want)
		}
	}
}

// record is an [Output] that keeps what it gets.
type record struct {
	sent      []string
	frames    []Frame
	delivered []string
}

func (r *record) Send(to uint64, f Frame) {
	f.Body = slices.Clone(f.Body)
	r.frames = append(r.frames, f)
	r.sent = append(r.sent, fmt.Sprintf("%d to %d", f.Kind, to))
}
func (r *record) Deliver(from Member, number, missed uint64, _ []byte) {
	r.delivered = append(r.delivered, fmt.Sprintf("%d of %d, missed %d", number, from.ID, missed))
}
func (r *record) Confirmed(uint64) {}
func (r *record) Stands()          {}
func (r *record) Settled(Member)   {}

// pair is a node that stands, and another member.
func pair() (*Node, *record, Member) {
	r, self, other := &record{}, Member{5, 50}, Member{9, 90}
	n := New(self, 1, []Member{self, other}, 0, r)
	n.Handle(other.ID, Frame{Kind: Confirm, Tag: 1})
	return n, r, other
}

// The log is bounded: by its messages, and by their bytes.
func TestRoom(t *testing.T) {
	n, _, other := pair()
	if !n.Room(10 * maxLogBytes) {
		t.Error("no room for one long message")
	}
	for n.Room(1) {
		n.Publish([]byte{1})
	}
	if got := n.Unconfirmed(); got != maxLog {
		t.Errorf("%d messages in the log, want %d", got, maxLog)
	}
	n.Handle(other.ID, Frame{Kind: Confirm, Tag: 2})
	if got := n.Unconfirmed(); got != maxLog-1 || !n.Room(1) || n.Room(maxLogBytes) {
		t.Errorf("%d messages in the log, room %v", got, n.Room(1))
	}
}

// What is held in front of a gap is bounded, and asked for when there is a question.
func TestHeldIsBounded(t *testing.T) {
	n, r, other := pair()
	n.Handle(other.ID, Frame{Kind: Data, Origin: other, Number: 1, Lo: 1, Limit: 5})
	for i := range uint64(maxAhead + 10) {
		n.Handle(other.ID, Frame{Kind: Data, Origin: other, Number: 3 + i, Lo: 1, Limit: 5, Body: []byte("x")})
	}
	if n.Dropped != 10 || n.heldBytes != maxAhead || len(r.delivered) != 1 {
		t.Errorf("%d dropped, %d bytes held, %v", n.Dropped, n.heldBytes, r.delivered)
	}
	r.frames = nil
	n.Handle(other.ID, Frame{Kind: Sync, Origin: other, Number: maxAhead + 12, Lo: 1, Limit: 5, Tag: 7})
	if len(r.frames) != 2 || r.frames[0].Number != 2 || r.frames[0].Last != 2 || r.frames[1].Number != maxAhead+3 || r.frames[1].Last != maxAhead+12 {
		t.Errorf("asked with %+v", r.frames)
	}
	r.frames = nil
	for _, i := range append([]uint64{2}, maxAhead+3, maxAhead+4) {
		n.Handle(other.ID, Frame{Kind: Data, Origin: other, Number: i, Lo: 1, Limit: 5, Body: []byte("x")})
	}
	for i := range uint64(8) {
		if len(r.frames) > 0 {
			t.Fatalf("answered before all is there: %+v", r.frames)
		}
		n.Handle(other.ID, Frame{Kind: Data, Origin: other, Number: maxAhead + 5 + i, Lo: 1, Limit: 5, Body: []byte("x")})
	}
	if len(r.frames) != 1 || r.frames[0].Kind != Confirm || r.frames[0].Tag != 7 || n.heldBytes != 0 || len(r.delivered) != maxAhead+12 {
		t.Errorf("answered with %+v, %d bytes held, %d delivered", r.frames, n.heldBytes, len(r.delivered))
	}
}

// What is gone is counted: in the next message.
func TestMissed(t *testing.T) {
	n, r, other := pair()
	for _, f := range []Frame{{Number: 7, Lo: 5}, {Number: 8, Lo: 8}, {Number: 12, Lo: 11}} {
		f.Kind, f.Origin, f.Limit = Data, other, 5
		n.Handle(other.ID, f)
	}
	if got := fmt.Sprint(r.delivered); got != "[7 of 9, missed 0 8 of 9, missed 0]" {
		t.Errorf("delivered %v", got)
	}
	n.Handle(other.ID, Frame{Kind: Data, Origin: other, Number: 11, Lo: 11, Limit: 5})
	if got := fmt.Sprint(r.delivered[2:]); got != "[11 of 9, missed 2 12 of 9, missed 0]" {
		t.Errorf("delivered %v", got)
	}
}

// quiet is an [Output] that does nothing.
type quiet struct{ sent int }

func (q *quiet) Send(uint64, Frame)                     { q.sent++ }
func (q *quiet) Deliver(Member, uint64, uint64, []byte) {}
func (q *quiet) Confirmed(uint64)                       {}
func (q *quiet) Stands()                                {}
func (q *quiet) Settled(Member)                         {}

// large is a node of a service with 1,000 members, with the range of half of them, and a publisher.
func large() (*Node, *quiet, Frame) {
	q, members := &quiet{}, []Member{}
	for i := range uint64(1000) {
		members = append(members, Member{i * 1000, i + 1})
	}
	f := Frame{Kind: Data, Origin: members[0], Lo: 1, Limit: members[600].ID, Body: make([]byte, 100)}
	return New(members[100], 1, members, 0, q), q, f
}

// A message that is delivered and passed on costs no allocation.
func TestHandleDoesNotAllocate(t *testing.T) {
	n, q, f := large()
	q.sent = 0
	if got := testing.AllocsPerRun(1000, func() {
		f.Number++
		n.Handle(f.Origin.ID, f)
	}); got > 0 || q.sent != 9*1001 {
		t.Errorf("%v allocations, %d sent", got, q.sent)
	}
}

// BenchmarkHandle is a message that a node passes on to 9 others, encoding included.
func BenchmarkHandle(b *testing.B) {
	n, _, f := large()
	e := &encoder{}
	n.out = e
	b.ReportAllocs()
	for b.Loop() {
		f.Number++
		n.Handle(f.Origin.ID, f)
	}
}

type encoder struct {
	quiet
	b []byte
}

func (e *encoder) Send(_ uint64, f Frame) { e.b = f.Append(e.b[:0]) }

// A question that a member cannot take up is counted.
func TestQuestionsAreBounded(t *testing.T) {
	n, _, other := pair()
	for i := range uint64(maxEarly + 3) {
		n.Handle(other.ID, Frame{Kind: Sync, Origin: other, Number: 1, Lo: 1, Limit: 5, Tag: i + 1, Epoch: 2})
	}
	if n.Refused != 3 || len(n.early) != maxEarly {
		t.Errorf("%d refused, %d wait", n.Refused, len(n.early))
	}
	n.Change(2, nil, nil, nil)
	if n.Refused != 3+maxEarly-maxWaiting || len(n.early) != 0 {
		t.Errorf("%d refused, %d wait for a list", n.Refused, len(n.early))
	}
}
