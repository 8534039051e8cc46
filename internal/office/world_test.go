package office

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"
)

// world is a store, three registries, and nodes. Time is that of the world; each process has clocks of
// its own.
type world struct {
	rng   *rand.Rand
	now   time.Duration
	queue queue
	order uint64
	log   func(format string, args ...any)
	judge *judge

	store *store
	regs  []*registry
	nodes []*node
	procs []*proc               // the store's too
	cuts  [16][16]time.Duration // until when

	lease, ttl, forsake time.Duration
	slow                int  // of so many messages to the store one is late
	lost                int  // and one is lost
	nasty               bool // processes stop in the middle of their work
	calm                bool // the faults are over
	totals              totals
}

type event struct {
	at    time.Duration
	order uint64
	run   func()
}

type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}

func (w *world) after(d time.Duration, run func()) {
	w.order++
	heap.Push(&w.queue, event{w.now + max(0, d), w.order, run})
}

func (w *world) pop() event { return heap.Pop(&w.queue).(event) }

// one reports one of n.
func (w *world) one(n int) bool { return n > 0 && w.rng.IntN(n) == 0 }

// upTo is a random time.
func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d) + 1)) }

func (w *world) delay() time.Duration { return w.lease/5000 + w.upTo(w.lease/100) }

// proc is a process with the clocks of its machine.
type proc struct {
	w      *world
	at     int // in world.procs
	name   string
	down   bool
	life   int           // of the process: what is for an earlier one is dropped
	until  time.Duration // it stands still until then
	since  time.Duration
	asleep bool // with its machine: the monotonic clock stands still
	inbox  []func()

	rate     float64
	wall     time.Duration // at the beginning
	sleeping time.Duration // in all
	resumed  func(stood time.Duration)
}

func (w *world) process(name string) *proc {
	p := &proc{w: w, at: len(w.procs), name: name, rate: 1 + (w.rng.Float64()-0.5)*0.04}
	w.procs = append(w.procs, p)
	return p
}

func (p *proc) String() string { return p.name }

func (p *proc) still() bool { return p.w.now < p.until }

func (p *proc) clocks() Clocks {
	ran := time.Duration(float64(p.w.now) * p.rate)
	return Clocks{Mono: ran - p.sleeping + time.Hour, Wall: ran + p.wall}
}

// run runs something in a process when it runs. It is dropped if the process has ended before.
func (p *proc) run(life int, f func()) {
	switch {
	case p.down || p.life != life:
	case p.still():
		p.inbox = append(p.inbox, f)
	default:
		f()
	}
}

// later is a timer of a process.
func (p *proc) later(d time.Duration, f func()) {
	life := p.life
	p.w.after(time.Duration(float64(max(0, d))/p.rate), func() { p.run(life, f) })
}

// stop lets a process stand still, with its machine or alone.
func (p *proc) stop(d time.Duration, asleep bool) {
	if p.down || p.still() {
		return
	}
	w := p.w
	w.log("%v %v stands still for %v, with its machine %v", w.now, p, d, asleep)
	p.since, p.until, p.asleep = w.now, w.now+d, asleep
	w.after(d, p.resume)
}

func (p *proc) resume() {
	if p.still() || p.until == 0 {
		return
	}
	stood := p.w.now - p.since
	if p.asleep {
		p.sleeping += time.Duration(float64(stood) * p.rate)
	}
	p.until, p.asleep = 0, false
	if p.down {
		p.inbox = nil
		return
	}
	p.w.log("%v %v goes on", p.w.now, p)
	if p.resumed != nil {
		p.resumed(stood)
	}
	all, life := p.inbox, p.life
	p.inbox = nil
	for _, f := range all { // it may stop again between two of them
		p.w.after(0, func() { p.run(life, f) })
	}
}

// crash ends a process.
func (p *proc) crash() {
	p.down, p.inbox = true, nil
	p.life++
}

func (w *world) cut(a, b *proc) time.Duration { return max(w.cuts[a.at][b.at], w.cuts[b.at][a.at]) }

// send carries a message from one process to another. last keeps the order of a connection; what
// is sent while the way is cut comes when it is whole.
func (w *world) send(from, to *proc, last *time.Duration, f func()) {
	life := to.life
	at := max(w.now, w.cut(from, to)) + w.delay()
	at = max(at, *last+1)
	*last = at
	w.after(at-w.now, func() {
		if until := w.cut(from, to); until > w.now { // cut meanwhile
			w.send(from, to, last, f)
			return
		}
		to.run(life, f)
	})
}

// store is linearizable. Answers may be late or lost.
type store struct {
	*proc
	Snapshot
	rev    uint64
	ends   map[uint64]time.Duration // of leases
	number uint64
	away   time.Duration // until then
	build  int           // what was sent before it was restored is lost
	copies []Snapshot
}

// expire lets the office go with its lease.
func (s *store) expire() {
	if l := s.Office.Lease; l != 0 && s.w.now >= s.ends[l] {
		s.free()
	}
}

func (s *store) free() {
	s.rev++
	s.Office, s.OfficeRev = Record{}, s.rev
}

func (s *store) lives(lease uint64) bool { return s.w.now < s.ends[lease] }

// leases end up to an eighth of a TTL late.
func (s *store) extend(lease uint64) { s.ends[lease] = s.w.now + s.w.ttl + s.w.upTo(s.w.ttl/8) }

func (s *store) put(r Record) {
	s.rev++
	s.Office, s.OfficeRev, s.Term, s.TermRev = r, s.rev, r.Term, s.rev
	s.w.judge.drawn(r)
}

func (s *store) do(op Op) (a Answer) {
	s.expire()
	a.Number = op.Number
	before := s.OfficeRev
	switch op.Kind {
	case Grant:
		s.number++
		a.Lease, a.OK = s.number, true
		s.extend(a.Lease)
	case Renew:
		if a.OK = s.lives(op.Lease); a.OK {
			s.extend(op.Lease)
		}
	case Revoke:
		delete(s.ends, op.Lease)
		s.expire()
	case Read:
		a.OK = true
	case Elect:
		if a.OK = s.Office.Lease == 0 && s.TermRev == op.TermRev && s.lives(op.Record.Lease); a.OK {
			s.put(op.Record)
		}
	case Put:
		if a.OK = s.OfficeRev == op.OfficeRev && s.Office.Lease == op.Lease && s.lives(op.Lease) && s.lives(op.Record.Lease); a.OK {
			s.put(op.Record)
		}
	case PutRing:
		if a.OK = s.Office.Lease == op.Lease && s.lives(op.Lease) && s.RingRev == op.RingRev; a.OK {
			s.rev++
			s.Ring, s.RingRev = op.Ring, s.rev
		}
	}
	a.Snapshot = s.Snapshot
	if s.OfficeRev != before {
		s.w.log("%v the store has %+v", s.w.now, s.Office)
		for _, r := range s.w.regs {
			var none time.Duration
			s.w.send(s.proc, r.proc, &none, func() { r.o.Hint(r.clocks()) })
		}
		if s.w.one(3) {
			s.copies = append(s.copies, s.Snapshot)
		}
	}
	return a
}

// restore puts an old copy in the place of what the store has, or nothing. Leases in it begin anew.
func (s *store) restore(old Snapshot) {
	s.w.log("%v the store is restored: %+v", s.w.now, old)
	s.build++
	s.Snapshot, s.ends = old, map[uint64]time.Duration{}
	s.rev = max(old.OfficeRev, old.TermRev, old.RingRev)
	if old.Office.Lease != 0 {
		s.extend(old.Office.Lease)
	}
}

// Do is [Output]: the call goes to the store, and its answer comes back.
func (r *registry) Do(op Op) {
	w, s := r.w, r.w.store
	var none time.Duration
	life, build := r.life, s.build
	there := func() {
		if s.build != build || w.now < s.away || w.cut(r.proc, s.proc) > w.now {
			return
		}
		a := s.do(op)
		if w.one(w.lost) && !w.calm {
			w.totals.LostAnswers++
			return
		}
		back := func() {
			if !r.down && r.life == life {
				w.send(s.proc, r.proc, &none, func() { r.o.Answer(r.clocks(), a) })
			}
		}
		if w.one(w.slow) && !w.calm {
			w.after(w.upTo(w.ttl/3), back)
		} else {
			back()
		}
	}
	d := w.delay()
	if w.one(w.slow) && !w.calm {
		w.totals.LateCalls++
		d = w.upTo(2 * w.ttl)
	}
	w.after(d, there)
}

func (w *world) String() string {
	return fmt.Sprintf("lease %v, TTL %v, %d nodes", w.lease, w.ttl, len(w.nodes))
}
