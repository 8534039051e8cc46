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
	}
	if len(o.Positions) == 0 {
		o.Positions = m.Positions
	}
	o.retiring = o.retiring || r.Retiring
	o.report = r
	if a.recovering {
		return
	}
	a.orders(m.Life)
	if r.Left {
		a.left(m.Life)
	}
	a.settle()
}

// Recovered ends the time that owners of an earlier registry have to report. Those that have not are
// over.
func (a *Authority) Recovered() {
	a.recovering = false
	a.bar = a.next()
	a.adopt()
	for _, life := range a.lives() {
		a.orders(life)
	}
	for _, life := range a.lives() {
		if a.owners[life].report.Left {
			a.left(life)
		}
		a.owners[life].report = Report{}
	}
	a.settle()
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
			a.arcs.set(arc, state{holder: c.life, term: c.term})
		}
	}
}

// orders tells an owner all that is decided for it.
func (a *Authority) orders(life uint64) {
	o := Orders{Bar: a.bar, Latest: a.latest, Retired: a.owners[life].retired}
	for arc, s := range a.arcs.within(Ring) {
		if s.holder == life {
			o.Hold = append(o.Hold, Held{arc, s.term})
		}
		if s.receiver == life {
			o.Pull = append(o.Pull, Order{Held{arc, s.move}, s.holder})
		}
	}
	a.out.Orders(life, o)
}
