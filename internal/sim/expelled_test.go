package sim

import (
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
)

// secureFaults are the events of a secure ring.
var secureFaults = []struct {
	name string
	do   func(w *world)
}{
	{"a node is expelled", func(w *world) {
		list := slices.DeleteFunc(w.alive(), func(p *process) bool { return p.node == nil || p.node.departing })
		if r := w.registry; len(list) > 2 && r.p.state == running && r.sec.lies == honest {
			r.expel(list[w.security.IntN(len(list))])
		}
	}},
	{"the ring's key changes", func(w *world) {
		if r := w.registry; r.p.state == running && r.sec.lies == honest {
			r.rotate()
		}
	}},
	{"the registry is away until admissions expire", func(w *world) {
		if w.security.short(w) {
			w.registryAwayFor(w.security.validity/2 + Time(w.security.Int64N(int64(w.security.validity))))
		}
	}},
	{"the registry restarts", func(w *world) { w.registryAwayFor(Time(w.security.Int64N(int64(w.lease / 4)))) }},
	{"another ring's registry comes", func(w *world) {
		x := w.security
		w.endRegistry()
		x.impostor = 1 + lie(x.IntN(int(impostors)-1))
		w.startRegistry()
		w.later(Time(x.Int64N(int64(4*w.lease))), w.endImpostor)
	}},
	{"strangers come", func(w *world) { w.strangers() }},
	{"a member tells lies, and the registry restarts", func(w *world) {
		if p := w.victim(); p != nil && p.node != nil && p.node.local.Epoch > 0 {
			p.tellsLies = true
			w.registryAwayFor(Time(w.security.Int64N(int64(w.lease / 4))))
		}
	}},
	{"admissions are renewed", func(w *world) {
		if w.security.short(w) {
			w.until(w.now + w.security.validity/2)
		}
	}},
}

// endRegistry ends the registry that is there.
func (w *world) endRegistry() {
	if p := w.registry.p; p.state != dead {
		p.state = running
		p.die()
	}
}

func (w *world) registryAwayFor(d Time) {
	w.endRegistry()
	w.later(d, func() {
		if w.registry.p.state == dead {
			w.startRegistry()
		}
	})
}

// endImpostor puts the ring's own registry in the place of another one.
func (w *world) endImpostor() {
	if x := w.security; x != nil && x.impostor != honest {
		x.impostor = honest
		w.endRegistry()
		w.startRegistry()
	}
}

// vary makes an expelled process try another way back in.
func (p *process) vary(m *register) {
	x, c := p.w.security, p.cred
	m.resume, m.bySecret, m.shown.admission = p.node != nil, false, c.bytes
	switch x.IntN(6) {
	case 0: // it goes on
	case 1:
		m.resume = false
	case 2:
		m.resume, m.bySecret, m.secret = false, true, c.secret
	case 3: // as another process
		m.resume, m.bySecret, m.secret = false, true, c.secret
		m.shown = presented{key: secure.KeyOf(x.newKey())}
	case 4: // with an admission from before
		m.shown.admission = c.earlier
		if a, err := secure.ParseAdmission(c.earlier); err == nil {
			m.resume, m.ID, m.Incarnation = true, a.ID, a.Incarnation
		}
	case 5: // with that of another node
		if len(x.order) > 0 {
			m.shown.admission = x.order[x.IntN(len(x.order))].bytes
		}
	}
	if !m.resume {
		m.Incarnation = 0
	}
}

// falseOver are false words about members, by the process's own authority.
func (p *process) falseOver() (list []control.Over) {
	x, n := p.w.security, p.node
	for _, q := range p.w.alive() {
		if q == p || q.node == nil || len(list) > 10 {
			continue
		}
		o := control.Over{ID: q.node.ref.ID, Incarnation: q.node.ref.Incarnation, Epoch: n.local.Epoch + 100}
		switch x.IntN(3) {
		case 0: // without a signature
		case 1: // with its own
			o.Signature = secure.Text(secure.Gone{Ring: x.kept.ring, ID: o.ID, Incarnation: o.Incarnation, Epoch: o.Epoch}.Sign(p.cred.key))
		case 2: // with one that the ring has given for another incarnation
			if had := n.local.Over; len(had) > 0 {
				o.Signature = had[x.IntN(len(had))].Signature
			}
		}
		list = append(list, o)
	}
	return list
}

// strangers try to be taken for members, by a node and by the registry.
func (w *world) strangers() {
	x, now := w.security, w.clock()
	p := w.victim()
	if p == nil || p.node == nil || p.state != running || len(x.order) == 0 {
		return
	}
	y := x.order[x.IntN(len(x.order))]
	thief := x.newKey()
	public := secure.KeyOf(thief)
	forged := y.Admission
	forged.Since, forged.Until, forged.Key = now, now.Add(x.validity), public
	foreign := forged
	foreign.Ring = secure.RingOf(public)
	longer := slices.Clone(y.bytes)
	copy(longer[57:65], foreign.Sign(thief)[57:65]) // its time
	tries := []presented{
		{key: public}, {key: public, admission: y.bytes}, {key: public, admission: forged.Sign(thief)},
		{key: public, admission: foreign.Sign(thief)}, {key: y.Key, admission: longer},
	}
	if now.After(y.Until.Add(w.margin())) {
		tries = append(tries, presented{key: y.Key, admission: y.bytes})
	}
	r := w.registry
	for i, s := range tries {
		if string(s.admission) == string(longer) && string(longer) == string(y.bytes) {
			continue
		}
		ref := ring.Ref{ID: y.ID, Incarnation: y.Incarnation}
		if err := p.accepts(s, ref); err == nil {
			w.judge.fail("%v accepts stranger %d as %v", p.node.ref, i, ref)
		}
		if r.p.state != running || r.sec.lies != honest {
			continue
		}
		for _, m := range []register{{shown: s, resume: true}, {shown: s}, {shown: s, bySecret: true, secret: x.Uint64()}} {
			m.ID, m.Incarnation = ref.ID, ref.Incarnation
			if code := r.authorize(&conn{w: w}, &m); code == 0 {
				w.judge.fail("the registry takes stranger %d for %v", i, ref)
			}
		}
		w.count.refusals++
	}
}

// issues is called when a registry gives an admission.
func (j *judge) issues(r *registry, c *conn) {
	if c.p.outlaw {
		j.fail("%v, which was expelled, gets an admission", c.ref)
	}
}

// expels is called when an operator expels a process.
func (j *judge) expels(p *process) {
	p.outlaw, p.rogue = true, j.w.security.IntN(4) > 0
	j.w.count.expelled++
	j.w.logf("%s is expelled, and gives up: %v", p.addr, !p.rogue)
	for _, x := range j.all {
		if x.p == p {
			x.expelled = true
			x.markDead()
		}
	}
}

// lapsed says that the admission of an incarnation has expired.
func (j *judge) lapsed(x *incarnation) bool {
	return j.w.security != nil && !j.w.clock().Before(x.until)
}

// accepts is called when a process accepts what the other end of a connection has shown.
func (j *judge) accepts(p *process, s presented, a secure.Admission) {
	if p.outlaw {
		return
	}
	found := j.w.security.issued[string(s.admission)]
	switch {
	case found == nil:
		j.fail("%s accepts an admission of %d/%d that no registry has given", p.addr, a.ID, a.Incarnation)
	case found.Key != s.key:
		j.fail("%s accepts the admission of %d/%d from another process", p.addr, a.ID, a.Incarnation)
	case p.cred.revoked(found.Key):
		j.fail("%s accepts %d/%d, though it was told that it is expelled", p.addr, a.ID, a.Incarnation)
	case !p.clock().Before(found.Until):
		j.fail("%s accepts %d/%d, whose admission has expired", p.addr, a.ID, a.Incarnation)
	}
}

// linked checks a frame's way: no node takes one from a node of which it was told that it is
// expelled.
func (j *judge) linked(n *node, l *link) {
	if j.w.security != nil && !n.p.outlaw && n.p.cred.revoked(l.from.p.cred.public) {
		j.fail("%v takes a frame from %v, though it was told that it is expelled", n.ref, l.from.ref)
	}
}

// checkMembers checks that no member was expelled, and that a process is one member.
func (j *judge) checkMembers(r *registry) {
	if j.w.security == nil {
		return
	}
	at := make(map[*process]ring.Ref)
	for _, m := range r.auth.All() {
		x := j.incarnations[m.Ref()]
		if x == nil {
			continue // it was admitted at this moment
		}
		if x.expelled || x.p.outlaw {
			j.fail("%v was expelled, and is a member", m.Ref())
		}
		if was, twice := at[x.p]; twice {
			j.fail("%s is %v and %v", x.p.addr, was, m.Ref())
		}
		at[x.p] = m.Ref()
	}
}

// credentialsRefused is called when the ring's registry refuses the credentials of a process.
func (j *judge) credentialsRefused(p *process, r *registry, m register, code control.Code) {
	switch {
	case p.outlaw:
	case code == control.CodeExpelled:
		j.fail("%s was told that it is expelled", p.addr)
	case m.bySecret && m.secret == r.sec.state.secret:
		j.fail("%s was refused with the secret that the operator hands out", p.addr)
	case !m.bySecret && m.shown.admission != nil:
		found := j.w.security.issued[string(m.shown.admission)]
		if j.w.clock().Before(found.Until) && (!m.Want || m.ID == found.ID) {
			j.fail("%s was refused with the admission of %d/%d, which is good until %v, now %v", p.addr, found.ID, found.Incarnation, found.Until, j.w.clock())
		}
	}
}

// strangerToRegistry is called when a process does not know its ring's registry.
func (j *judge) strangerToRegistry(p *process, r *registry) {
	s, err := secure.ParseSuccession(r.sec.shows.succession)
	for _, k := range append(slices.Clone(p.cred.trust.Keys), secure.Key{}) {
		pinned := p.cred.trust.Pin != nil && len(p.cred.trust.Keys) == 0 && (r.sec.state.key().Pin() == *p.cred.trust.Pin || err == nil && s.Old.Pin() == *p.cred.trust.Pin)
		if pinned || k == r.sec.state.key() || err == nil && k == s.Old {
			j.fail("%s believes key %v, and does not know the registry with key %v", p.addr, k, r.sec.state.key())
		}
	}
}

// believes is called when a registry believes some of the ends that a member has shown. It must be
// able to check all of an honest one, as long as the ring has its first key.
func (j *judge) believes(r *registry, c *conn, shown, believed []control.Over) {
	if c.p == nil || c.p.outlaw || c.p.tellsLies || r.sec.state.succession != nil {
		return
	}
	if most := min(len(shown), control.MaxOver); len(believed) < most {
		j.fail("of %d ends that %s shows, registry %d believes %d", most, c.p.addr, r.gen, len(believed))
	}
}
