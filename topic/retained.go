package topic

import (
	"cmp"
	"container/list"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/x/ringdht/topic/internal/broadcast"
)

const (
	maxSubjects   = 16 << 10 // retained messages
	maxRetained   = 16 << 20 // bytes of them, or one message
	pageBytes     = 64 << 10 // of retained messages in an answer, or one message
	pageOverhead  = 3 * binary.MaxVarintLen64
	entryOverhead = 4 * binary.MaxVarintLen64
)

// store has the latest message of each subject, by stamp, then by publisher and by number, so that it is
// the same one at all members. The hub's mu guards it.
type store struct {
	bySubject map[string]*list.Element // its values are those of byAge
	byAge     list.List                // of *kept, the latest put in at the back
	bytes     int
	forgotten uint64
}

type kept struct {
	at place
	envelope
}

func newStore() *store { return &store{bySubject: make(map[string]*list.Element)} }

// put keeps a message if it is later than the one that is kept.
func (s *store) put(at place, e envelope) {
	if was := s.bySubject[string(e.subject)]; was != nil {
		k := was.Value.(*kept)
		if cmp.Or(cmp.Compare(e.stamp, k.stamp), cmp.Compare(at.from.Incarnation, k.at.from.Incarnation), cmp.Compare(at.number, k.at.number)) <= 0 {
			return
		}
		s.remove(was)
	}
	s.bySubject[string(e.subject)] = s.byAge.PushBack(&kept{at, e})
	s.bytes += len(e.all)
	for s.byAge.Len() > 1 && (s.byAge.Len() > maxSubjects || s.bytes > maxRetained) {
		s.forgotten++
		s.remove(s.byAge.Front())
	}
}

func (s *store) remove(el *list.Element) {
	k := s.byAge.Remove(el).(*kept)
	s.bytes -= len(k.all)
	delete(s.bySubject, string(k.subject))
}

// give gives a subscription the message of its subject, unless it was the last one to come.
func (s *store) give(sub *subscription) {
	el := s.bySubject[sub.subject]
	if el == nil {
		return
	}
	if k := el.Value.(*kept); k.at != sub.latest {
		sub.push(k.at, &k.envelope)
		sub.retained = k.at
	}
}

// after yields what is kept of later subjects, in their order.
func (s *store) after(a ask, yield func(*kept) bool) {
	subjects := slices.Sorted(maps.Keys(s.bySubject))
	for _, subject := range subjects {
		if (!a.more || subject > a.after) && !yield(s.bySubject[subject].Value.(*kept)) {
			return
		}
	}
}

// The frames by which a newcomer gets what is retained, besides those of the core. Numbers are varints.
//
//	kindAsk   number of the question; nothing, or 1 and the subject behind which to go on
//	kindPage  number of the question; 1 if there is more; for each message its publisher's ID and
//	          incarnation, its number, the length of the envelope, and the envelope; by ascending
//	          subjects, and one at least if there is more
const (
	kindAsk  = 0x81
	kindPage = 0x82
)

// fetch is how a life gets what was retained before it stood. It asks the member whose first list is
// the oldest one. That member has got, as a member or in this way, all that was published before
// Settled. It answers when it is complete itself; it waits only for older ones, so none waits for another
// in a circle.
//
//	joining ─ Stands ─▶ toSettle ─▶ settling ─ Settled ─▶ toAsk ─▶ asking ─ last page ─▶ fetched
//	                       ▲                                │ └─ this node is the eldest ─▶ fetched
//	                       └────── the eldest has ended ────┴── asking ─ a page makes no sense ─▶ fetched
type fetch struct {
	state     fetchState
	eldest    broadcast.Member
	number    uint64 // of the latest question
	next      ask
	askers    map[uint64]ask  // questions of others that wait until this life is complete
	delivered map[string]bool // subjects with a subscription of which a message came before
	before    *store          // of the life before: for an eldest one
}

type fetchState uint8

const (
	joining fetchState = iota
	toSettle
	settling
	toAsk
	asking
	fetched
)

// ask is a question for what is retained.
type ask struct {
	number uint64
	more   bool // only what is behind the subject
	after  string
}

// step takes the next step, and reports whether another may follow at once. It needs mu.
func (l *life) step() bool {
	f := &l.fetch
	switch f.state {
	case toSettle:
		f.state = settling
		l.core.Settle()
		return true
	case toAsk, asking:
		switch incarnation, there := l.h.roll.told[f.eldest.ID]; {
		case f.eldest == l.self:
			for el := f.before.byAge.Front(); el != nil; el = el.Next() {
				k := el.Value.(*kept)
				l.h.store.put(k.at, k.envelope)
			}
			l.finish()
		case !there || incarnation != f.eldest.Incarnation:
			f.state = toSettle
			return true
		case f.state == toAsk:
			f.state, f.number = asking, f.number+1
			b := binary.AppendUvarint([]byte{kindAsk}, f.number)
			if f.next.more {
				b = append(append(b, 1), f.next.after...)
			}
			l.put(l.outbox(f.eldest.ID), item{b: b})
		}
	}
	return false
}

// finish makes the life complete. It needs mu.
func (l *life) finish() {
	l.complete, l.fetch.state = true, fetched
	for subject, all := range l.h.subs {
		if !l.fetch.delivered[subject] {
			for _, s := range all {
				l.h.store.give(s)
			}
		}
	}
	for from, a := range l.fetch.askers {
		l.sendPage(from, a)
	}
	l.fetch = fetch{state: fetched}
	l.h.announce()
}

// asked takes a question of another member.
func (l *life) asked(from uint64, b []byte) (ok bool) {
	number, n := binary.Uvarint(b)
	if n <= 0 {
		return false
	}
	a := ask{number: number}
	if b = b[n:]; len(b) > 1+maxName {
		return false
	}
	if len(b) > 0 {
		a.more, a.after = true, string(b[1:])
	}
	if l.complete || !l.h.retained {
		l.sendPage(from, a)
	} else {
		l.fetch.askers[from] = a
	}
	return true
}

// sendPage answers a question. While the answer to another one waits for that member it keeps the question:
// a sound member asks for no page before it has got the one before.
func (l *life) sendPage(to uint64, a ask) {
	o, page := l.outbox(to), again{kind: kindPage, life: l.h.roll.told[to]}
	if o.again[page] {
		o.asked = &a
		return
	}
	most := min(pageBytes, l.h.n.MaxPayload()-pageOverhead)
	b := append(binary.AppendUvarint([]byte{kindPage}, a.number), 0)
	flag, first := len(b)-1, true
	l.h.store.after(a, func(k *kept) bool {
		if !first && len(b)+entryOverhead+len(k.all) > most {
			b[flag] = 1
			return false
		}
		first = false
		for _, v := range [...]uint64{k.at.from.ID, k.at.from.Incarnation, k.at.number, uint64(len(k.all))} {
			b = binary.AppendUvarint(b, v)
		}
		b = append(b, k.all...)
		return true
	})
	l.put(o, item{again: page, b: b})
}

// answered takes an answer, and asks for more. After one that makes no sense it makes do with what it has.
func (l *life) answered(from uint64, b []byte) (ok bool) {
	number, n := binary.Uvarint(b)
	if n <= 0 || len(b) == n {
		return false
	}
	f := &l.fetch
	if f.state != asking || from != f.eldest.ID || number != f.number {
		return true // of an earlier question
	}
	more := b[n] == 1
	if ok = l.takePage(b[n+1:], more); ok && more {
		f.state = toAsk
		l.proceed()
	} else {
		l.finish()
	}
	return ok
}

// takePage puts the messages of an answer into the store. If there is more, the next question is for later
// subjects, so that it is not put for ever.
func (l *life) takePage(b []byte, more bool) (ok bool) {
	f := &l.fetch
	if len(b) == 0 && more {
		return false
	}
	for len(b) > 0 {
		var v [4]uint64
		for i := range v {
			var n int
			if v[i], n = binary.Uvarint(b); n <= 0 {
				return false
			}
			b = b[n:]
		}
		if v[3] > uint64(len(b)) {
			return false
		}
		e, ok := parseEnvelope(append([]byte(nil), b[:v[3]]...))
		if !ok || f.next.more && string(e.subject) <= f.next.after {
			return false
		}
		b = b[v[3]:]
		l.h.clock = max(l.h.clock, e.stamp)
		l.h.store.put(place{broadcast.Member{ID: v[0], Incarnation: v[1]}, v[2]}, e)
		f.next = ask{more: true, after: string(e.subject)}
	}
	return true
}
