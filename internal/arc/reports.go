package arc

// Report takes the first word of a life on a connection, and answers it with Orders; while the
// authority recovers, later. A life that begins to offer reports once more.
func (a *Authority) Report(m Member, r Report) {
	o := a.owners[m.Life]
	switch {
	case o == nil && !a.recovering && len(r.Held)+len(r.Given) > 0:
		a.out.Refused(m.Life)
		return
	case o == nil:
		o = &owner{Member: m}
		a.owners[m.Life] = o
		a.place.Add(m)
	case len(o.Positions) == 0 && !o.retiring:
		o.Member = m
		a.place.Add(m)
	}
	if r.Retiring {
		a.retire(o)
	}
	if a.recovering {
		o.report = r
		return
	}
	a.orders(o)
	if r.Left {
		a.left(o)
	}
	a.settleAt(o)
	a.retireReady()
}

// Recovered ends the time that owners of an earlier registry have to report. Those that have not are
// over.
func (a *Authority) Recovered() {
	a.recovering = false
	a.bar = a.next()
	a.adopt()
	for _, life := range a.lives() {
		a.orders(a.owners[life])
	}
	for _, life := range a.lives() {
		o := a.owners[life]
		if o.report.Left {
			a.left(o)
		}
		o.report = Report{}
	}
	a.settle(Ring)
	a.retireReady()
}

// adopt takes the state of each point from the reports: the holder under the greatest term, or the
// giver, if no receiver has what it has given. A giver holds under a new term.
func (a *Authority) adopt() {
	type claim struct {
		life, term uint64
		given      bool
	}
	var best ranges[claim]
	for _, life := range a.lives() {
		r := a.owners[life].report
		for _, h := range r.Held {
			best.update(h.Arc, func(c claim) claim {
				if h.Term > c.term || h.Term == c.term && c.given {
					return claim{life, h.Term, false}
				}
				return c
			})
		}
		for _, g := range r.Given {
			best.update(g.Arc, func(c claim) claim {
				if g.Term > c.term {
					return claim{life, g.Term, true}
				}
				return c
			})
		}
	}
	for arc, c := range best.within(Ring) {
		if c.given {
			c.term = a.next()
		}
		if c.life != 0 {
			a.set(arc, state{holder: c.life, term: c.term})
		}
	}
}

// orders tells an owner all that is decided for it.
func (a *Authority) orders(to *owner) {
	o := Orders{Bar: a.bar, Latest: a.latest, Retired: to.retired}
	for part, is := range to.part.walk(Ring) {
		if !is {
			continue
		}
		for arc, s := range a.arcs.walk(part) {
			if s.holder == to.Life {
				o.Hold = append(o.Hold, Held{arc, s.term})
			} else {
				o.Pull = append(o.Pull, Order{Held{arc, s.move}, s.holder})
			}
		}
	}
	a.out.Orders(to.Life, o)
}
