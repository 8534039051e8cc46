package membership

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/x/ringdht/internal/ring"
)

// judgeRelays begins and ends trials.
func (a *Authority) judgeRelays(now Time) (next Time) {
	a.limitStubs(now)
	switch stubs := len(a.stubs()); {
	case stubs == 0 && len(a.stuck) == 0:
		return 0
	case now < a.judgeAt:
		return a.judgeAt
	}
	a.judgeAt = now + a.Lease/32             // reports come in crowds
	life := 3*StuckAfter(a.Lease) + askAgain // longer than a trial
	maps.DeleteFunc(a.stuck, func(p pair, x *accusation) bool {
		return now-x.last > life || x.healed > 0 && now-x.healed > life || a.find(p.from) == nil || a.find(p.to) == nil
	})
	busy := false
	for _, m := range a.stubs() {
		switch s := m.stub; {
		case s.until == 0:
			if !a.judge(now, m) {
				busy, next = true, earliest(next, now+a.Lease/4)
			}
		case now >= s.until && a.releasedAt > 0 && now < a.releasedAt+releaseLeases*a.Lease: // if it lies, that must be told from what another does
			s.until = a.releasedAt + releaseLeases*a.Lease
			next = earliest(next, s.until)
		case now >= s.until:
			a.releasedAt = now
			a.releaseStub(now, m, "its time as a stub is over: it may relay again")
		default:
			next = earliest(next, s.until)
		}
	}
	if len(a.stuck) == 0 {
		return next
	}
	if !busy {
		a.beginTrial(now)
	}
	return earliest(next, now+a.Lease/4)
}

// judge ends the trial of a member if it is decided.
func (a *Authority) judge(now Time, m *member) (over bool) {
	s := m.stub
	healed, clean, stuck, due := 0, 0, 0, now >= s.since+StuckAfter(a.Lease)+askAgain
	all, sources := make(map[ring.Ref]bool), make(map[ring.Ref]bool)
	for _, p := range s.trial {
		switch x := a.stuck[p]; {
		case a.find(p.from) == nil || a.find(p.to) == nil:
		case x == nil || x.healed > 0:
			healed++
			all[p.from] = true
			if a.faultless(now, p, x, m) {
				clean++
				sources[p.from] = true
			}
		case x.last > s.since || !due: // else its source may have given up
			stuck++
		}
	}
	if stuck > 0 && !due {
		return false
	}
	if minHealed*healed <= healed+stuck {
		m.record.acquitted++
		m.record.spared = now + spareLeases*a.Lease<<min(m.record.acquitted-1, maxDoubling)
		a.releaseStub(now, m, "")
		return true
	}
	alone := 0 // other pairs that went on meanwhile
	for _, x := range a.stuck {
		if x.healed > s.since && !x.through {
			alone++
		}
	}
	m.record.convicted++
	leases := Time(stubLeases)
	s.pairs, s.trial = healed, nil
	s.why = fmt.Sprintf("%s of %s stood still and go on now that routes lead around it%s", count(healed, "stream"), count(len(all), "source"), blamed(append(s.blame, s.witness...)))
	if len(s.blame) == 0 && len(sources) >= minSources && !s.others && 2*clean >= healed && maxStill*stuck <= healed && maxHealed*alone <= healed {
		s.named = true
		s.why = "it passes nothing on, or not all: " + s.why + ": expel it, or stop its process"
		a.emitEvent(LedAround, m, s.why)
	} else {
		leases = spareLeases
	}
	s.until = now + leases*a.Lease<<min(m.record.convicted-1, maxDoubling)
	return true
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// minHealed is of how many pairs one must go on, if the member is to stay a stub. The others may
// have met another liar.
const minHealed = 4

// maxStill is for how many pairs that go on one may stand still, if a member is to be named.
const maxStill = 8

// faultless says whether no fault explains why a stream stood still and goes on: of its ends and
// of the relays of both ways, all are there, ran in time, and had no trouble. What the accused
// says of others, or of itself, does not count.
func (a *Authority) faultless(now Time, p pair, x *accusation, accused *member) bool {
	if x == nil || a.missed.Since(x.missed).All > a.Lease/2 {
		return false
	}
	for _, ref := range append([]ring.Ref{p.from, p.to}, x.ways...) {
		m := a.find(ref)
		switch {
		case m == nil:
			return false
		case m != accused && m.lateness > a.Lease/4:
			return false
		case m.record.troubled > x.first-StuckAfter(a.Lease)-2*a.Lease && m.record.troubled > 0 && m.record.troubledBy != accused.Ref():
			return false
		}
	}
	return true
}

// blamed says which other members may be to blame.
func blamed(list []ring.Ref) string {
	if len(list) == 0 {
		return ""
	}
	var ids []string
	for _, r := range list[:min(len(list), maxExplained)] {
		ids = append(ids, fmt.Sprint(r.ID))
	}
	return fmt.Sprintf(" (or node %s is to blame, which the same streams concern)", strings.Join(ids, " or node "))
}

// minSources is how many sources must report a relay that is named to the operator. By the word of
// one it may be led around only, later, and not for long.
const (
	minSources = 2
	loneLeases = 3
)

// suspect is the evidence against one relay.
type suspectRelay struct {
	*member
	pairs   []pair
	sources map[ring.Ref]bool
	healed  int // pairs that went on, though it relayed
	first   Time
}

// maxHealed is for how many pairs that are stuck one may go on, so that a relay counts as one that
// passes nothing on.
const maxHealed = 4

// beginTrial puts the relay on trial against which most is reported, if that is enough.
func (a *Authority) beginTrial(now Time) {
	if len(a.stubs()) >= MaxStubs(len(a.activeMembers())) {
		return
	}
	list, total := a.evidence(now)
	for _, s := range list {
		witness := a.commonEnds(s.pairs)
		switch {
		case s.healed*maxHealed > len(s.pairs) || a.boundByWitness(witness) || len(s.sources) < minSources && now < s.first+loneLeases*a.Lease:
			continue
		case now < s.first+a.Lease: // more reports are on their way
			return
		}
		present, wait := a.present(now, s.member), false
		for _, w := range witness {
			there := a.present(now, a.find(w))
			present, wait = min(present, there), wait || there == unknown
		}
		if present == unknown || wait {
			return
		}
		if present == absent {
			continue
		}
		trial := &stub{trial: s.pairs, witness: witness, others: 2*len(s.pairs) < total, why: fmt.Sprintf("%s without progress, and routes lead around it to see whether that helps", count(len(s.pairs), "stream"))}
		for _, other := range list { // also those that are not tried now
			if other != s && len(other.pairs) >= len(s.pairs) {
				trial.blame = append(trial.blame, other.Ref())
			}
		}
		a.makeStub(now, s.member, trial)
		return
	}
}

// evidence lists the relays that are suspected, the most suspected first, and how many pairs are
// stuck.
func (a *Authority) evidence(now Time) (list []*suspectRelay, total int) {
	by := make(map[ring.Ref]*suspectRelay)
	for _, p := range slices.SortedFunc(maps.Keys(a.stuck), comparePairs) {
		x := a.stuck[p]
		if x.healed == 0 {
			total++
		}
		for _, ref := range x.suspects {
			m := a.find(ref)
			if m == nil || m.status != active || !m.announced || m.stub != nil || m.suspicion != nil || now < m.record.spared {
				continue
			}
			s := by[ref]
			if s == nil {
				s = &suspectRelay{member: m, sources: make(map[ring.Ref]bool), first: now}
				by[ref] = s
			}
			if x.healed > 0 {
				s.healed++
				continue
			}
			s.pairs, s.first = append(s.pairs, p), min(s.first, x.first)
			s.sources[p.from] = true
		}
	}
	maps.DeleteFunc(by, func(_ ring.Ref, s *suspectRelay) bool { return len(s.pairs) == 0 })
	for _, s := range by {
		s.record.most = max(s.record.most, len(s.pairs))
	}
	return slices.SortedFunc(maps.Values(by), func(x, y *suspectRelay) int {
		return cmp.Or(cmp.Compare(len(y.pairs), len(x.pairs)), cmp.Compare(len(y.sources), len(x.sources)),
			cmp.Compare(y.record.most, x.record.most), cmp.Compare(x.ID, y.ID))
	}), total
}

func comparePairs(x, y pair) int {
	return cmp.Or(cmp.Compare(x.from.ID, y.from.ID), cmp.Compare(x.to.ID, y.to.ID))
}

// commonEnds lists the members that are an end of each pair.
func (a *Authority) commonEnds(pairs []pair) (common []ring.Ref) {
	for _, end := range []ring.Ref{pairs[0].from, pairs[0].to} {
		if !slices.ContainsFunc(pairs, func(p pair) bool { return p.from != end && p.to != end }) {
			common = append(common, end)
		}
	}
	return common
}

// boundByWitness says whether a stub rests on pairs of one of these members already. A member
// that lies can make all pairs stuck that it is an end of, and no others.
func (a *Authority) boundByWitness(witness []ring.Ref) bool {
	for _, m := range a.stubs() {
		for _, w := range witness {
			if slices.Contains(m.stub.witness, w) {
				return true
			}
		}
	}
	return false
}

// presence says whether a member is there.
type presence uint8

const (
	absent presence = iota // it has not answered in time
	unknown
	there
)

// present finds out whether a member is there. One that hangs stops streams as well, and is
// found by its lease.
func (a *Authority) present(now Time, m *member) presence {
	if m == nil || m.suspicion != nil {
		return absent
	}
	r := &m.record
	switch {
	case r.askedAt == 0 || now > r.askedAt+4*a.Lease:
		r.askedAt, r.answered = now, false
		a.ping(m)
		return unknown
	case r.answered:
		return there
	case now < r.askedAt+a.Lease:
		return unknown
	}
	return absent
}

// StuckPairs lists the pairs that are reported to be stuck.
func (a *Authority) StuckPairs() (list []StuckPair) {
	for _, p := range slices.SortedFunc(maps.Keys(a.stuck), comparePairs) {
		if from, to := a.find(p.from), a.find(p.to); from != nil && to != nil && a.stuck[p].healed == 0 {
			list = append(list, StuckPair{from.Member, to.Member, a.stuck[p].silent})
		}
	}
	return list
}

// Sidelined lists the members that are led around.
func (a *Authority) Sidelined() (list []Sidelined) {
	for _, m := range a.stubs() {
		s := m.stub
		list = append(list, Sidelined{m.Member, s.since, s.until == 0, max(s.pairs, len(s.trial)), s.why})
	}
	return list
}
