package office

import "time"

// node wants to be a member all the time. Of tables it keeps the epoch.
type node struct {
	*proc
	Taken
	id, member uint64 // its life, 0 if it has none
	seen       uint64
	identity   string
	finder     *Finder
	forsaking  Forsaking
	conn       *conn         // of a member, or the one on which it has asked
	joined     bool          // conn is that of a member
	excused    time.Duration // until then faults of its own explain what happens to it
	foreign    bool
}

func (n *node) mono() time.Duration { return n.clocks().Mono }

func (n *node) start() {
	n.down = false
	n.Taken, n.id, n.member, n.seen, n.identity, n.conn, n.joined = Taken{}, 0, 0, 0, "", nil, false
	n.search()
}

// search makes ready to look for the holder.
func (n *node) search() {
	w := n.w
	n.resumed = n.goesOn
	var addrs []string
	for _, i := range w.rng.Perm(len(w.regs)) {
		addrs = append(addrs, w.regs[i].name)
	}
	n.finder = NewFinder(addrs, w.lease, w.upTo)
	n.forsaking = Forsaking{After: w.forsake}
	n.knock(n.finder.Next(n.mono()))
}

// goesOn follows a time in which the process stood still. What its connection has brought meanwhile is
// old: it is not read.
func (n *node) goesOn(stood time.Duration) {
	if n.joined && stood > n.w.lease {
		n.lost("")
	}
}

func (n *node) knock(k Knock) {
	n.later(k.At-n.mono(), func() { n.ask(k) })
}

func (n *node) next() {
	if n.conn != nil {
		n.conn.gone = true
	}
	n.conn, n.joined = nil, false
	n.knock(n.finder.Next(n.mono()))
}

func (n *node) ask(k Knock) {
	w := n.w
	var r *registry
	for _, q := range w.regs {
		if q.name == k.Addr {
			r = q
		}
	}
	c := &conn{n: n, r: r}
	n.conn, n.joined = c, false
	timeout := k.Timeout
	if r.down && w.cut(n.proc, r.proc) <= w.now {
		timeout = min(timeout, w.delay())
	}
	n.later(timeout, func() {
		if n.conn == c && !n.joined {
			n.next()
		}
	})
	claim, id := Claim{Identity: n.identity, Life: n.member, Epoch: n.Epoch, Seen: n.seen}, n.id
	sent := n.mono()
	c.heard = sent
	c.toRegistry(func(r *registry) { r.register(c, claim, id) })
}

func (n *node) registered(c *conn, term Term, ring string, id, life uint64) {
	if n.conn != c {
		return
	}
	if !n.Accepts(term) {
		n.w.totals.LowerTerms++
		n.w.log("%v %v does not go back to term %d of %v", n.w.now, n, term, c.r)
		n.next()
		return
	}
	n.w.log("%v %v is %d, life %d, at %v", n.w.now, n, id, life, c.r)
	n.w.judge.merges(n, ring)
	n.id, n.member, n.identity, n.seen, n.Life = id, life, ring, max(n.seen, life), life
	n.joined = true
	n.forsaking.Own()
	n.later(0, func() { n.beat(c) })
}

func (n *node) refused(c *conn, code int, holder string, term Term, ring string) {
	if n.conn != c {
		return
	}
	switch code {
	case 8:
		n.w.log("%v %v: its life is over", n.w.now, n)
		n.w.judge.over(n)
		n.member = 0
	case 11:
		if n.forsaking.Other(n.mono(), n.w.lease) {
			n.w.log("%v %v forsakes its ring", n.w.now, n)
			n.w.totals.Forsaken++
			n.w.judge.forsakes(n)
			n.member, n.identity, n.forsaking = 0, "", Forsaking{After: n.w.forsake}
		}
	case 12:
		if n.identity != "" && ring == n.identity {
			n.forsaking.Own()
		}
		if holder != "" && term >= TermOf(n.Epoch) {
			n.w.totals.Redirects++
			n.finder.Redirected(holder)
		}
	}
	n.conn.gone = true
	n.conn = nil
	if code == 10 || code == 8 {
		n.knock(n.finder.Waits(n.mono()))
	} else {
		n.knock(n.finder.Next(n.mono()))
	}
}

func (n *node) table(c *conn, epoch uint64) {
	if n.conn != c || !n.Takes(epoch) {
		return
	}
	n.w.judge.table(n, epoch)
	n.Epoch = epoch
}

func (n *node) bye(c *conn, successor string) {
	if n.conn == c {
		n.lost(successor)
	}
}

func (n *node) lost(successor string) {
	n.w.log("%v %v has lost %v", n.w.now, n, n.conn.r)
	n.finder.Lost(successor)
	n.next()
}

// beat keeps the connection alive, and notices that it is not.
func (n *node) beat(c *conn) {
	if n.conn != c || !n.joined {
		return
	}
	sent := n.mono()
	if sent-c.heard > n.w.lease {
		n.lost("")
		return
	}
	c.toRegistry(func(r *registry) { r.beat(c, sent) })
	n.later(n.w.lease/4, func() { n.beat(c) })
}
