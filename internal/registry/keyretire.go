package registry

import (
	"time"

	"github.com/x/ringdht/internal/arc"
)

// retire handles an owner's wish to hold nothing. If it were the last owner it would drop its states. So
// while a member that has named the service has not reported yet, the wish of the last one waits: the
// newcomer may be an owner, of which its node has heard already. The report comes right behind Register,
// and a member that keeps it back for two leases is not waited for.
func (v *keyService) retire(life uint64) {
	v.lives[life].retires = true
	v.retiring = append(v.retiring, life)
	v.release()
}

// release hands the wishes to retire to the authority, unless they have to wait.
func (v *keyService) release() {
	switch {
	case len(v.retiring) == 0:
		return
	case v.isLast() && v.awaitsReport():
		v.keys.retiring.Store(true)
		return
	}
	for _, life := range v.retiring {
		if v.lives[life] != nil {
			v.authority.Handle(life, arc.Frame{Kind: arc.Retire})
		}
	}
	v.retiring = nil
}

// isLast reports whether no owner would be left.
func (v *keyService) isLast() bool {
	for _, l := range v.lives {
		if l.offers && !l.retires {
			return false
		}
	}
	return true
}

// awaitsReport reports whether a member that has named the service is about to report.
func (v *keyService) awaitsReport() bool {
	r := v.keys.r
	r.mu.Lock()
	defer r.mu.Unlock()
	for ref := range r.members.WithKeys(v.name) {
		if s := r.sessions[ref]; v.lives[ref.Incarnation] == nil && s != nil && time.Since(s.since) < 2*r.cfg.Lease {
			return true
		}
	}
	return false
}
