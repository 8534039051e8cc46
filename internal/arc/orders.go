package arc

// Report returns what this life says first on a connection to the registry. From now to Orders it
// neither takes nor gives.
func (o *Owner) Report() Report {
	o.frozen = true
	r := Report{Retiring: o.retiring, Left: o.left}
	for arc, p := range o.arcs.within(Ring) {
		switch {
		case p.phase == held || p.phase == ending || p.phase == wanted && p.peer == 0:
			r.Held = append(r.Held, Held{arc, p.term})
		case p.phase == stopping || p.phase == copied: // a term that has stopped does not count any more
			r.Given = append(r.Given, Held{arc, p.term})
		}
	}
	return r
}

// Orders takes the answer to a report.
func (o *Owner) Orders(all Orders) {
	o.frozen = false
	o.bar, o.latest = max(o.bar, all.Bar), max(o.latest, all.Latest)
	var named ranges[bool]
	for _, h := range all.Hold {
		named.set(h.Arc, true)
	}
	for _, p := range all.Pull {
		named.set(p.Arc, true)
	}
	for arc, is := range named.within(Ring) {
		if !is {
			o.void(arc)
		}
	}
	for _, h := range all.Hold {
		o.grant(h.Arc, h.Term, 0)
	}
	for _, p := range all.Pull {
		o.mustPull(p)
	}
	o.voidPulls(Ring, o.bar)
	o.wake(Ring)
	if all.Retired {
		o.retire()
	}
	o.advance(Ring)
}

// void ends what Orders do not name.
func (o *Owner) void(arc Arc) {
	for sub, p := range o.arcs.within(arc) {
		if p.phase != none && p.phase != ending {
			o.discard(sub, p)
		}
	}
}

// mustPull takes an order to pull. What has been taken needs no Pull: its Took may be lost.
func (o *Owner) mustPull(w Order) {
	for arc, p := range o.arcs.within(w.Arc) {
		switch {
		case p.term != w.Term:
			o.grant(arc, w.Term, w.From)
		case p.phase == held:
			o.out.Tell(Frame{Kind: Took, Arc: arc, Term: w.Term})
		}
	}
}
