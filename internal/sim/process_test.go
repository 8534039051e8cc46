package sim

import "github.com/x/ringdht/internal/ring"

// state is the state of a process.
type state uint8

const (
	running state = iota
	stopped       // by a signal: its sockets stay open
	dead
)

// process is one process on one host: a node or a registry.
type process struct {
	w     *world
	place int // of the host, 0 for the registry's
	addr  string
	state state
	since Time // when it was stopped

	deferred []func() // events that came while it was stopped

	node  *node // the present incarnation, nil if there is none
	join  *joining
	token uint64       // of that incarnation
	lie   lie          // what it does not pass on
	cred  *credentials // nil in an open ring
	info  *ring.Info   // what its next incarnation says of itself
	uses  []string     // services whose members it wants to know, in the order in which it asked
	done  bool         // it wants no further incarnation
	old   bool         // it is of an earlier version, see leaves

	maxInc   uint64 // the greatest incarnation that it knows of
	renewing bool   // a sink remembers a later incarnation: the next one has not begun
	renewals int    // how often that happened
	settled  bool   // it has renewed since all faults ended

	// Only in secure rings.
	outlaw    bool // it was expelled
	rogue     bool // and does not give up
	tellsLies bool // to a registry that recovers

	// troubled is when it was last stopped, or cut off from the registry. A registry needs
	// such a reason to declare it dead.
	troubled Time
}

// do runs f in the process; if it is stopped, when it runs again.
func (p *process) do(f func()) {
	switch p.state {
	case running:
		f()
	case stopped:
		p.deferred = append(p.deferred, f)
	}
}

// after is a timer of the process.
func (p *process) after(d Time, f func()) {
	p.w.events.push(p.w.now+d, func() { p.do(f) })
}

func (p *process) stop() {
	p.state, p.since = stopped, p.w.now
}

// wake resumes a stopped process. All deferred events happen at once.
func (p *process) wake() {
	p.state = running
	p.troubled = p.w.now
	if r := p.w.registry; r.p == p {
		r.woke(p.w.now - p.since)
	}
	todo := p.deferred
	p.deferred = nil
	// Their order is random. What one connection carries keeps its order, since pipes are
	// not in this list.
	p.w.net.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
	for _, f := range todo {
		p.do(f)
	}
	p.w.kick()
}

// quit ends the process in good order.
func (p *process) quit() {
	p.done = true
	p.die()
}

// die ends the process at once. Its kernel tells the peers that it can reach.
func (p *process) die() {
	p.state = dead
	p.deferred = nil
	p.w.died(p)
}
