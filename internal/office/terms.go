package office

import (
	"math"
	"time"
)

// Term numbers a tenure of the office. It has 31 bits, so that a number below it stays below 2^63.
type Term uint32

// MaxTerm is the last term.
const MaxTerm Term = 1<<31 - 1

// tenYears is how many terms the clock may be ahead of what is known.
const tenYears = Term(10 * 365 * 24 * time.Hour >> 32)

// floor is the least term that the wall clock allows: one every 4.3 s, up to the year 2262.
func floor(wall time.Duration) Term {
	return Term(max(0, wall) >> 32)
}

// NextTerm is the term after what is stored, 0 for none. The clock is a floor, so a store that was
// lost or restored does not go back. A clock more than ten years ahead is ignored, unless there is
// nothing to compare it with. It returns false if there are no terms left.
func NextTerm(stored Term, wall time.Duration) (Term, bool) {
	if stored >= MaxTerm {
		return 0, false
	}
	next := stored + 1
	if at := floor(wall); stored == 0 || at <= stored+tenYears {
		next = max(next, at)
	}
	return next, true
}

// Plausible says whether a term that a member brings may be true. One more than ten years above
// what is stored and what the clock says would use up those that are left.
func Plausible(brought, stored Term, wall time.Duration) bool {
	return brought < MaxTerm && brought <= max(stored, floor(wall))+tenYears
}

// Number is an epoch or a life: the n-th of a term.
func (t Term) Number(n uint32) uint64 { return uint64(t)<<32 | uint64(n) }

// TermOf is the term of an epoch or a life.
func TermOf(number uint64) Term { return Term(number >> 32) }

// Numbers gives the epochs and lives of one term.
type Numbers struct {
	Term  Term
	Epoch uint64 // the latest given, 0 for none of this term
	Life  uint64 // the same
}

// NextEpoch gives an epoch.
func (x *Numbers) NextEpoch() uint64 {
	x.Epoch = max(x.Epoch, x.Term.Number(0)) + 1
	return x.Epoch
}

// NextLife gives a life to a newcomer that knows of others. Those of a higher term have raised this
// one before, see [Desk.Meet].
func (x *Numbers) NextLife(seen uint64) uint64 {
	if TermOf(seen) == x.Term {
		x.Life = max(x.Life, seen)
	}
	x.Life = max(x.Life, x.Term.Number(0)) + 1
	return x.Life
}

// UsedUp says that the term should be raised before its numbers end.
func (x *Numbers) UsedUp() bool {
	const most = math.MaxUint32 - 1<<20
	return uint32(x.Epoch) > most || uint32(x.Life) > most
}

// Clocks is one look at both clocks of a machine. The monotonic one stands still while the machine is
// suspended. The wall clock may be set.
type Clocks struct{ Mono, Wall time.Duration }

// Since is the time from an earlier look, by the clock on which it is longer.
func (c Clocks) Since(earlier Clocks) time.Duration {
	return max(c.Mono-earlier.Mono, c.Wall-earlier.Wall)
}
