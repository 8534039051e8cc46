package office

import "time"

// Config configures an [Office].
type Config struct {
	Addr string        // where nodes find this registry
	TTL  time.Duration // of leases; see [TTLAllowed]
	Draw func() uint64 // a random number, for nonces
}

// TTLAllowed says whether a TTL fits the lease of members: a holder that is cut off has stopped,
// and nodes have noticed it, while they have the time of a grace left.
func TTLAllowed(ttl, lease time.Duration) bool { return ttl >= lease/2 }

// Output is what an [Office] tells its registry. It calls none of its methods.
type Output interface {
	Do(Op)                                // ask the store; its answer goes to Answer
	Entered(Tenure)                       // it holds the office from now on
	Raised(Term)                          // its term is this one now
	Left(why string, successor string)    // it decides nothing more, and says Bye to all nodes
	SendState(successor string, n uint64) // send the state with this nonce; its confirmation goes to Confirmed
	GoesOn(why string)                    // the hand-over was given up
}

// Tenure is how a registry has come into the office.
type Tenure struct {
	Term   Term
	Ring   Ring // as the store has it
	Own    bool // its own last term is the one before: no other registry has decided anything
	Handed bool // the state that it has confirmed is the latest
}

// Office is one registry's way into the office and out of it.
type Office struct {
	Config
	out Output

	// the lease
	lease   uint64 // 0 for none
	renewed Clocks // the sending of its last renewal that was answered
	renewal call
	looked  Clocks // the last Advance
	doubt   Clocks // when it noticed that it had stood still, until a renewal is answered
	doubts  bool

	// the store
	number uint64
	call   call // a transaction or a Read
	snap   Snapshot
	seen   Clocks // the sending of the call that brought snap; zero for none
	stale  bool   // look again now
	tried  bool   // an Elect was sent since the last Advance
	rests  bool   // it has resigned, and is not elected again

	// the tenure
	holding    bool
	term       Term   // also after the tenure
	left       Clocks // the end of the tenure
	above      Term   // its term must be above this one
	ring       Ring   // what the store should have
	ringUnsure bool   // a PutRing may still run
	hand       *handOver

	held uint64 // the nonce of the state that it has confirmed, as a standby; 0 for none
}

// call is something that was asked of the store; a number of 0 is none.
type call struct {
	Op
	sent Clocks
}

// New returns a standby that has not looked at the store yet.
func New(c Config, out Output, now Clocks) *Office {
	return &Office{Config: c, out: out, looked: now, renewed: now, stale: true}
}

// Holding says whether the registry holds the office. It may be too late for decisions.
func (o *Office) Holding() bool { return o.holding }

// Term is that of this tenure, or the last one of its own.
func (o *Office) Term() Term { return o.term }

// MayDecide says whether a decision is safe at this moment: the store cannot have given the office
// to another registry. Each decision asks, with clocks that were read for it.
func (o *Office) MayDecide(now Clocks) bool {
	return o.holding && o.hand == nil && o.inTime(now)
}

// inTime says whether the lease surely lives: it counts from the sending of what was answered.
func (o *Office) inTime(now Clocks) bool {
	return o.lease != 0 && now.Since(o.renewed) < o.TTL-o.TTL/10
}

// Known is the holder, for a node that asks a standby. It is empty if the registry has not heard of
// one within a TTL.
func (o *Office) Known(now Clocks) (addr string, term Term) {
	if r := o.snap.Office; !o.holding && r.Lease != 0 && r.Lease != o.lease && r.Addr != o.Addr && o.seen != (Clocks{}) && now.Since(o.seen) < o.TTL {
		return r.Addr, r.Term
	}
	return "", 0
}

// Hint says that the office may have changed. What a watch tells may be old, so the store is read.
func (o *Office) Hint(now Clocks) {
	o.stale = true
	o.next(now)
}

// Raise asks for a term above one that a member has brought, see [Plausible].
func (o *Office) Raise(now Clocks, above Term) {
	if o.holding && Plausible(above, o.snap.Term, now.Wall) {
		o.above = max(o.above, above)
		o.next(now)
	}
}

// SetRing says what the store should have of the ring.
func (o *Office) SetRing(now Clocks, r Ring) {
	o.ring = r
	o.next(now)
}

// RingKept says that the store has what it should, and that no late write can change it.
func (o *Office) RingKept() bool {
	return o.holding && !o.ringUnsure && o.call.Kind != PutRing && o.snap.Ring == o.ring
}

// Resign ends the tenure, so that another registry may be elected at once.
func (o *Office) Resign(why string) {
	if o.holding {
		o.leave(why, "")
	}
	o.rests = true
}

// Stand lets a registry that has resigned be elected again.
func (o *Office) Stand() { o.rests = false }

// Advance is called at least every tenth of a TTL.
func (o *Office) Advance(now Clocks) {
	stood := now.Since(o.looked) > o.TTL/4
	o.looked, o.tried = now, false
	if o.renewal.Number != 0 && now.Since(o.renewal.sent) > o.TTL/4 {
		o.renewal = call{}
	}
	if o.call.Number != 0 && now.Since(o.call.sent) > o.TTL/4 {
		o.unknown()
	}
	if o.holding && !o.inTime(now) {
		switch {
		case stood && !o.doubts: // the answer says whether the lease has outlived it
			o.doubts, o.doubt = true, now
		case !o.doubts || now.Since(o.doubt) > o.TTL/4:
			o.leave("it has not heard from the store in time", "")
		}
	}
	o.renew(now)
	o.awaitConfirmation(now)
	o.next(now)
}

// renew takes a lease, or renews it three times in a TTL, and at once when in doubt.
func (o *Office) renew(now Clocks) {
	switch {
	case o.renewal.Number != 0 && (!o.doubts || o.renewal.sent == o.doubt):
	case o.lease == 0:
		o.renewal = o.send(now, Op{Kind: Grant})
	case o.doubts || now.Since(o.renewed) >= o.TTL/3:
		o.renewal = o.send(now, Op{Kind: Renew, Lease: o.lease})
	}
}

func (o *Office) send(now Clocks, op Op) call {
	o.number++
	op.Number = o.number
	o.out.Do(op)
	return call{op, now}
}

// Answer takes an answer of the store. One that is no longer waited for is ignored.
func (o *Office) Answer(now Clocks, a Answer) {
	switch {
	case a.Number == 0:
	case a.Number == o.renewal.Number:
		o.renewalAnswered(a)
	case a.Number == o.call.Number && a.Unknown:
		o.unknown()
	case a.Number == o.call.Number:
		c := o.call
		o.call = call{}
		o.snap, o.seen = a.Snapshot, c.sent
		o.answered(now, c.Op, a.OK)
	}
	o.next(now)
}

func (o *Office) renewalAnswered(a Answer) {
	c := o.renewal
	o.renewal = call{}
	switch {
	case a.Unknown:
	case c.Kind == Grant:
		o.lease, o.renewed = a.Lease, c.sent
	case a.OK:
		o.renewed, o.doubts = c.sent, false
	case o.holding:
		o.leave("its lease has ended", "")
	default:
		o.lease = 0
	}
}

// unknown gives a call up. What it wanted may still happen.
func (o *Office) unknown() {
	switch o.call.Kind {
	case PutRing:
		o.ringUnsure = true
	case Put:
		if o.hand != nil && o.call.Record.Lease != o.lease {
			o.hand.unsure = true
		}
	}
	o.call, o.stale = call{}, true
}

// answered takes the answer to a Read or a transaction.
func (o *Office) answered(now Clocks, op Op, ok bool) {
	o.stale = false
	r := o.snap.Office
	mine := r.Lease != 0 && r.Lease == o.lease
	switch {
	case !o.holding:
		if mine && o.inTime(now) {
			o.enter(now, r)
		}
	case !mine && op.Kind == Put && o.hand != nil && r.Nonce == o.hand.nonce:
		o.leave("it has handed the office over", o.hand.to)
	case !mine:
		o.leave("the store has another holder, or none", "")
	default:
		o.confirmed(op, ok)
		if op.Kind == PutRing && ok {
			o.ringUnsure = false
		}
		if r.Term > o.term {
			o.term = r.Term
			o.out.Raised(o.term)
		}
	}
}

// enter begins a tenure. Its own state counts for little more than a TTL: a restored store may not know
// of the tenures since. No call from before it can change the office now: an Elect needs it free.
func (o *Office) enter(now Clocks, r Record) {
	t := Tenure{Term: r.Term, Ring: o.snap.Ring, Own: r.Nonce == 0 && o.term != 0 && r.Before == o.term && now.Since(o.left) < o.TTL*5/4, Handed: r.Nonce != 0 && r.Nonce == o.held}
	o.holding, o.term, o.above, o.held = true, r.Term, 0, 0
	o.ring, o.ringUnsure, o.hand, o.doubts = o.snap.Ring, false, nil, false
	o.out.Entered(t)
}

// leave ends a tenure. Its lease goes with it, and so does each write of it that may be on its way.
func (o *Office) leave(why, successor string) {
	o.out.Do(Op{Kind: Revoke, Lease: o.lease})
	o.lease, o.renewal, o.call = 0, call{}, call{}
	o.holding, o.hand, o.doubts, o.stale = false, nil, false, true
	o.left = o.looked
	o.out.Left(why, successor)
}

// next asks the store for what is wanted most, if it is not busy.
func (o *Office) next(now Clocks) {
	if o.call.Number != 0 || o.lease == 0 {
		return
	}
	s := o.snap
	term, more := NextTerm(s.Term, now.Wall)
	raise := Op{Kind: Put, Lease: o.lease, OfficeRev: s.OfficeRev, Record: Record{Lease: o.lease, Addr: o.Addr, Term: max(term, o.above+1), Before: o.term}}
	switch h := o.hand; {
	case !o.holding && (o.stale || now.Since(o.seen) >= o.TTL/4):
		o.call = o.send(now, Op{Kind: Read})
	case !o.holding && s.Office.Lease == 0 && more && o.inTime(now) && !o.tried && !o.rests:
		o.call = o.send(now, Op{Kind: Elect, TermRev: s.TermRev, Record: Record{Lease: o.lease, Addr: o.Addr, Term: term, Before: s.Term}})
		o.tried = true
	case !o.holding:
	case h != nil && h.unsure, h == nil && o.above >= o.term && more:
		o.call = o.send(now, raise)
	case h != nil && h.lease != 0:
		op := raise
		op.Record.Lease, op.Record.Addr, op.Record.Nonce = h.lease, h.to, h.nonce
		o.call = o.send(now, op)
	case h == nil && (o.ringUnsure || s.Ring != o.ring):
		o.call = o.send(now, Op{Kind: PutRing, Lease: o.lease, RingRev: s.RingRev, Ring: o.ring})
	}
}
