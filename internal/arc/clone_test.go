package arc

import (
	"maps"
	"slices"
)

// copier copies a world: what points at a process or a message points at its copy.
type copier struct {
	w     *world
	procs map[*proc]*proc
	msgs  map[*msg]*msg
}

func (w *world) clone() *world {
	v := *w
	c := copier{&v, make(map[*proc]*proc, len(w.procs)), map[*msg]*msg{}}
	for _, p := range w.procs {
		c.procs[p] = new(proc)
		for _, m := range p.sent {
			c.msgs[m] = new(msg)
		}
	}
	for m, n := range c.msgs {
		*n = *m
		n.source = c.procs[m.source]
	}
	v.procs, v.listed = c.list(w.procs), c.list(w.listed)
	v.byLife = map[uint64]*proc{}
	v.conns = nil
	for _, p := range w.procs {
		c.proc(p)
		v.byLife[p.Life] = c.procs[p]
	}
	v.links, v.active = map[[2]*proc]*link{}, nil
	for _, l := range w.active {
		n := &link{c.procs[l.from], c.procs[l.to], slices.Clone(l.queue)}
		v.links[[2]*proc{n.from, n.to}] = n
		v.active = append(v.active, n)
	}
	v.snaps = nil
	for _, s := range w.snaps {
		v.snaps = append(v.snaps, c.state(s))
	}
	c.judge(w.judge)
	if w.auth != nil {
		c.authority(w.auth)
	}
	return &v
}

func (c copier) list(procs []*proc) (all []*proc) {
	for _, p := range procs {
		all = append(all, c.procs[p])
	}
	return all
}

func (c copier) messages(list []*msg) (all []*msg) {
	for _, m := range list {
		all = append(all, c.msgs[m])
	}
	return all
}

func (c copier) state(s map[uint64][]*msg) map[uint64][]*msg {
	n := make(map[uint64][]*msg, len(s))
	for point, list := range s {
		n[point] = c.messages(list)
	}
	return n
}

func (c copier) proc(p *proc) {
	n := c.procs[p]
	*n = *p
	n.w = c.w
	n.knows, n.heard, n.holds = maps.Clone(p.knows), maps.Clone(p.heard), maps.Clone(p.holds)
	n.list, n.ops, n.handlers = slices.Clone(p.list), slices.Clone(p.ops), slices.Clone(p.handlers)
	n.sent, n.state = c.messages(p.sent), c.state(p.state)
	n.feed = nil
	for _, e := range p.feed {
		n.feed = append(n.feed, event{c.procs[e.joined], c.procs[e.offers], c.procs[e.ended], c.procs[e.off]})
	}
	if p.conn != nil {
		n.conn = &conn{n, slices.Clone(p.conn.up), slices.Clone(p.conn.down), p.conn.reported}
		c.w.conns = append(c.w.conns, n.conn)
	}
	o := *p.o
	o.out, o.arcs, o.pulls = n, o.arcs.clone(), o.pulls.clone()
	o.queues = make(map[uint64][]Message, len(p.o.queues))
	for point, q := range p.o.queues {
		o.queues[point] = slices.Clone(q)
	}
	o.parked, o.ops = slices.Clone(o.parked), maps.Clone(o.ops)
	n.o = &o
	s := *p.s
	s.out, s.known = n, s.known.clone()
	s.targets, s.unbound, s.sent = map[uint64]*target{}, map[uint64]*target{}, map[uint64]*target{}
	for point, t := range p.s.targets {
		u := *t
		u.sent, u.unsent = slices.Clone(t.sent), slices.Clone(t.unsent)
		s.targets[point] = &u
		if p.s.unbound[point] != nil {
			s.unbound[point] = &u
		}
		for _, m := range u.sent {
			s.sent[m.seq] = &u
		}
	}
	n.s = &s
}

func (c copier) judge(j *judge) {
	n := *j
	n.w, n.truth, n.mayLose, n.noHandle = c.w, c.state(j.truth), maps.Clone(j.mayLose), maps.Clone(j.noHandle)
	n.after, n.terms = map[uint64][][]*msg{}, map[[2]uint64]*proc{}
	for point, states := range j.after {
		for _, s := range states {
			n.after[point] = append(n.after[point], c.messages(s))
		}
	}
	for key, p := range j.terms {
		n.terms[key] = c.procs[p]
	}
	c.w.judge = &n
}

func (c copier) authority(a *Authority) {
	n := *a
	n.out, n.draw = registry{c.w}, c.w.draw
	n.arcs, n.place.all = a.arcs.clone(), slices.Clone(a.place.all)
	n.owners, n.retiring = map[uint64]*owner{}, map[uint64]*owner{}
	for life, o := range a.owners {
		x := *o
		x.part = o.part.clone()
		n.owners[life] = &x
		if a.retiring[life] != nil {
			n.retiring[life] = &x
		}
	}
	c.w.auth = &n
}

func (r *ranges[V]) clone() (n ranges[V]) {
	for _, c := range r.chunks {
		n.chunks = append(n.chunks, chunk[V]{slices.Clone(c.first), slices.Clone(c.value)})
	}
	return n
}
