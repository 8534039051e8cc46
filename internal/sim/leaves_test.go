package sim

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
)

// leavesFrom is the first seed of the worlds whose nodes are taken off the lists before they leave.
const leavesFrom = 10_000_000_000

// TestSimulationOfLeaves runs worlds in which many nodes leave. At the moment when one begins to wind
// up, no member lists it that the registry could ask.
func TestSimulationOfLeaves(t *testing.T) { simulate(t, *simFrom-1+leavesFrom, 800) }

// leaves is what these worlds have in addition.
type leaves struct {
	*rand.Rand
	old float64 // the share of processes of an earlier version
}

func newLeaves(w *world) *leaves {
	r := rand.New(rand.NewPCG(w.seed, 15))
	w.weights[slices.IndexFunc(faults, func(f fault) bool { return f.name == "a node leaves" })] = 3
	return &leaves{Rand: r, old: pick(r, 0, 0, 0, 0.3)}
}

// isOld draws whether a process is of an earlier version: it neither confirms lists nor asks to be taken
// off them.
func (x *leaves) isOld() bool { return x == nil || x.Float64() < x.old }

// withoutLeaving is a message as a node of an earlier version reads it.
func withoutLeaving(msg any) any {
	switch m := msg.(type) {
	case control.Announce:
		m.Leaving = nil
		return m
	case control.Manifest:
		m.Leaving = nil
		return m
	}
	return msg
}

// leave begins an orderly end. First the node waits until no other lists it, for a limited time.
func (n *node) leave() {
	n.departing = true
	if n.p.old {
		n.wound()
		return
	}
	n.asking = true
	n.sendControl(control.Leaving{})
	n.after(n.w.lease*3/2, n.wound)
}

// wound begins what follows, once.
func (n *node) wound() {
	if n.asking || n.p.old {
		n.asking = false
		n.flushThenCut(n.w.now + n.w.lease)
	}
}

// unlisted is called when a node hears that no other lists it.
func (n *node) unlisted(c *conn) {
	if n.asking && c.r == n.w.registry {
		n.w.count.unlisted++
		n.w.judge.checkUnlisted(c.r, n.ref, "begins to wind up")
	}
	n.wound()
}

// confirmList answers an announcement.
func (n *node) confirmList(m control.Announce) {
	if len(m.Leaving) > 0 && n.local.ListEpoch > 0 {
		n.sendControl(control.Listed{ListEpoch: n.local.ListEpoch})
	}
}

// unlists is called when a member asks to be taken off the lists.
func (j *judge) unlists(r *registry, ref ring.Ref) {
	if x := j.incarnations[ref]; x.askedOf != r {
		x.askedOf, x.asked = r, j.w.now
	}
}

// checkUnlisted checks that no member lists one that is about to leave, and that it knows itself. The
// registry waits for a lease at most, and for no member that is left out, leaves, or is of an earlier
// version. A member that has not come back to this registry is none of it.
func (j *judge) checkUnlisted(r *registry, ref ring.Ref, what string) {
	if x := j.incarnations[ref]; x.askedOf != r || j.w.now >= max(x.asked, r.rebuilt)+j.w.lease {
		return
	}
	for _, x := range j.all {
		if !x.member || x.gen != r.gen || x.n == nil || x.isOver() || x.p.old || x.n.leaving || r.auth.WhyLeftOut(x.ref) != "" {
			continue
		}
		if lists(x.n.local, ref) {
			j.fail("%v %s, and %v lists it (epoch %d)", ref, what, x.ref, x.n.local.ListEpoch)
		}
	}
}

// checkManifestLists checks that no manifest has a member as one that serves which has asked this registry
// to be taken off the lists, perhaps after it was taken off those of another one. One that is dead is
// listed until that is announced.
func (j *judge) checkManifestLists(r *registry, to ring.Ref, m control.Manifest) {
	for i, id := range m.Others {
		x := j.incarnations[ring.Ref{ID: id, Incarnation: m.Incs[i]}]
		if x != nil && x.member && x.askedOf == r && !slices.Contains(m.Leaving, id) {
			j.fail("a manifest for %v lists %v, which is about to leave", to, x.ref)
		}
	}
}

// lists reports whether a view has a member as one that serves.
func lists(l *membership.NodeView, ref ring.Ref) bool {
	has := func(list *ring.List) bool {
		m, ok := list.Find(ref.ID)
		return ok && m.Ref == ref
	}
	for _, s := range l.Follows {
		if list, told := l.HandlersOf(s); told && has(list) {
			return true
		}
	}
	return l.Self == ref && l.Listed || has(l.Others) && l.Serves(ref)
}
