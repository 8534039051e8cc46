package sim

import "slices"

// pipe is one direction of a connection. It keeps order. Its parcels wait while the other
// end is stopped or cannot be reached.
type pipe struct {
	w        *world
	dialler  *process // opened the connection; world.reach goes by its direction
	from, to *process
	delay    func() Time

	queue   []parcel
	last    Time
	pending bool // an event that takes the first parcel is planned
	over    bool
	stalled Time // since when nothing can pass
	patient Time // how long that may last; 0 means for ever
	broke   func()
	link    *link
}

type parcel struct {
	at Time
	do func() // at the other end

	// Only of links, instead of do.
	frame  []byte
	detour bool
}

func (x *pipe) listener() *process {
	if x.dialler == x.from {
		return x.to
	}
	return x.from
}

func (x *pipe) push(p parcel) {
	if x.over {
		return
	}
	x.last = max(x.last, x.w.now+x.delay())
	p.at = x.last
	x.queue = append(x.queue, p)
	x.kick()
}

// kick plans the arrival of the first parcel, unless that is planned.
func (x *pipe) kick() {
	if x.pending || x.over || len(x.queue) == 0 || x.to.state != running {
		return
	}
	x.pending = true
	x.w.events.push(max(x.w.now, x.queue[0].at), x.arrive)
}

// retry is the time after which a cut connection tries again.
const retry Time = 50 * ms

func (x *pipe) arrive() {
	x.pending = false
	if x.over || x.to.state != running || len(x.queue) == 0 {
		return
	}
	if !x.w.reach(x.dialler, x.listener()) {
		if x.stalled == 0 {
			x.stalled = x.w.now
		}
		if x.patient > 0 && x.w.now-x.stalled > x.patient {
			x.broke()
			return
		}
		x.pending = true
		x.w.events.push(x.w.now+retry, x.arrive)
		return
	}
	x.stalled = 0
	p := x.queue[0]
	x.queue = x.queue[1:]
	if x.link != nil {
		x.link.to.receive(x.link, p.frame, p.detour)
	} else {
		p.do()
	}
	x.kick()
}

// cutOff drops the parcels after the first keep, and returns them.
func (x *pipe) cutOff(keep int) (cut []parcel) {
	cut = slices.Clone(x.queue[keep:])
	x.queue = x.queue[:keep]
	return cut
}
