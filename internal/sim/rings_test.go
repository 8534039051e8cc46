package sim

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
)

// ringsFrom is the first seed of the worlds whose rings set themselves up. Two registries with
// rings of one name are at the registry's address in turn. Each may keep a state.
const ringsFrom = 6_000_000_000

// TestSimulationOfRings runs worlds in which rings set themselves up, and meet.
func TestSimulationOfRings(t *testing.T) { simulate(t, *simFrom-1+ringsFrom, 1500) }

// rings is what the worlds of rings have in addition.
type rings struct {
	rng   *rand.Rand
	disks [2]*disk // of each registry; nil: it keeps nothing
	turn  int      // the registry that is there
	delay Time     // most that a write takes
	fails Time     // until then writes fail
	known map[ring.Identity]bool
}

// disk keeps the state of one of the registries.
type disk struct{ record membership.Record }

func newRings(w *world) *rings {
	r := rand.New(rand.NewPCG(w.seed, 8))
	x := &rings{rng: r, delay: pick[Time](r, 1*ms, 50*ms, w.lease), known: make(map[ring.Identity]bool)}
	if r.IntN(3) > 0 {
		x.disks[0] = &disk{membership.NewRecord()}
	}
	// The other ring is there from the start. Its registry keeps a state, so it never makes a
	// third ring.
	other := membership.Record{Identity: w.drawIdentity(), Empty: r.IntN(2) == 0}
	x.disks[1] = &disk{other}
	x.known[other.Identity] = true
	return x
}

func (w *world) drawIdentity() ring.Identity {
	return ring.NewIdentity(w.identities.Uint64(), w.identities.Uint64())
}

// configure makes the configuration of the registry that starts.
func (x *rings) configure(w *world, c *membership.Config) {
	c.Grace = 2 * w.lease
	c.SelfSetup = &ring.Layout{Fewest: w.fewest, K: w.size}
	if d := x.disks[x.turn]; d != nil {
		kept := d.record
		c.Kept = &kept
		x.known[kept.Identity] = true // also one that a registry drew, wrote and did not live to use
	}
}

// save writes the state, if it is due. The disk has it a while before the registry knows.
func (r *registry) save() {
	x := r.w.rings
	if x == nil || r.saving || r.p.state == dead {
		return
	}
	record, due := r.auth.BeginSave(r.w.now)
	if !due {
		return
	}
	r.saving = true
	d, fails := x.disks[x.turn], r.w.now < x.fails
	took := 1 + Time(x.rng.Int64N(int64(x.delay)))
	r.w.events.push(r.w.now+took, func() {
		if r.p.state == dead {
			return
		}
		if !fails || x.rng.IntN(2) == 0 { // an error may come after the write
			d.record = record
		}
		r.p.after(1+took/4, func() {
			r.saving = false
			if fails {
				r.auth.EndSave(record, errors.New("the disk is full"))
				r.p.after(r.w.lease/10, r.step)
				return
			}
			r.auth.EndSave(record, nil)
			r.step()
		})
	})
}

var ringFaults = []struct {
	name string
	do   func(w *world)
}{
	{"the registry restarts, and newcomers are first", func(w *world) {
		w.replaceRegistry(w.rings.turn, Time(w.rings.rng.Int64N(int64(w.lease/4))))
	}},
	{"another registry comes", func(w *world) {
		if w.calm {
			return
		}
		w.replaceRegistry(1-w.rings.turn, Time(w.rings.rng.Int64N(int64(w.lease))))
		if w.rings.rng.IntN(2) == 0 {
			w.later(w.lease+Time(w.rings.rng.Int64N(int64(30*w.lease))), func() {
				w.replaceRegistry(1-w.rings.turn, Time(w.rings.rng.Int64N(int64(w.lease))))
			})
		}
	}},
	{"time passes", func(w *world) { w.until(w.now + Time(w.rings.rng.Int64N(int64(12*w.lease)))) }},
	{"all leave", func(w *world) {
		for _, p := range w.alive() {
			if p.node != nil && !p.node.departing && p.state == running {
				p.node.leave()
			}
		}
		w.later(Time(w.rings.rng.Int64N(int64(3*w.lease))), func() { w.crowd(2) })
	}},
	{"all crash", func(w *world) {
		for _, p := range w.alive() {
			p.die()
		}
		w.later(Time(w.rings.rng.Int64N(int64(3*w.lease))), func() { w.crowd(2) })
	}},
	{"all are new, and the registry crashes soon", func(w *world) {
		for _, p := range w.alive() {
			p.die()
		}
		w.until(w.now + Time(w.rings.rng.Int64N(int64(2*w.lease))))
		w.crowd(1)
		w.later(Time(w.rings.rng.Int64N(int64(w.lease))), func() {
			w.replaceRegistry(w.rings.turn, Time(w.rings.rng.Int64N(int64(w.lease/4))))
		})
	}},
	{"the disk is full for a while", func(w *world) {
		w.rings.fails = w.now + Time(w.rings.rng.Int64N(int64(2*w.lease)))
	}},
}

// replaceRegistry ends the registry, and starts one at its address after a while. Newcomers
// come at the same moment, and mostly reach it before the members do.
func (w *world) replaceRegistry(turn int, after Time) {
	r := w.registry
	if r.p.state == stopped {
		r.p.state = running
	}
	if r.p.state == running {
		r.p.die()
	}
	w.later(after, func() {
		if w.registry.p.state == dead {
			w.rings.turn = turn
			w.startRegistry()
			w.crowd(w.rings.rng.IntN(3))
		}
	})
}

// otherRing handles a refusal by the registry of another ring.
func (p *process) otherRing() {
	n := p.node
	p.w.count.strangers++
	if n == nil || !p.join.forsaking.OtherRing(p.w.now, p.w.lease) {
		return
	}
	p.w.judge.forsakes(n)
	p.w.count.forsaken++
	p.join.want, p.join.patient = n.ref, 3
	p.join.forsaking = membership.Forsaking{}
	n.end("forsaken")
	if n.leaving {
		p.quit()
	}
}

// forsakes is called when a node gives up its ring.
func (j *judge) forsakes(n *node) {
	x := j.incarnations[n.ref]
	if j.w.now-x.own < membership.ForsakeLeases*j.w.lease {
		j.fail("%v gives up its ring after %v", n.ref, j.w.now-x.own)
	}
	if n.local.Identity == j.w.registry.auth.Identity() {
		j.fail("%v gives up the ring that the registry has", n.ref)
	}
	x.markDead()
}

// checkRings checks that members of one ring only are at a registry, and that a registry makes
// no ring while there is one.
func (j *judge) checkRings(r *registry) {
	x, id := j.w.rings, r.auth.Identity()
	if x == nil {
		return
	}
	for _, c := range r.sessions {
		if n := c.p.node; c.bound && n != nil && n.ref == c.ref && n.local.Identity != "" && n.local.Identity != id {
			j.fail("%v, a member of ring %s, was taken into ring %s", n.ref, n.local.Identity.Short(), id.Short())
		}
	}
	if d := x.disks[x.turn]; d != nil && d.record.Identity != "" && id != "" && d.record.Identity != id && !r.auth.SaveDue(j.w.now) {
		j.fail("the registry has ring %s, and keeps ring %s", id.Short(), d.record.Identity.Short())
	}
	if id == "" || x.known[id] {
		return
	}
	for _, y := range j.all {
		if y.member && y.gen < r.gen && !j.excused(y, r) && y.n.local.Identity != "" {
			j.fail("registry %d makes ring %s, though %v of ring %s is on its way back", r.gen, id.Short(), y.ref, y.n.local.Identity.Short())
		}
	}
	x.known[id] = true
	j.w.count.rings++
}

// otherRings says that an incarnation is lost since its ring is not that of the registry, or
// that it has no ring.
func (j *judge) otherRings(x *incarnation, r *registry) bool {
	if j.w.rings == nil || x.n == nil {
		return false
	}
	own, id := x.n.local.Identity, r.auth.Identity()
	return own == "" || id != "" && own != id && j.w.rings.known[id]
}

// strayNode says what is wrong with the rings of nodes when there are no faults any more.
func (j *judge) strayNode() string {
	if j.w.rings != nil && j.w.registry.auth.Identity() == "" {
		return "the ring has no identity"
	}
	for _, p := range j.w.alive() {
		if n := p.node; j.w.rings != nil && n != nil && n.local.Identity != j.w.registry.auth.Identity() {
			return sprintf("%v is in ring %q, the registry has ring %q", n.ref, n.local.Identity.Short(), j.w.registry.auth.Identity().Short())
		}
	}
	return ""
}
