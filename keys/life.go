package keys

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/arc"
)

// life is one incarnation of this node. The hub's mu guards it. Methods of the cores are called from its
// methods; what the cores do meanwhile ([arc.SourceOutput] here, [arc.OwnerOutput] in owning) only
// queues. settle comes after, and hands over what was queued.
type life struct {
	h      *hub
	self   uint64
	ctx    context.Context // of what it sends, and of its handlers
	cancel context.CancelCauseFunc
	source *arc.Source
	owner  *arc.Owner
	user   Owner // nil: this node only sends

	note   func(body []byte) bool // to the registry, on the latest connection
	reader *arc.NoteReader

	ready   atomic.Bool      // others know this life
	peers   map[uint64]*peer // by their lives
	scratch []byte           // for an encoded frame, which a channel copies
	own     queue[arc.Frame] // to itself
	later   queue[func()]    // what an output may not do
	from    uint64           // whose frame is being handled

	pending map[uint64]*request // by the core's numbers
	places  int                 // of those of WithBuffer: used
	bytes   int                 // of these

	running    map[*running]bool
	working    int                 // of running: those that have a place
	nested     int                 // of running: those for other handlers
	placeless  queue[*running]     // that wait for a place
	waiting    map[uint64]*running // the same, by point
	operations operations

	moved   bool // a move may wait for handlers
	left    bool // the authority knows that it holds nothing
	closing bool

	retrySource, retryOwner, asking alarm

	counted Counters
}

// beginLife needs mu.
func (h *hub) beginLife(self uint64) *life {
	l := &life{h: h, self: self, peers: make(map[uint64]*peer), pending: make(map[uint64]*request), running: make(map[*running]bool), waiting: make(map[uint64]*running)}
	l.ctx, l.cancel = context.WithCancelCause(h.ctx)
	l.source, l.owner = arc.NewSource(l), arc.NewOwner(owning{l})
	l.operations.l = l
	if h.offers != nil {
		l.user = h.offers()
	}
	h.life = l
	h.announce()
	return l
}

// endLife ends all of a life. It needs mu.
func (h *hub) endLife(cause error) {
	l := h.life
	if l == nil {
		return
	}
	h.life = nil
	l.cancel(cause)
	for _, a := range []*alarm{&l.retrySource, &l.retryOwner, &l.asking} {
		a.stop()
	}
	for r := range l.running {
		r.patience.stop()
	}
	for _, p := range l.peers {
		p.channel.Close()
		l.counted.addChannel(p.channel.Counters())
	}
	for _, number := range sortedKeys(l.pending) {
		l.finish(number, outcome{err: cause, unknown: true})
	}
	h.counted.add(l.totals())
	l.operations.end()
	h.announce()
}

// settle hands over what the cores have queued. It needs mu, and comes after calls of the cores.
func (l *life) settle() {
	l.drain()
	l.h.admit()
	if l.moved {
		l.moved = false
		l.stopHandlers()
	}
	l.operations.start()
}

// drain handles what the cores have queued for this life itself. It needs mu.
func (l *life) drain() {
	for l.h.life == l {
		if f, ok := l.own.pop(); ok {
			l.handle(l.self, f)
		} else if do, ok := l.later.pop(); ok {
			do()
		} else {
			return
		}
	}
}

// handle takes a frame of a life, or of the authority. It needs mu.
func (l *life) handle(from uint64, f arc.Frame) {
	if f.Term != 0 {
		l.h.inner.SawTerm(f.Term)
	}
	if f.Kind.ToSource() {
		l.from = from
		l.source.Handle(from, f)
		return
	}
	if f.Kind != arc.Msg && f.Kind != arc.Ask {
		l.moved = true
	}
	if l.owner.Handle(from, f); f.Kind == arc.Msg && isNested(f.Body) {
		l.hurry(f.Point)
	}
}

// Send is [arc.SourceOutput]: it queues a frame for a life.
func (l *life) Send(to uint64, f arc.Frame) {
	switch {
	case to == l.self:
		l.own.push(f)
	case to == arc.Registry:
		l.note(arc.AppendNote(nil, f))
	case l.h.roll.over[to]:
	default:
		p := l.peer(to)
		if p.sent == 0 && !p.named { // mostly a life that leaves, which its receiver has not met
			l.note(arc.AppendNote(nil, arc.Frame{Kind: arc.Where, Life: to}))
		}
		l.scratch = f.Append(l.scratch[:0])
		if p.channel.Send(l.scratch); cap(l.scratch) > maxBody {
			l.scratch = nil
		}
		p.sent++
		if f.Kind == arc.Ans {
			p.open--
		}
		p.signal()
	}
}

// Guess is [arc.SourceOutput]: the owner by position, as far as the list tells.
func (l *life) Guess(point uint64) uint64 { return l.h.roll.guess(point) }

// Reachable is [arc.SourceOutput].
func (l *life) Reachable(other uint64) bool {
	if _, listed := l.h.roll.ids[other]; listed || other == l.self {
		return true
	}
	p := l.peers[other]
	return p != nil && p.named
}

// Answered is [arc.SourceOutput].
func (l *life) Answered(number uint64, reply []byte) {
	l.retrySource.pause = 0
	l.finish(number, outcome{reply: append([]byte(nil), reply...), from: l.idOf(l.from)})
}

// Unknown is [arc.SourceOutput].
func (l *life) Unknown(number uint64) {
	l.finish(number, outcome{err: errOwnerDied, unknown: true})
}

// Later is [arc.SourceOutput].
func (l *life) Later() { l.after(&l.retrySource, 20*time.Millisecond, time.Second, l.source.Retry) }

func (l *life) idOf(other uint64) ringdht.ID {
	if p := l.peers[other]; p != nil {
		return p.id
	}
	return l.h.n.ID()
}

// alarm is something to do after a while. The life's end stops it.
type alarm struct {
	timer *time.Timer
	pause time.Duration // the latest
}

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

// after does f after a pause that doubles each time, unless it is to be done already. It needs mu.
func (l *life) after(a *alarm, least, most time.Duration, f func()) {
	if a.timer != nil || l.h.life != l {
		return
	}
	a.pause = min(max(2*a.pause, least), most)
	a.timer = time.AfterFunc(a.pause, func() {
		l.h.mu.Lock()
		defer l.h.mu.Unlock()
		if a.timer = nil; l.h.life == l {
			f()
			l.settle()
		}
	})
}
