package office

import (
	"testing"
	"time"
)

// quiet is a registry that keeps what it is told.
type quiet struct {
	ops     []Op
	entered []Tenure
}

func (q *quiet) Do(op Op)                 { q.ops = append(q.ops, op) }
func (q *quiet) Entered(t Tenure)         { q.entered = append(q.entered, t) }
func (q *quiet) Raised(Term)              {}
func (q *quiet) Left(string, string)      {}
func (q *quiet) SendState(string, uint64) {}
func (q *quiet) GoesOn(string)            {}

func (q *quiet) last() Op { return q.ops[len(q.ops)-1] }

func at(d time.Duration) Clocks { return Clocks{time.Hour + d, time.Hour + d} }

const ttl = 10 * time.Second

// standby returns one with a lease that was granted at a time.
func standby(now time.Duration) (*Office, *quiet) {
	q := &quiet{}
	o := New(Config{Addr: "a", TTL: ttl, Draw: func() uint64 { return 7 }}, q, at(now))
	o.Advance(at(now))
	o.Answer(at(now), Answer{Number: q.last().Number, OK: true, Lease: 1})
	return o, q
}

// read answers the Read under way with an office that is its own.
func read(o *Office, q *quiet, now time.Duration, r Record) {
	o.Answer(at(now), Answer{Number: q.last().Number, OK: true, Snapshot: Snapshot{Office: r, OfficeRev: 1, Term: r.Term, TermRev: 1}})
}

// Short suspensions add up.
func TestRuleSuspensions(t *testing.T) {
	o, q := standby(0)
	read(o, q, 0, Record{Lease: 1, Term: 5})
	now := at(0)
	for range 10 {
		now.Wall += ttl * 94 / 1000
		now.Mono += ttl * 70 / 1000
		o.Advance(now)
	}
	if o.MayDecide(now) {
		t.Error("it decides when the TTL is over")
	}
}

// Only the state that the store names is used.
func TestRuleState(t *testing.T) {
	for nonce, handed := range map[uint64]bool{3: true, 4: false, 0: false} {
		o, q := standby(0)
		o.Receive(at(0), 3)
		read(o, q, 0, Record{Lease: 1, Term: 5, Nonce: nonce})
		if len(q.entered) != 1 || q.entered[0].Handed != handed {
			t.Errorf("nonce %d: %+v", nonce, q.entered)
		}
	}
}

// Own books count for little more than a TTL.
func TestRuleOwnBooks(t *testing.T) {
	for after, own := range map[time.Duration]bool{ttl: true, 2 * ttl: false} {
		o, q := standby(0)
		read(o, q, 0, Record{Lease: 1, Term: 5})
		o.Resign("")
		o.Stand()
		o.Advance(at(after))
		o.Answer(at(after), Answer{Number: q.last().Number, OK: true, Lease: 2})
		read(o, q, after, Record{Lease: 2, Term: 6, Before: 5})
		if len(q.entered) != 2 || q.entered[1].Own != own {
			t.Errorf("after %v: %+v", after, q.entered)
		}
	}
}

// What is being written is not kept yet, also if it is what was there before.
func TestRuleRing(t *testing.T) {
	o, q := standby(0)
	read(o, q, 0, Record{Lease: 1, Term: 5})
	o.SetRing(at(0), Ring{"x", true})
	if o.SetRing(at(0), Ring{}); q.last().Kind != PutRing || o.RingKept() {
		t.Error("a write is under way")
	}
}

// Books that are not whole have a grace.
func TestRuleBooks(t *testing.T) {
	for _, settled := range []bool{false, true} {
		if d := NewDesk(Tenure{Term: 2, Own: true, Ring: Ring{"x", false}}, State{"x", settled}, time.Second, time.Hour); d.Recovering() == settled {
			t.Errorf("settled %v", settled)
		}
	}
}

// If none came back, there are two leases more, and the first that comes starts a whole grace.
func TestRuleSecondGrace(t *testing.T) {
	d := NewDesk(Tenure{Term: 2, Ring: Ring{"x", false}}, State{}, time.Second, 0)
	if d.GraceOver(2*time.Second) || d.GraceOver(3900*time.Millisecond) {
		t.Fatal("the grace ends without a member")
	}
	if d.Back(3900*time.Millisecond, time.Second); d.GraceOver(5800*time.Millisecond) || !d.GraceOver(5900*time.Millisecond) {
		t.Error("no whole grace")
	}
}

// Two standbys that name each other do not keep a node from the third.
func TestRuleRedirect(t *testing.T) {
	f := NewFinder([]string{"a", "b", "c"}, time.Second, func(time.Duration) time.Duration { return 0 })
	for range 6 {
		switch f.Next(0).Addr {
		case "a":
			f.Redirected("b")
		case "b":
			f.Redirected("a")
		case "c":
			return
		}
	}
	t.Error("the third was not asked")
}

// The clock is a floor, unless it is ten years ahead of something.
func TestRuleTerms(t *testing.T) {
	const year = 365 * 24 * time.Hour
	at := 56 * year
	for _, c := range []struct{ stored, want Term }{
		{0, floor(at)}, {floor(at) - 5, floor(at)}, {floor(at) + 5, floor(at) + 6}, {1, 2}, {MaxTerm, 0},
	} {
		if got, more := NextTerm(c.stored, at); got != c.want || more != (got != 0) {
			t.Errorf("after %d: %d, want %d", c.stored, got, c.want)
		}
	}
	if Plausible(floor(at)+2*tenYears, 1, at) || !Plausible(floor(at)+5, 1, at) {
		t.Error("a term of a liar, or of a member")
	}
}
