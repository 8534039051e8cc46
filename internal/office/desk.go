package office

import "time"

// Claim is what a node says of itself when it comes.
type Claim struct {
	Identity string // of its ring; empty: it has never had one
	Life     uint64 // 0: it is a newcomer
	Epoch    uint64 // the latest that it has taken
	Seen     uint64 // the greatest life that it knows of
}

// Standing is what the holder's books say of a life.
type Standing uint8

// A life that is in no book is unknown.
const (
	Unknown Standing = iota
	Member
	Ended
)

// State is what a holder knows, beside its books.
type State struct {
	Identity string
	Settled  bool // it has all members: no grace was under way, see [Desk.State]
}

// Verdict is what becomes of a node that comes.
type Verdict uint8

// A Resumed member is in the books from now on. Wait is Refused 10, Over is 8, and Other is 11.
const (
	Admit Verdict = 1 + iota
	Resumed
	Wait
	Over
	Other
)

// Desk is the part of a holder that meets nodes: for one tenure.
type Desk struct {
	Numbers
	Lease time.Duration

	identity  string
	fixed     bool // the identity does not change: it is in the store, or the grace is over
	expected  bool // there are members, and none is back
	second    bool // their grace is over
	trusted   bool // the books are from a state, and no member has shown that they are not the latest
	grace     bool
	end       time.Duration // of the grace
	longest   time.Duration // the longest timeout of a member that is back
	graceFrom time.Duration
}

// maxGrace bounds a grace, in leases, that members prolong which bring higher and higher terms.
const maxGrace = 10

// NewDesk begins a tenure, with the state if the books are its own or were handed over. The time is
// the registry's, which may not go back. Time in which it did not run does not count.
func NewDesk(t Tenure, state State, lease, now time.Duration) *Desk {
	d := &Desk{Numbers: Numbers{Term: t.Term}, Lease: lease, identity: t.Ring.Identity, fixed: t.Ring.Identity != ""}
	switch {
	case (t.Own || t.Handed) && state.Settled:
		d.trusted = true
		d.identity, d.fixed = state.Identity, state.Identity != ""
	case d.fixed && t.Ring.Empty:
	default:
		d.expected = d.fixed
		d.Recover(now)
	}
	return d
}

// Recover begins a grace: two leases, in which no newcomer is admitted and no member is over.
func (d *Desk) Recover(now time.Duration) {
	d.grace, d.trusted, d.second = true, false, false
	d.graceFrom, d.longest = now, d.Lease
	d.end = now + 2*d.Lease
}

// Recovering says whether members may still come back.
func (d *Desk) Recovering() bool { return d.grace }

// State is what to keep, or to hand over, beside the books.
func (d *Desk) State() State { return State{d.identity, !d.grace} }

// Identity is that of the ring, empty while there is none.
func (d *Desk) Identity() string { return d.identity }

// Found gives a ring that has none an identity, before its first member. It returns false during the
// grace: a member may bring one.
func (d *Desk) Found(draw func() string) bool {
	if d.grace {
		return false
	}
	if d.identity == "" {
		d.identity = draw()
	}
	d.fixed = true
	return true
}

// Meet decides about a node that comes. If above is not 0, the term must be raised above it first:
// the node knows numbers that this term would give again, or cannot reach. A claim whose term is not
// [Plausible] does not come here.
func (d *Desk) Meet(now time.Duration, c Claim, s Standing) (v Verdict, above Term) {
	if c.Identity != "" && c.Identity != d.identity && (d.fixed || !d.grace) {
		return Other, 0
	}
	if c.Life != 0 && !d.fixed && d.grace { // a registry without an identity adopts that of the first member
		d.identity, d.fixed = c.Identity, c.Identity != ""
	}
	newest := max(c.Life, c.Epoch, c.Seen)
	mine := d.Term
	switch foreign := TermOf(newest) > mine || TermOf(newest) == mine && d.grace && s != Member || c.Epoch > max(d.Epoch, mine.Number(0)); {
	case foreign:
		if d.trusted {
			d.Recover(now) // a later holder has decided: the store was restored
		}
		if d.grace { // it comes again after the raise, which may take long
			d.end = max(d.end, min(now+d.Lease, d.graceFrom+maxGrace*d.Lease))
		}
		return Wait, TermOf(newest)
	case c.Life == 0 && d.grace:
		return Wait, 0
	case c.Life == 0:
		return Admit, 0
	case s == Member:
		return Resumed, 0
	case s == Ended:
		return Over, 0
	case d.trusted:
		d.Recover(now)
	case !d.grace:
		return Over, 0
	}
	return Resumed, 0
}

// Back notes a member that is back, and may be silent for its timeout before it looks for another
// registry.
func (d *Desk) Back(now, timeout time.Duration) {
	if !d.grace {
		return
	}
	if d.second {
		d.Recover(now)
	}
	d.expected = false
	d.longest = max(d.longest, timeout)
	d.end = max(d.end, d.graceFrom+d.longest+d.Lease)
}

// GraceOver says whether the grace ends now. If none came back to a ring that has members, they have
// two leases more, and the first that comes starts a whole grace.
func (d *Desk) GraceOver(now time.Duration) bool {
	if !d.grace || now < d.end {
		return false
	}
	if d.expected && !d.second {
		d.second, d.end = true, now+2*d.Lease
		return false
	}
	d.grace, d.expected, d.second = false, false, false
	return true
}

// RaisedTo begins to count anew.
func (d *Desk) RaisedTo(t Term) { d.Numbers = Numbers{Term: t} }
