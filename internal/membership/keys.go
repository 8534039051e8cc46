package membership

import (
	"iter"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// MaxKeyServices is how many services with keys there may be in a ring.
const MaxKeyServices = 128

// Keys lists the services with keys that a member opens. The list must not be changed.
func (a *Authority) Keys(ref ring.Ref) []string {
	if m := a.find(ref); m != nil {
		return m.keys
	}
	return nil
}

// WithKeys yields the members that open a service with keys, in no order.
func (a *Authority) WithKeys(service string) iter.Seq[ring.Ref] {
	return func(yield func(ring.Ref) bool) {
		for _, m := range a.byID {
			if slices.Contains(m.keys, service) && !yield(m.Ref()) {
				return
			}
		}
	}
}

// BackWithKeys yields the members that open a service with keys and have come back from an earlier registry,
// in no order.
func (a *Authority) BackWithKeys(service string) iter.Seq[ring.Ref] {
	return func(yield func(ring.Ref) bool) {
		for _, m := range a.byID {
			if m.resumed && slices.Contains(m.keys, service) && !yield(m.Ref()) {
				return
			}
		}
	}
}

// MayComeBack reports whether members of an earlier registry may come back: in the grace, and as long as
// there is no ring. The grace of a ring that is set up by hand begins with the first that comes.
func (a *Authority) MayComeBack() bool { return a.recovering || !a.live }

// OpensKeys reports whether any member opens a service with keys.
func (a *Authority) OpensKeys(service string) bool { return a.keyServices[service] > 0 }

// checkKeys refuses a newcomer that opens more services with keys than there may be.
func (a *Authority) checkKeys(keys []string) error {
	more := 0
	for _, k := range keys {
		if a.keyServices[k] == 0 {
			more++
		}
	}
	if more > 0 && len(a.keyServices)+more > MaxKeyServices {
		return ErrKeysFull
	}
	return nil
}

// countKeys counts the services with keys of a member that comes, by 1, or goes, by -1.
func (a *Authority) countKeys(m *member, by int) {
	for _, k := range m.keys {
		if a.keyServices[k] += by; a.keyServices[k] == 0 {
			delete(a.keyServices, k)
		}
	}
}

// maxTermStep bounds the step from one term to the next where the clock is behind. It is random for the
// same reason as that of incarnations. MaxTerms is more than one event at a registry uses up.
const (
	maxTermStep = 1 << 12
	MaxTerms    = 1 << 33
)

// Term draws a number greater than each term and incarnation that was given or reported: they have one
// generator. wall is the time of day.
func (a *Authority) Term(wall uint64) uint64 {
	if wall <= a.lastInc || wall > control.MaxIncarnation {
		wall = a.lastInc + 1 + a.Draw(maxTermStep)
	}
	a.lastInc = wall
	return wall
}

// ReportedTerm takes note of a term of an earlier registry that a member has reported. It is an [ErrEvicted]
// if no registry counts that far.
func (a *Authority) ReportedTerm(term uint64) error {
	if term > maxIncarnation {
		return Overclaims("term", term)
	}
	a.lastInc = max(a.lastInc, term)
	return nil
}

// A member that misses the grace of a registry is no member there, and is not declared dead, since that
// registry does not know it. The others take its place. The next registry would take it back, if it came
// in time. A life with keys must not come back then: others hold what it held. So members with keys say
// which recoveries they were part of.

// Recoveries says which recoveries of registries a member with keys was part of. The first two are 0 for none.
type Recoveries struct {
	Recovery uint64   // the number of the latest of which it was told the outcome, by a manifest
	ToldBy   uint64   // the registry that has told it
	BackWith []uint64 // the registries that have taken it back since then, or have admitted it
}

// Registered is what a member knows after a registry has admitted it, or taken it back.
func (r Recoveries) Registered(registry uint64) Recoveries {
	if !slices.Contains(r.BackWith, registry) {
		r.BackWith = append(slices.Clone(r.BackWith), registry)
		r.BackWith = r.BackWith[max(0, len(r.BackWith)-control.MaxBackWith):]
	}
	return r
}

// Told is what a member knows after the manifest of a registry. One without a number changes nothing.
func (r Recoveries) Told(registry, recovery uint64) Recoveries {
	if recovery == 0 {
		return r
	}
	return Recoveries{Recovery: recovery, ToldBy: registry}
}

// maxRecoveryStep bounds the step from the number of a recovery to the next, where the clock is behind. It
// is random, since two registries may count on from the same one.
const maxRecoveryStep = 1 << 20

// Number is a number of this registry, by which members tell it from others.
func (a *Authority) Number() uint64 {
	if a.number == 0 {
		a.number = 1 + a.Draw(1<<62)
	}
	return a.number
}

// endLate ends, after a recovery, the members with keys that have missed an earlier one. The latest is
// that of the greatest number. A member was part of it if it was told its outcome, or if that registry
// has taken it back, and ended before it told. It lies with the members to say the truth: as it does with
// what they hold.
func (a *Authority) endLate(now Time) {
	var latest Recoveries
	for _, m := range a.byID {
		if m.resumed && len(m.keys) > 0 && m.recoveries.Recovery > latest.Recovery {
			latest = m.recoveries
		}
	}
	for _, m := range a.sortedMembers() {
		if m.resumed && len(m.keys) > 0 && m.recoveries.Recovery != latest.Recovery && !slices.Contains(m.recoveries.BackWith, latest.ToldBy) {
			a.markDead(now, m, "it has missed the grace of an earlier registry, and others hold the keys that it held")
		}
	}
	a.recovery = latest.Recovery + 1 + a.Draw(maxRecoveryStep)
	if a.Wall != nil { // an earlier recovery may be known to no member that is back
		a.recovery = max(a.recovery, min(a.Wall(), control.MaxIncarnation))
	}
}
