package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// world is a ring with all its hosts and its network.
type world struct {
	seed   uint64
	now    Time
	events events

	// Sources of random numbers, several so that a change in one does not change all.
	plan, net, talkers, auth *rand.Rand

	bits    int
	lease   Time
	size    int
	fewest  bool // tables of the fewest hops
	moving  bool // hosts change their addresses
	moved   int  // new addresses given out
	initial int

	base, spread Time // of all delays
	slow         Time // more delay of control connections
	drop         float64
	pace         Time // between a node's sends
	burst        int
	strange      float64 // the share of sends to IDs that may not exist
	handle       Time
	occasions    int
	gap          Time
	weights      []int
	rested       Time // from then on another shortage may come
	calm         bool // nodes join and leave, and there are no faults
	handicap     handicap
	newcomerCuts *newcomerCuts // nil but from unreachableFrom on
	clocks       *rand.Rand    // nil but from clocksFrom on
	identities   *rand.Rand    // for the identities of rings
	rings        *rings        // nil but from ringsFrom on
	liars        *liars        // nil but from liarsFrom on
	security     *security     // nil but from secureFrom on
	names        *names        // nil but from namesFrom on
	leaves       *leaves       // nil but from leavesFrom on
	quiet        bool          // no node sends
	generation   int
	registry     *registry
	processes    []*process
	byAddr       map[string]*process
	group        map[int]int     // by place; places of different groups cannot reach each other
	cut          map[[2]int]bool // pairs of places of which the first cannot dial the second
	conns        []*conn
	pipes        []*pipe
	judge        *judge
	count        counters
	tracing      bool
	settled      Time
	longest      Time
}

type counters struct {
	accepted, delivered, unknown, frames   int
	bundled                                int // messages that shared a frame
	left                                   int // messages returned because the sink left
	standby                                int // refusals of names
	services                               int // lists of services that were compared
	unlisted                               int // leavers that no other listed
	full, dropped, down, overshot, detours int
	deaths, births, faults, renewals       int
	liars, named                           int // members that lied, and those that were named
	rings, strangers, forsaken             int // rings made, refusals of members of others, and rings given up
	secureCounters
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func (w *world) chance(r *rand.Rand, p float64) bool { return p > 0 && r.Float64() < p }

const ms = 1e6

// fewestFrom is the seed from which on worlds have tables of the fewest hops.
const fewestFrom = 1_000_000_000

// newWorld draws a world. Each kind of fault is absent from many worlds, so that the other
// kinds can be seen alone.
func newWorld(seed uint64) *world {
	chance := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) }
	w := &world{
		seed: seed, now: 1, plan: chance(1), net: chance(2), talkers: chance(3), auth: chance(4),
		byAddr: make(map[string]*process), group: make(map[int]int), cut: make(map[[2]int]bool),
	}
	w.judge = newJudge(w)
	w.identities = chance(9)
	r := w.plan
	w.bits = pick(r, 5, 6, 8, 16)
	w.lease = pick[Time](r, 1000, 2000, 3000) * ms
	w.size = pick(r, 0, 0, 1, 2, 3, 4)
	if w.fewest = kind(seed) == kind(fewestFrom); w.fewest { // here tables may be as large as the ring
		w.size = pick(r, 0, 0, 1, 2, 3, 4, 9, 30)
	}
	w.moving = kind(seed) == kind(movingFrom)
	w.initial = pick(r, 1, 2, 3, 4, 6, 9, 14, 20)
	w.base = pick[Time](r, 0.1*ms, 1*ms, 8*ms)
	w.spread = pick[Time](r, 0.1*ms, 2*ms, 20*ms)
	w.slow = pick[Time](r, 0, 0, 20*ms, 150*ms)
	w.drop = pick(r, 0, 0, 0, 0.01, 0.1)
	w.pace = pick[Time](r, 50, 200, 800) * ms
	w.burst = pick(r, 1, 1, 3, 40)
	w.strange = pick(r, 0, 0.05, 0.3)
	w.handle = pick[Time](r, 1, 1*ms, 40*ms)
	w.occasions = pick(r, 0, 3, 8, 15, 25)
	w.gap = Time(pick(r, 0.03, 0.2, 0.8) * float64(w.lease))
	w.weights = make([]int, len(faults))
	for i := range w.weights {
		w.weights[i] = pick(r, 0, 0, 1, 3)
	}
	if w.calm = r.IntN(8) == 0; w.calm {
		w.drop = 0
		for i, f := range faults {
			if !f.calm {
				w.weights[i] = 0
			}
		}
	}
	w.handicap = pick(r, nothing, nothing, registryAway, pairsCut)
	if kind(seed) == kind(clocksFrom) {
		w.clocks, w.calm = newClocks(seed), false
	}
	if kind(seed) == kind(unreachableFrom) {
		w.newcomerCuts, w.handicap, w.calm = newNewcomerCuts(seed), newcomersCut, false
	}
	if kind(seed) == kind(liarsFrom) {
		w.liars, w.handicap, w.calm = newLiars(seed), liarInside, false
	}
	if kind(seed) == kind(namesFrom) {
		w.names = newNames(seed)
	}
	if kind(seed) == kind(leavesFrom) {
		w.leaves, w.names = newLeaves(w), newNames(seed)
	}
	if kind(seed) == kind(ringsFrom) {
		w.rings, w.calm = newRings(w), false
	}
	if kind(seed) == kind(secureFrom) {
		w.security, w.calm = newSecurity(w), false
		w.pace, w.burst = max(w.pace, 200*ms), min(w.burst, 3) // they last longer than others
		if w.handicap == registryAway && w.security.short(w) {
			w.handicap = nothing // admissions would expire
		}
	}
	return w
}

func (w *world) jitter(of Time) Time {
	if of <= 0 {
		return 0
	}
	return Time(w.net.Int64N(int64(of)))
}
func (w *world) linkDelay() Time    { return w.base + w.jitter(w.spread) }
func (w *world) controlDelay() Time { return w.base + w.jitter(w.spread) + w.jitter(w.slow) }
func (w *world) dialDelay() Time    { return 2*w.base + w.jitter(2*w.spread) }
func (w *world) dialTimeout() Time  { return w.lease / 3 }

func (w *world) processAt(addr string) *process { return w.byAddr[addr] }

// reach says whether a process can open and use a connection to another.
func (w *world) reach(from, to *process) bool {
	return w.group[from.place] == w.group[to.place] && !w.cut[[2]int{from.place, to.place}]
}

func (w *world) pipe(dialler, from, to *process, delay func() Time) *pipe {
	x := &pipe{w: w, dialler: dialler, from: from, to: to, delay: delay}
	if len(w.pipes) > 500 {
		kept := w.pipes[:0]
		for _, p := range w.pipes {
			if !p.over && p.to.state != dead {
				kept = append(kept, p)
			}
		}
		w.pipes = kept
	}
	w.pipes = append(w.pipes, x)
	return x
}

// kick resumes the pipes that waited.
func (w *world) kick() {
	for _, x := range w.pipes {
		x.kick()
	}
}

// spawn starts a node's process, at the place of an old one or at a new place.
func (w *world) spawn(old *process) *process {
	p := &process{w: w, place: len(w.processes) + 1, join: &joining{}, cred: w.newCredentials(), info: w.names.draw(), old: w.leaves.isOld()}
	p.addr = fmt.Sprintf("host%d", p.place)
	if old != nil {
		p.place, p.addr = old.place, old.addr
	}
	w.processes = append(w.processes, p)
	w.byAddr[p.addr] = p
	w.count.births++
	w.logf("%s starts", p.addr)
	p.attempt(w.jitter(w.lease / 50))
	p.beginUsing()
	return p
}

// died ends the connections of a process. Peers that its host can reach notice at once.
func (w *world) died(p *process) {
	w.logf("%s dies", p.addr)
	for _, c := range w.conns {
		mine := c.up
		end := c.closeAtNode
		if c.r.p == p {
			mine, end = c.down, c.closeAtRegistry
		} else if c.p != p {
			continue
		}
		if w.chance(w.net, 0.5) {
			mine.cutOff(w.net.IntN(len(mine.queue) + 1))
		}
		end()
	}
	if n := p.node; n != nil {
		for _, l := range append(append([]*link(nil), n.links...), n.ins...) {
			if w.reach(l.from.p, l.to.p) {
				l.end()
			} else {
				w.events.push(w.now+w.lease, l.end)
			}
		}
		n.over = true
		for _, o := range n.outs {
			w.judge.ended(o, errLife)
		}
		n.outs = nil
		w.judge.died(n)
	}
	live := w.conns[:0]
	for _, c := range w.conns {
		if !c.nodeClosed || !c.regClosed {
			live = append(live, c)
		}
	}
	w.conns = live
}

// alive lists the processes of nodes that have not ended, without those that were expelled.
func (w *world) alive() (list []*process) {
	for _, p := range w.processes {
		if p.state != dead && !p.outlaw {
			list = append(list, p)
		}
	}
	return list
}

func (w *world) logf(format string, args ...any) {
	if w.tracing {
		fmt.Printf("%12v %s\n", w.now, fmt.Sprintf(format, args...))
	}
}

// until runs the world until a time.
func (w *world) until(end Time) {
	for len(w.events.heap) > 0 && w.events.heap[0].at <= end && w.judge.err == nil {
		e := w.events.pop()
		w.now = max(w.now, e.at)
		e.do()
	}
	w.now = max(w.now, end)
}

// run injects faults for a while, and then waits for the ring to settle.
func (w *world) run() (err error) {
	defer func() {
		if v := recover(); v != nil && !strings.Contains(fmt.Sprint(v), "judged") {
			err = fmt.Errorf("panic at %v: %v", w.now, v)
			if w.tracing || debugPanics {
				panic(v)
			}
		}
	}()
	w.startRegistry()
	for range w.initial {
		w.spawn(nil)
	}
	w.until(w.now + w.lease/4)
	if w.rings == nil {
		w.registry.setup(w.size)
	}
	w.until(w.now + w.lease/2)
	for range w.occasions {
		if w.judge.err != nil {
			break
		}
		w.injectFault()
		if w.clocks != nil && w.clocks.IntN(4) == 0 {
			w.replaceBoth()
		}
		if w.newcomerCuts != nil && w.newcomerCuts.IntN(4) == 0 {
			w.newcomers(1, false)
		}
		w.until(w.now + w.jitter2(2*w.gap))
	}
	w.settle()
	return w.judge.err
}

func (w *world) jitter2(of Time) Time { return Time(w.plan.Int64N(int64(of))) }
