package arc

import "slices"

// Tell is [OwnerOutput]: a frame to the authority. Without a connection it is lost.
func (p *proc) Tell(f Frame) {
	if p.conn != nil {
		p.conn.up = append(p.conn.up, f)
	}
}

// registry is the output of an authority.
type registry struct{ w *world }

func (r registry) down(life uint64, x any) {
	if p := r.w.byLife[life]; p.conn != nil && p.conn.reported {
		p.conn.down = append(p.conn.down, x)
	}
}

func (r registry) Tell(life uint64, f Frame)    { r.down(life, f) }
func (r registry) Orders(life uint64, o Orders) { r.down(life, o) }
func (r registry) Refused(life uint64)          { r.w.judge.fail("the report of life %d is refused", life) }

func (w *world) draw() uint64 {
	w.term += 1 + w.rng.Uint64N(3)
	return w.term
}

// start starts a registry, the first one or another.
func (w *world) start(recovering bool) {
	w.log("a registry starts")
	w.auth = NewAuthority(w.draw, recovering, registry{w})
	w.auth.cuts = w.cuts
}

// crash ends the registry.
func (w *world) crash() {
	w.log("the registry crashes")
	w.totals.Crashed++
	w.totals.authority(w.auth)
	w.auth = nil
	for _, p := range w.procs {
		w.disconnect(p)
	}
}

func (w *world) disconnect(p *proc) {
	if c := p.conn; c != nil {
		p.conn = nil
		w.conns = slices.DeleteFunc(w.conns, func(d *conn) bool { return d == c })
	}
}

// connect lets a process connect to the registry.
func (w *world) connect(p *proc) bool {
	if w.auth == nil || !p.running || p.over || p.conn != nil {
		return false
	}
	p.conn = &conn{p: p}
	w.conns = append(w.conns, p.conn)
	p.report()
	return true
}

// report says what a process holds, and whether it offers.
func (p *proc) report() {
	x := report{Member{Life: p.Life}, p.o.Report()}
	if p.offers {
		x.Positions = p.Positions
	}
	p.w.log("%v reports %v", p, x)
	p.conn.up = append(p.conn.up, x)
	p.w.judge.holders(p)
}

type report struct {
	Member
	Report
}

// exchange lets the next of what is on a connection arrive.
func (w *world) exchange(c *conn) bool {
	switch {
	case len(c.up) > 0 && (len(c.down) == 0 || w.rng.IntN(2) == 0):
		w.up(c)
	case len(c.down) > 0:
		w.down(c)
	default:
		return false
	}
	return true
}

func (w *world) up(c *conn) {
	x := c.up[0]
	c.up = c.up[1:]
	w.log("%v -> registry: %v", c.p, x)
	switch x := x.(type) {
	case report:
		c.reported = true
		w.auth.Report(x.Member, x.Report)
	case Frame:
		w.totals.Frames[x.Kind]++
		w.auth.Handle(c.p.Life, x)
	}
}

func (w *world) down(c *conn) {
	x := c.down[0]
	c.down = c.down[1:]
	w.log("registry -> %v: %v", c.p, x)
	switch x := x.(type) {
	case Orders:
		c.p.o.Orders(x)
		w.judge.holders(c.p)
	case Frame:
		c.p.take(Registry, x)
	}
}

// recovered ends the grace of a registry, when all have reported that can.
func (w *world) recovered() bool {
	if w.auth == nil || !w.auth.recovering || !w.mayRecover() {
		return false
	}
	for _, p := range slices.Clone(w.listed) {
		if !p.running {
			w.end(p, false)
		}
	}
	w.log("the registry has recovered")
	w.auth.Recovered()
	return true
}

// mayRecover reports whether all have reported that can.
func (w *world) mayRecover() bool {
	return !slices.ContainsFunc(w.listed, func(p *proc) bool { return p.running && w.auth.owners[p.Life] == nil })
}
