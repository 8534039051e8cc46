package sim

// state is what a process is doing.
type state uint8

const (
	running state = iota
	stopped       // by a signal: its sockets stay, and wait
	dead
)

// process is one process on one host: a node's, or the registry's.
type process struct {
	w     *world
	place int // of the host, 0 for the registry's
	addr  string
	state state
	since Time // it was stopped

	deferred []func() // what happened to it while it was stopped

	node  *node // the life it has now, nil while it has none
	join  *joining
	token uint64 // of that life
	done  bool   // it wants no life any more

	maxInc   uint64 // the greatest life that it knows of
	renewing bool   // its life ended for a sink's sake, and the next has not begun
	renewals int    // how often
	settled  bool   // the latest time when all was well

	// troubled is when it was last stopped, or cut off from the registry: whoever
	// declares it dead needs such a reason.
	troubled Time
}

// do lets something happen to the process, when it runs again if it is stopped.
func (p *process) do(f func()) {
	switch p.state {
	case running:
		f()
	case stopped:
		p.deferred = append(p.deferred, f)
	}
}

// after is the process's timer.
func (p *process) after(d Time, f func()) {
	p.w.events.push(p.w.now+d, func() { p.do(f) })
}

func (p *process) stop() {
	p.state, p.since = stopped, p.w.now
}

// wake lets a stopped process go on. Everything that came meanwhile is there at once.
func (p *process) wake() {
	p.state = running
	p.troubled = p.w.now
	if r := p.w.registry; r.p == p {
		r.woke(p.w.now - p.since)
	}
	todo := p.deferred
	p.deferred = nil
	// In any order that keeps what is in one connection in order: the connections are
	// pipes, which are not in this list.
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

// die ends the process. Its kernel tells its peers, if it can reach them.
func (p *process) die() {
	p.state = dead
	p.deferred = nil
	p.w.died(p)
}
