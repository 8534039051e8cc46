package office

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

const ids = 14 // in the ring

// registry is a small model of one: members, their lives, and tables that are epochs only.
type registry struct {
	*proc
	o *Office
	d *Desk

	books    books
	state    State
	handed   books // the state that it has received as a standby
	handedOf State
	conns    []*conn
	ran      time.Duration // time in which it has run
	ticked   Clocks
	planDue  bool
	filling  time.Duration
}

type books struct {
	members map[uint64]*member
	ended   map[uint64]bool // lives
}

type member struct {
	id, life uint64
	conn     *conn
	heard    time.Duration
}

func (b books) clone() books {
	c := books{map[uint64]*member{}, maps.Clone(b.ended)}
	for id, m := range b.members {
		c.members[id] = &member{id: id, life: m.life}
	}
	return c
}

func newBooks() books { return books{map[uint64]*member{}, map[uint64]bool{}} }

// conn is a connection of a node to a registry. Each side may have closed it.
type conn struct {
	n          *node
	r          *registry
	up, down   time.Duration
	gone, over bool // closed at the node, at the registry
	m          *member
	heard      time.Duration // at the node: the sending of the latest beat that was answered
}

func (c *conn) toNode(f func(*node)) {
	c.r.w.send(c.r.proc, c.n.proc, &c.down, func() {
		if !c.gone {
			f(c.n)
		}
	})
}

func (c *conn) toRegistry(f func(*registry)) {
	c.n.w.send(c.n.proc, c.r.proc, &c.up, func() {
		if !c.over {
			f(c.r)
		}
	})
}

func (r *registry) start() {
	w := r.w
	r.down = false
	r.books, r.state, r.handed, r.conns, r.d = newBooks(), State{}, books{}, nil, nil
	r.ticked = r.clocks()
	r.o = New(Config{Addr: r.name, TTL: w.ttl, Draw: w.rng.Uint64}, r, r.clocks())
	r.later(w.upTo(w.ttl/10), r.tick)
}

func (r *registry) decide(what string) bool {
	if !r.o.MayDecide(r.clocks()) {
		return false
	}
	r.w.judge.decides(r, what)
	return true
}

// tick is the loop of a registry.
func (r *registry) tick() {
	w, now := r.w, r.clocks()
	step := min(w.ttl/10, w.lease/8)
	r.later(step, r.tick)
	past := min(now.Since(r.ticked), 2*step)
	r.ticked = now
	r.o.Advance(now)
	if !r.o.Holding() || r.o.MayDecide(now) { // members are not answered in the meantime
		r.ran += past
	}
	if !r.o.Holding() {
		return
	}
	if w.nasty && w.one(150) && !w.calm {
		r.stop(w.upTo(2*w.ttl), w.one(2))
		r.later(0, r.work)
		return
	}
	r.work()
}

// work makes the decisions that are due.
func (r *registry) work() {
	if !r.o.Holding() {
		return
	}
	if r.d.GraceOver(r.ran) {
		r.w.judge.graceOver(r)
		r.planDue = true
		for _, m := range r.books.members {
			m.heard = max(m.heard, r.ran)
		}
	}
	r.keepRing()
	if r.d.Recovering() {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(r.books.members)) {
		if m := r.books.members[id]; r.ran-m.heard > r.w.lease*5/4 && r.decide("a death") {
			r.w.log("%v %v declares %d of node %d dead", r.w.now, r, m.life, m.id)
			r.w.judge.dead(m)
			r.end(m)
			r.planDue = true
		}
	}
	if r.planDue && len(r.books.members) > 0 && r.decide("a plan") {
		r.planDue = false
		epoch := r.d.NextEpoch()
		for _, id := range slices.Sorted(maps.Keys(r.books.members)) {
			if m := r.books.members[id]; m.conn != nil {
				m.conn.toNode(func(n *node) { n.table(m.conn, epoch) })
			}
		}
	}
}

func (r *registry) end(m *member) {
	delete(r.books.members, m.id)
	r.books.ended[m.life] = true
	if m.conn != nil {
		r.hangUp(m.conn, "")
	}
}

func (r *registry) hangUp(c *conn, successor string) {
	c.toNode(func(n *node) { n.bye(c, successor) })
	c.over = true
	r.conns = slices.DeleteFunc(r.conns, func(d *conn) bool { return c == d })
	if c.m != nil && c.m.conn == c {
		c.m.conn = nil
	}
}

// keepRing lets the store know what there is.
func (r *registry) keepRing() {
	if r.d.Identity() == "" {
		return
	}
	empty := r.o.ring.Empty && r.o.ring.Identity != ""
	switch {
	case len(r.books.members) > 0, r.ran < r.filling:
		empty = false
	case !r.d.Recovering():
		empty = true
	}
	if want := (Ring{r.d.Identity(), empty}); want != r.o.ring {
		r.o.SetRing(r.clocks(), want)
	}
}

// Entered is [Output].
func (r *registry) Entered(t Tenure) {
	r.w.log("%v %v is in office: %+v", r.w.now, r, t)
	r.w.totals.Elected++
	switch {
	case t.Own:
		r.w.totals.Own++
		r.books = r.books.clone()
	case t.Handed:
		r.w.totals.HandedOver++
		r.books, r.state = r.handed.clone(), r.handedOf
	default:
		r.books, r.state = newBooks(), State{}
	}
	for _, m := range r.books.members {
		m.heard = r.ran + r.w.lease
	}
	r.d = NewDesk(t, r.state, r.w.lease, r.ran)
	r.planDue, r.filling = true, 0
}

// Raised is [Output].
func (r *registry) Raised(t Term) {
	r.w.log("%v %v has raised its term to %d", r.w.now, r, t)
	r.w.totals.Raised++
	r.d.RaisedTo(t)
	r.planDue = true
}

// Left is [Output].
func (r *registry) Left(why, successor string) {
	r.w.log("%v %v has left the office: %s", r.w.now, r, why)
	r.state = r.d.State()
	for _, c := range slices.Clone(r.conns) {
		r.hangUp(c, successor)
	}
}

// SendState is [Output].
func (r *registry) SendState(to string, nonce uint64) {
	w := r.w
	w.totals.States++
	copied, state := r.books.clone(), r.d.State()
	for _, q := range w.regs {
		if q.name != to || w.one(5) {
			continue
		}
		var none time.Duration
		w.send(r.proc, q.proc, &none, func() {
			lease := q.o.Receive(q.clocks(), nonce)
			if lease == 0 {
				return
			}
			q.handed, q.handedOf = copied, state
			if !w.one(3) {
				w.send(q.proc, r.proc, &none, func() { r.o.Confirmed(r.clocks(), nonce, lease) })
			}
		})
	}
}

// GoesOn is [Output].
func (r *registry) GoesOn(why string) {
	r.w.totals.GivenUp++
	r.w.log("%v %v goes on: %s", r.w.now, r, why)
}

// register takes a node's Register.
func (r *registry) register(c *conn, claim Claim, id uint64) {
	w, now := r.w, r.clocks()
	refuse := func(code int) {
		holder, term := r.o.Known(now)
		ring := r.o.snap.Ring.Identity
		w.log("%v %v refuses %v: %d %s", w.now, r, c.n, code, holder)
		c.toNode(func(n *node) { n.refused(c, code, holder, term, ring) })
		c.over = true
	}
	switch {
	case !r.o.Holding():
		refuse(12)
		return
	case !r.o.MayDecide(now):
		refuse(10)
		return
	}
	if !Plausible(TermOf(max(claim.Life, claim.Epoch, claim.Seen)), r.o.snap.Term, now.Wall) {
		refuse(10)
		return
	}
	standing := Unknown
	if m := r.books.members[id]; m != nil && m.life == claim.Life {
		standing = Member
	} else if r.books.ended[claim.Life] {
		standing = Ended
	}
	v, above := r.d.Meet(r.ran, claim, standing)
	if above != 0 {
		w.log("%v %v meets %v with term %d", w.now, r, c.n, above)
		r.o.Raise(now, above)
	}
	switch v {
	case Admit:
		r.admit(c, claim, refuse)
	case Resumed:
		r.resume(c, claim.Life, id, refuse)
	case Wait:
		refuse(10)
	case Over:
		refuse(8)
	case Other:
		w.totals.OtherRing++
		refuse(11)
	}
}

func (r *registry) admit(c *conn, claim Claim, refuse func(int)) {
	if len(r.books.members) == 0 {
		r.d.Found(func() string { r.w.totals.Founded++; return fmt.Sprint("ring ", r.w.rng.Uint64()) })
		r.filling = r.ran + r.w.lease
	}
	if r.keepRing(); !r.o.RingKept() || r.o.ring.Empty {
		refuse(10)
		return
	}
	if len(r.books.members) == ids { // some of them are dead
		refuse(10)
		return
	}
	id := r.w.rng.Uint64N(ids)
	for r.books.members[id] != nil {
		id = (id + 1) % ids
	}
	if !r.decide("an admission") {
		return
	}
	m := &member{id: id, life: r.d.NextLife(claim.Seen)}
	r.w.judge.admits(r, m)
	r.books.members[id] = m
	r.bind(m, c)
}

func (r *registry) resume(c *conn, life, id uint64, refuse func(int)) {
	m := r.books.members[id]
	switch {
	case m != nil && m.life > life:
		refuse(8)
		return
	case m != nil && m.life < life:
		r.end(m)
		m = nil
	}
	if m == nil {
		m = &member{id: id, life: life}
		r.books.members[id] = m
	}
	r.d.Back(r.ran, r.w.lease)
	r.keepRing()
	r.bind(m, c)
}

func (r *registry) bind(m *member, c *conn) {
	if old := m.conn; old != nil && old != c {
		r.hangUp(old, "")
	}
	m.conn, m.heard, c.m = c, r.ran, m
	r.conns = append(r.conns, c)
	r.planDue = true
	term, ring, id, life := r.d.Term, r.d.Identity(), m.id, m.life
	c.toNode(func(n *node) { n.registered(c, term, ring, id, life) })
}

// beat takes a heartbeat, and answers it.
func (r *registry) beat(c *conn, sent time.Duration) {
	if c.m != nil && c.m.conn == c {
		c.m.heard = max(c.m.heard, r.ran)
		c.toNode(func(*node) { c.heard = max(c.heard, sent) })
	}
}
