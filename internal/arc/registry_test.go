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
	w.auth = NewAuthority(ByPosition, w.draw, recovering, registry{w})
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

// connect lets an owner connect to the registry.
func (w *world) connect(p *proc) bool {
	if w.auth == nil || p.o == nil || !p.running || p.over || p.conn != nil {
		return false
	}
	p.conn = &conn{p: p}
	w.conns = append(w.conns, p.conn)
	r := p.o.Report()
	w.log("%v reports %v", p, r)
	p.conn.up = append(p.conn.up, r)
	w.judge.holders(p)
	return true
}

// exchange lets the next of what is on a connection arrive.
func (w *world) exchange(c *conn) bool {
	switch {
	case len(c.up) > 0 && (len(c.down) == 0 || w.rng.IntN(2) == 0):
		x := c.up[0]
		c.up = c.up[1:]
		w.log("%v -> registry: %v", c.p, x)
		switch x := x.(type) {
		case Report:
			c.reported = true
			w.auth.Report(c.p.Member, x)
		case Frame:
			switch x.Kind {
			case Retire:
				w.auth.Retire(c.p.Life)
			case Left:
				w.auth.Left(c.p.Life)
			case Took:
				w.auth.Took(c.p.Life, x.Arc, x.Term)
			}
		}
	case len(c.down) > 0:
		x := c.down[0]
		c.down = c.down[1:]
		w.log("registry -> %v: %v", c.p, x)
		switch x := x.(type) {
		case Orders:
			c.p.o.Orders(x)
		case Frame:
			c.p.o.Handle(0, x)
		}
		w.judge.holders(c.p)
	default:
		return false
	}
	return true
}

// recovered ends the grace of a registry, when all have reported that can.
func (w *world) recovered() bool {
	if w.auth == nil || !w.auth.recovering {
		return false
	}
	for _, p := range w.listed {
		if p.running && p.o != nil && w.auth.owners[p.Life] == nil {
			return false
		}
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
