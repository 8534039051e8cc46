package broadcast

import (
	"fmt"
	"slices"
)

// judge knows all, and compares what members get with what was promised.
type judge struct {
	w   *world
	err error
	at  map[*proc]*account

	delivered, missed int
}

// account is what a member has got from others.
type account struct {
	of       *proc
	stood    bool
	standAt  int               // the how many-th it was
	entitled map[uint64]uint64 // from this number on: 1 for those that joined later, 0 for none
	last     map[uint64]uint64
}

const noMessage = 1 << 60 // entitled to nothing

func (j *judge) fail(format string, args ...any) {
	if j.err == nil {
		j.err = fmt.Errorf(format, args...)
	}
	j.w.log("JUDGE: "+format, args...)
}

func (j *judge) joined(p *proc) {
	j.at[p] = &account{of: p, entitled: map[uint64]uint64{}, last: map[uint64]uint64{}}
}

// first is the number from which on a member must get the messages of another.
func (a *account) first(of *proc) uint64 {
	switch n, ok := a.entitled[of.Incarnation]; {
	case !a.stood || !a.of.listed():
		return noMessage
	case ok:
		return n
	}
	return 1
}

func content(from, number uint64) string { return fmt.Sprintf("message %d of %d", number, from) }

// Deliver is [Output].
func (p *proc) Deliver(from Member, number, missed uint64, body []byte) {
	j, a := p.w.judge, p.w.judge.at[p]
	j.w.log("%v gets %d of %v, missed %d", p, number, from, missed)
	first := a.first(p.w.byInc[from.Incarnation])
	last, begun := a.last[from.Incarnation]
	if string(body) != content(from.Incarnation, number) {
		j.fail("%v: message %d of %v is %q", p, number, from, body)
	}
	switch {
	case begun && number <= last:
		j.fail("%v gets %d of %v after %d", p, number, from, last)
	case begun && number != last+1+missed:
		j.fail("%v gets %d of %v after %d, and was told of %d missed", p, number, from, last, missed)
	case begun && missed > 0 && number > first:
		j.fail("%v misses messages before %d of %v, and must get all from %d on", p, number, from, first)
	case !begun && missed > 0:
		j.fail("%v gets %d of %v first, and missed %d before", p, number, from, missed)
	case !begun && number > first:
		j.fail("%v gets %d of %v first, and must get all from %d on", p, number, from, first)
	}
	a.last[from.Incarnation] = number
	j.delivered++
	j.missed += int(missed)
}

// Stands is [Output].
func (p *proc) Stands() {
	j, a := p.w.judge, p.w.judge.at[p]
	j.w.log("%v stands", p)
	for _, q := range j.w.procs {
		if a.entitled[q.Incarnation] = q.published + 1; !q.listed() {
			a.entitled[q.Incarnation] = noMessage
		}
		if q != p && q.running && q.listed() && p.listed() && !q.knows(p) {
			j.fail("%v stands, and %v does not know it", p, q)
		}
	}
	for _, b := range j.at {
		if b.stood {
			a.standAt++
		}
	}
	a.stood = true
}

func (p *proc) knows(q *proc) bool { return p.n != nil && p.n.view.has(q.Member) }

func (p *proc) listed() bool {
	return slices.Contains(p.w.listed, p)
}

// Confirmed is [Output].
func (p *proc) Confirmed(number uint64) {
	p.w.log("%v: all have %d", p, number)
	if p.listed() || p.leaving {
		p.w.judge.have(p, number)
	}
}

// have checks that all members have the messages of one.
func (j *judge) have(p *proc, number uint64) {
	for _, q := range j.w.listed {
		a := j.at[q]
		if q != p && q.running && a.first(p) <= number && a.last[p.Incarnation] < number {
			j.fail("%v takes it that all have %d, and %v has %d", p, number, q, a.last[p.Incarnation])
		}
	}
}

// Settled is [Output].
func (p *proc) Settled(eldest Member) {
	j, a := p.w.judge, p.w.judge.at[p]
	j.w.log("%v: all is settled, the eldest is %v", p, eldest)
	if !p.listed() {
		return
	}
	for _, q := range j.w.listed {
		if q.running && q.joinEpoch < j.w.byInc[eldest.Incarnation].joinEpoch {
			j.fail("%v takes %v for the eldest, and %v is older", p, eldest, q)
		}
	}
	for _, of := range j.w.listed {
		before := a.first(of) - 1 // published before p stood
		if before == 0 || before >= noMessage-1 || of == p || !of.running {
			continue
		}
		for _, q := range j.w.listed {
			if b := j.at[q]; q != of && q != p && q.running && b.stood && b.standAt < a.standAt && b.first(of) <= before && b.last[of.Incarnation] < before {
				j.fail("%v takes it that %v is settled, and %v has %d, not %d", p, of, q, b.last[of.Incarnation], before)
			}
		}
	}
}

// openShares counts those that should not be left. One whose origin died while it was leaving stays:
// no node hears of that.
func (p *proc) openShares() (open int) {
	for _, s := range p.n.shares {
		if q := p.w.byInc[s.origin.Incarnation]; !q.gone || q.left {
			open++
		}
	}
	return open
}

// rest checks a world in which nothing happens any more.
func (j *judge) rest() {
	for _, p := range j.w.procs {
		if !p.running || !p.listed() {
			continue
		}
		switch {
		case !p.n.standing:
			j.fail("%v does not stand", p)
		case p.n.Unconfirmed() > 0:
			j.fail("%v has %d messages unconfirmed", p, p.n.Unconfirmed())
		case p.openShares() > 0 || len(p.n.early) > 0 || len(p.n.own.settling) > 0:
			j.fail("%v keeps %d shares, %d early ones, %d to settle", p, len(p.n.shares), len(p.n.early), len(p.n.own.settling))
			for tag, s := range p.n.shares {
				j.w.log("%v: share %d, %v, %+v", p, tag, s.child, s.duty)
			}
		case len(p.n.view) != len(j.w.listed):
			j.fail("%v has a list of %d, and there are %d", p, len(p.n.view), len(j.w.listed))
		}
		for _, q := range j.w.procs {
			a := j.at[p]
			if q == p || !q.left && !(q.running && q.listed()) {
				continue
			}
			if a.first(q) <= q.published && a.last[q.Incarnation] != q.published {
				j.fail("%v has %d of %d messages of %v", p, a.last[q.Incarnation], q.published, q)
			}
		}
		for _, s := range p.n.sources {
			q := j.w.byInc[s.Incarnation] // what was published before p stood may wait for the next message
			if q.listed() && (len(s.waiting) > 0 || len(s.held) > 0 && s.held[len(s.held)-1].number >= j.at[p].first(q)) {
				j.fail("%v holds %d messages of %v, and %d questions wait", p, len(s.held), q, len(s.waiting))
			}
		}
	}
}
