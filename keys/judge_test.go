package keys

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// judge watches all owners of a ring as their node's side sees them: it stands between the moving part
// and the states of each life. So it sees what a user's Owner sees, and knows which life that is.
//
// It finds a message that is handled twice, or out of order; a state that is not the one of which the
// latest handler has made; two lives that handle messages to a key though both live; and calls of an
// Owner that its documentation excludes.
//
// The end of a life excuses what the table of promises in docs/keys.md says of it, and nothing at other
// keys. A key may lose what was handled if the life that had its state has ended: the one that took it,
// resumed it, or handled last. A receiver whose Take has not returned takes nothing along. A message is
// handled twice if the life that has handled it before has ended, and never by one life. Its outcome is
// unknown if that life has ended, or one that had the key, since the source had an answer of a living
// holder; no living one handles it after that. A life that may be declared over at any time counts as one that has ended. What it has made may come back, if
// it has given it.
type judge struct {
	keys  []string // in the order of their points
	index map[string]int

	mu     sync.Mutex
	ends   uint64 // lives that were over without a leave
	lives  int
	peek   func(o Owner, key string) uint64 // the counter in a state, which no handler has
	books  []book                           // by key
	faults []string
	count  int             // of faults
	gaps   []time.Duration // from the end of the last handler before a move to the begin of the first one behind it
}

// book is what the judge knows of a key.
type book struct {
	term    uint64 // the greatest under which a handler has begun
	life    *judged
	running *judged   // handles a message now
	count   uint64    // the state's counter after the latest handler
	holder  *judged   // the latest life that has taken or resumed the state, or has handled a message
	died    bool      // a holder has ended, or has ended before it took, since a living life has handled one
	given   []uint64  // the counters of states that were given meanwhile
	lost    uint64    // states that began anew
	at      time.Time // the end of the latest handler
	from    []line    // by source
}

func newJudge(keys []string, sources int) *judge {
	j := &judge{keys: slices.Clone(keys), index: make(map[string]int), books: make([]book, len(keys))}
	slices.SortFunc(j.keys, func(a, b string) int { return cmp.Compare(Point(a), Point(b)) })
	for i, key := range j.keys {
		j.index[key] = i
		j.books[i].from = make([]line, sources)
	}
	return j
}

// fault notes what is wrong. It needs mu.
func (j *judge) fault(format string, args ...any) {
	if j.count++; len(j.faults) < 20 {
		j.faults = append(j.faults, fmt.Sprintf(format, args...))
	}
}

// within returns the indices of the keys in an arc.
func (j *judge) within(a Arc) (from, to int) {
	at := func(point uint64) int {
		i, _ := slices.BinarySearchFunc(j.keys, point, func(key string, p uint64) int { return cmp.Compare(Point(key), p) })
		return i
	}
	from, to = at(a.First), at(a.Last)
	for to < len(j.keys) && Point(j.keys[to]) == a.Last {
		to++
	}
	return from, to
}

// phase is what a life may do with a key.
type phase uint8

const (
	nothing phase = iota
	taken         // Take has returned, or Resume was called
	active        // it has handled since
	frozen        // Give was called
)

// judged is the Owner of a life, with the judge around it.
type judged struct {
	Owner
	j      *judge
	name   string
	phases []phase  // by key
	have   []uint64 // by key: the counter of its state
	had    []bool   // by key: it has had its state once
	over   bool     // the life may be declared over
}

// around puts the judge around the Owners of a node's lives.
func (j *judge) around(name string, offers func() Owner) func() Owner {
	var before *judged
	return func() Owner {
		j.mu.Lock()
		defer j.mu.Unlock()
		if before != nil {
			before.end()
		}
		j.lives++
		before = &judged{Owner: offers(), j: j, name: fmt.Sprint(name, "/", j.lives), phases: make([]phase, len(j.keys)),
			have: make([]uint64, len(j.keys)), had: make([]bool, len(j.keys))}
		return before
	}
}

// end needs mu.
func (l *judged) end() {
	if l != nil && !l.over {
		l.over = true
		l.j.ends++
		for i := range l.j.books {
			b := &l.j.books[i]
			b.died = b.died || b.holder == l
			if l.had[i] {
				b.hurt()
			}
		}
	}
}

type judgedKey struct{}

// Handle is [Owner].
func (l *judged) Handle(ctx context.Context, m Message) ([]byte, error) {
	l.begin(m)
	defer l.ended(m)
	return l.Owner.Handle(context.WithValue(ctx, judgedKey{}, l), m)
}

func (l *judged) begin(m Message) {
	l.j.mu.Lock()
	defer l.j.mu.Unlock()
	i := l.j.index[m.Key]
	b := &l.j.books[i]
	if l.over {
		return
	}
	switch before := l.phases[i]; before {
	case nothing, frozen:
		l.j.fault("%s handles a message to %s, which it has not (phase %d)", l.name, m.Key, before)
	}
	l.phases[i] = active
	if r := b.running; r != nil && !r.over {
		l.j.fault("%s handles a message to %s while %s does", l.name, m.Key, r.name)
	}
	switch {
	case m.Term < b.term:
		l.j.fault("%s handles a message to %s under term %x; %s has begun with %x", l.name, m.Key, m.Term, b.life.name, b.term)
	case m.Term == b.term && l != b.life:
		l.j.fault("%s and %s handle messages to %s under one term", l.name, b.life.name, m.Key)
	case l != b.life:
		if b.life != nil && !b.life.over && b.life.phases[i] == active {
			l.j.fault("%s handles a message to %s, and %s has not given it", l.name, m.Key, b.life.name)
		}
		if b.life != nil && !b.life.over {
			l.j.gaps = append(l.j.gaps, time.Since(b.at))
		}
	}
	b.term, b.life, b.running = m.Term, l, l
}

func (l *judged) ended(m Message) {
	l.j.mu.Lock()
	defer l.j.mu.Unlock()
	if b := &l.j.books[l.j.index[m.Key]]; b.running == l {
		b.running, b.at = nil, time.Now()
	}
}

// Give is [Owner].
func (l *judged) Give(ctx context.Context, a Arc, w io.Writer) error {
	l.operation("Give", a, frozen)
	return l.Owner.Give(ctx, a, w)
}

// Take is [Owner].
func (l *judged) Take(ctx context.Context, a Arc, r io.Reader) error {
	l.operation("Take", a, nothing)
	err := l.Owner.Take(ctx, a, r)
	if err == nil {
		l.operation("Take", a, taken)
	}
	return err
}

// Resume is [Owner].
func (l *judged) Resume(a Arc) {
	l.Owner.Resume(a)
	l.operation("Resume", a, taken)
}

// Drop is [Owner].
func (l *judged) Drop(ctx context.Context, a Arc, lost bool) {
	l.operation("Drop", a, nothing)
	l.Owner.Drop(ctx, a, lost)
}

// operation notes what a life may do with the keys of an arc from now on.
func (l *judged) operation(what string, a Arc, to phase) {
	l.j.mu.Lock()
	defer l.j.mu.Unlock()
	from, until := l.j.within(a)
	for i := from; i < until; i++ {
		b := &l.j.books[i]
		if b.running == l && !l.over {
			l.j.fault("%s: %s of an arc with %s, to which it handles a message", l.name, what, l.j.keys[i])
		}
		switch to {
		case frozen:
			if l.phases[i] == nothing && !l.over {
				l.j.fault("%s: Give of an arc with %s, which it has not", l.name, l.j.keys[i])
			}
			if !slices.Contains(b.given, l.have[i]) {
				b.given = append(b.given, l.have[i])
			}
		case taken:
			if what == "Take" {
				l.takes(i)
			}
			b.holder, l.had[i] = l, true
			if l.over {
				b.died = true
				b.hurt()
			}
		case nothing:
			l.have[i] = 0
		}
		l.phases[i] = to
	}
}

// takes looks at the state of a key that a life has taken. It needs mu.
func (l *judged) takes(i int) {
	b := &l.j.books[i]
	if l.have[i] = b.count; !b.died && !l.over {
		return // its first handler has it looked at
	}
	l.have[i] = l.j.peek(l.Owner, l.j.keys[i])
	if got := l.have[i]; !l.over && got != b.count && got != 0 && !slices.Contains(b.given, got) {
		l.j.fault("%s has taken %s with a counter of %d, want %d, 0 or one of %d", l.name, l.j.keys[i], got, b.count, b.given)
	}
}

// step is called by a handler: it is about to count a message in a state. anew says that no owner has
// handed the state over.
func (j *judge) step(ctx context.Context, key string, source int, n uint64, again bool, before *tallied, anew bool) {
	l, _ := ctx.Value(judgedKey{}).(*judged)
	j.mu.Lock()
	defer j.mu.Unlock()
	i := j.index[key]
	b := &j.books[i]
	f := &b.from[source]
	earlier := f.by(n)
	excused := again && earlier != l && (l.over || earlier != nil && earlier.over)
	if f.handled.has(n) {
		if f.twice++; !excused {
			j.fault("%s handles message %d of source %d to %s again", l.name, n, source, key)
		}
	}
	f.handled.add(n)
	f.note(n, l)
	if l.over && l.phases[i] == nothing { // its states are dropped while its last handlers run
		return
	}
	if before.Count != l.have[i] {
		j.fault("%s has %s with a counter of %d, had %d (%d lives have ended)", l.name, key, before.Count, l.have[i], j.ends)
	}
	if n <= before.Last[source] && !excused {
		j.fault("%s handles message %d of source %d to %s after %d", l.name, n, source, key, before.Last[source])
	}
	l.have[i] = before.Count + 1
	if l.over { // it may still give what it makes
		return
	}
	switch told := f.told.has(n); {
	case told:
		j.fault("%s handles message %d of source %d to %s, whose outcome was said to be unknown", l.name, n, source, key)
	case n <= f.acked:
		j.fault("%s handles message %d of source %d to %s, which was answered", l.name, n, source, key)
	}
	if anew && b.count > 0 {
		b.lost++
	}
	switch {
	case b.died: // what has made the rest may be lost
		for s := range b.from {
			b.from[s].last = before.Last[s]
		}
	case before.Count != b.count:
		j.fault("%s has %s with a counter of %d, want %d (%d lives have ended)", l.name, key, before.Count, b.count, j.ends)
	case before.Last[source] != f.last:
		j.fault("%s has %s with %d of source %d, want %d", l.name, key, before.Last[source], source, f.last)
	}
	f.last, b.count, b.holder, b.died, b.given = n, before.Count+1, l, false, b.given[:0]
}

// told notes that the outcome of a message is not known to its source.
func (j *judge) told(key string, source int, n uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := &j.books[j.index[key]]
	f := &b.from[source]
	switch l := f.by(n); {
	case f.told.has(n):
		j.fault("source %d is told twice that message %d to %s has no known outcome", source, n, key)
	case l != nil && !l.over:
		j.fault("source %d is told that message %d to %s has no known outcome; %s has handled it, and lives", source, n, key, l.name)
	case !f.hurt && n > f.excused:
		j.fault("source %d is told that message %d to %s has no known outcome, and no life that had the key has ended since %d", source, n, key, f.excused)
	}
	f.told.add(n)
}

// acked notes that all messages of a source to a key up to one have their outcomes.
func (j *judge) acked(key string, source int, n uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := &j.books[j.index[key]]
	f := &b.from[source]
	f.acked = n
	if l := f.by(n); f.hurt && l != nil && l == b.holder && !l.over {
		f.hurt, f.excused = false, n
	}
}

// sums are those of a run, in messages, but for anew: states that began anew.
type sums struct{ handled, lost, twice, unknown, unknownHandled, anew int }

// settle takes how many messages each source has sent to each key, and sums up. A message that was
// neither handled nor told is a fault.
func (j *judge) settle(sent func(key string, source int) uint64) (v sums) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, key := range j.keys {
		v.anew += int(j.books[i].lost)
		for source := range j.books[i].from {
			f := &j.books[i].from[source]
			v.twice += f.twice
			for n := uint64(1); n <= sent(key, source); n++ {
				handled, told := f.handled.has(n), f.told.has(n)
				switch {
				case handled && told:
					v.unknownHandled++
				case !handled && !told:
					v.lost++
					j.fault("message %d of source %d to %s was neither handled nor told", n, source, key)
				}
				if handled {
					v.handled++
				}
				if told {
					v.unknown++
				}
			}
		}
	}
	return v
}

// final takes the counter of a key when all is over.
func (j *judge) final(key string, got uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := j.index[key]
	b := &j.books[i]
	if l := b.holder; l == nil || got != l.have[i] || got != b.count && !b.died {
		j.fault("%s counts %d at the end, want %d", key, got, b.count)
	}
}
