package registry

import (
	"fmt"
	"time"

	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/internal/ring"
)

// What waits for reports: an authority that recovers, and an owner that retires.

// waits reports whether the service waits for reports.
func (v *keyService) waits() bool { return v.recovering || len(v.retiring) > 0 }

// retire takes an owner's wish to hold nothing. It waits for the reports of members that have joined, two
// leases at most: the only other owner may be among them, and without one the states are lost.
func (v *keyService) retire(life uint64) {
	if v.recovering || v.allReported() {
		v.authority.Handle(life, arc.Frame{Kind: arc.Retire})
		return
	}
	if !v.waits() {
		v.keys.waiting.Add(1)
	}
	v.retiring[life] = time.Now()
}

// allReported reports whether all members that open the service have reported.
func (v *keyService) allReported() bool {
	v.keys.r.mu.Lock()
	defer v.keys.r.mu.Unlock()
	for ref := range v.keys.r.members.WithKeys(v.name) {
		if v.lives[ref.Incarnation] == nil {
			return false
		}
	}
	return true
}

// recover goes on with the services whose reports have all come: it ends their recoveries, and lets owners
// retire. The reconcile loop calls it behind all effects of a pass: so the lives that did not come back in
// the grace are over before.
//
// A member that does not report would hold up all others. Each connection has two leases for that, from the
// end of the grace on, and all of them together have four times a lease and the member's timeout.
func (k *keys) recover() {
	if k.waiting.Load() == 0 {
		return
	}
	k.r.reserveTerms()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, v := range k.services {
		if !v.waits() {
			continue
		}
		if v.recovering && v.recovered() {
			v.recovering, v.shown = false, nil
			v.authority.Recovered()
		}
		v.retireAll()
		if !v.waits() {
			k.waiting.Add(-1)
		}
	}
}

// retireAll lets owners retire that have waited for reports.
func (v *keyService) retireAll() {
	all := v.allReported()
	for life, since := range v.retiring {
		if all || time.Since(since) > 2*v.keys.r.cfg.Lease {
			delete(v.retiring, life)
			v.shown = nil
			v.authority.Handle(life, arc.Frame{Kind: arc.Retire})
		}
	}
}

// recovered reports whether the grace is over, and each member that is back, and has named the service, has
// reported. A newcomer holds nothing.
func (v *keyService) recovered() bool {
	r := v.keys.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members.MayComeBack() {
		v.waitsSince = time.Time{}
		return false
	}
	if v.waitsSince.IsZero() {
		v.waitsSince = time.Now()
	}
	all, waited := true, time.Since(v.waitsSince)
	for ref := range r.members.BackWithKeys(v.name) {
		if v.lives[ref.Incarnation] != nil {
			continue
		}
		all = false
		if s := r.sessions[ref]; s == nil { // it is a suspect: that has an end
			continue
		} else if min(time.Since(s.since), waited) > 2*r.cfg.Lease || waited > 4*(r.cfg.Lease+r.members.Timeout(ref)) {
			r.members.Expel(r.now(), ref, fmt.Sprintf("it does not say what it holds of the keys of %.64q", v.name))
			r.wake()
		}
	}
	return all
}

// countsOn lets later terms be greater than those of a report. So they are also if the member did not know a
// term yet when it sent Register, or could not say it there, since it is above [control.MaxIncarnation]. A
// member whose terms leave no room above them is over.
func (v *keyService) countsOn(ref ring.Ref, report arc.Report) bool {
	latest := uint64(0)
	for _, all := range [][]arc.Held{report.Held, report.Given} {
		for _, h := range all {
			latest = max(latest, h.Term)
		}
	}
	r := v.keys.r
	r.mu.Lock()
	err := r.members.ReportedTerm(latest)
	r.mu.Unlock()
	if err != nil {
		v.expel(ref, err.Error())
	}
	return err == nil
}
