package keys

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/rpc"
)

const maxNested = 8192 // messages of handlers that are handled at once, besides WithConcurrency's

// owning is the life as [arc.OwnerOutput].
type owning struct{ *life }

// Tell is [arc.OwnerOutput].
func (o owning) Tell(f arc.Frame) { o.note(arc.AppendNote(nil, f)) }

// Left is [arc.OwnerOutput].
func (o owning) Left() {
	o.left = true
	o.h.announce()
}

// Over is [arc.OwnerOutput]: another life has what this one holds, so this one was declared over. The
// registry is about to say so.
func (o owning) Over() { o.counted.Overruled++ }

// running is a message whose handler the core has started.
type running struct {
	l        *life
	m        arc.Message
	envelope envelope
	from     ringdht.ID
	ctx      context.Context
	cancel   context.CancelCauseFunc
	patience alarm
	told     bool // its context has ended since its key is to move
	nested   bool // a handler waits for it, or for a message behind it: it takes no place of others
}

// Handle is [arc.OwnerOutput].
func (o owning) Handle(m arc.Message) {
	l := o.life
	e, ok := parseEnvelope(m.Body)
	switch {
	case !ok || Point(e.key) != m.Point:
		l.h.malformed.Add(1)
		l.reply(m, appendFailure(nil, codeMalformed, "the message is malformed"))
	case e.flags&flagWhere != 0:
		l.reply(m, []byte{replyValue})
	case l.user == nil:
		l.reply(m, appendFailure(nil, codeNoMethod, "the node handles no messages"))
	case e.flags&flagNested != 0 && l.nested >= maxNested:
		l.reply(m, appendFailure(nil, codeBacklog, fmt.Sprintf("the owner handles %d messages of handlers", maxNested)))
	default:
		r := &running{l: l, m: m, envelope: e, from: l.idOf(m.Source)}
		r.ctx, r.cancel = context.WithCancelCause(l.ctx)
		l.running[r] = true
		switch {
		case e.flags&flagNested != 0:
			l.launchNested(r)
		case l.working < l.h.concurrency:
			l.working++
			l.launch(r)
		case l.nested < maxNested && l.nestedBehind(m.Point):
			l.launchNested(r)
		default:
			l.counted.Waited++
			l.placeless.push(r)
			l.waiting[m.Point] = r
		}
	}
}

// isNested reports whether a handler has sent a message.
func isNested(body []byte) bool { return len(body) > 0 && body[0]&flagNested != 0 }

// nestedBehind reports whether a message of a handler waits for the first one at a point.
func (l *life) nestedBehind(point uint64) bool {
	for m := range l.owner.Behind(point) {
		if isNested(m.Body) {
			return true
		}
	}
	return false
}

// hurry runs what is in front of a message of a handler. It may wait for the place that this handler has.
// It needs mu.
func (l *life) hurry(point uint64) {
	r := l.waiting[point]
	if r == nil || l.nested >= maxNested || !l.nestedBehind(point) {
		return
	}
	l.placeless.cut(func(other *running) bool { return other == r })
	l.launchNested(r)
}

// launchNested runs a handler beside those that take a place. It needs mu.
func (l *life) launchNested(r *running) {
	delete(l.waiting, r.m.Point)
	r.nested = true
	l.nested++
	l.launch(r)
}

// reply answers a message that has no handler.
func (l *life) reply(m arc.Message, answer []byte) {
	l.later.push(func() { l.owner.Handled(m.Point, answer) })
}

// launch runs a handler that has a place, once no operation is about its point any more. The core does not
// wait for a Resume. It needs mu.
func (l *life) launch(r *running) {
	if op := l.operations.about(r.m.Point); op != nil {
		op.behind = append(op.behind, r)
		return
	}
	go r.run()
}

// run runs the handler, also if it panics or ends its goroutine.
func (r *running) run() {
	answer := appendFailure(nil, codePanic, "the handler has ended its goroutine")
	defer func() {
		if p := recover(); p != nil {
			answer = appendError(nil, panicked(r.name(), p))
		}
		r.returned(answer)
	}()
	answer = r.handle()
}

func (r *running) name() string {
	if r.envelope.method != "" {
		return r.envelope.method
	}
	return r.l.h.name
}

func (r *running) handle() []byte {
	e := &r.envelope
	ctx := r.ctx
	if e.left > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, e.left)
		defer stop()
	}
	op := &rpc.Op{Service: r.l.h.name, Method: e.method, Key: e.key, Peer: r.from, Serving: true, Meta: metaOf(e.meta)}
	value, err := r.l.user.Handle(withTerm(ctx, op, r.m.Term), Message{Key: e.key, Source: r.from, Term: r.m.Term, Body: e.value, op: op})
	switch most := r.l.h.n.MaxPayload() - frameReserve/2; {
	case err != nil:
		return appendError(nil, err)
	case len(value) > most:
		return appendError(nil, verdict{codeAnswer, fmt.Sprintf("the handler's answer cannot be sent: it has %d bytes, at most %d", len(value), most)})
	}
	return append([]byte{replyValue}, value...)
}

// returned answers a message.
func (r *running) returned(answer []byte) {
	r.cancel(nil)
	l := r.l
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	r.patience.stop()
	delete(l.running, r)
	if l.h.life != l {
		return
	}
	if r.nested {
		l.nested--
	} else if next, ok := l.placeless.pop(); ok {
		delete(l.waiting, next.m.Point)
		l.launch(next)
	} else {
		l.working--
	}
	l.counted.Handled++
	l.owner.Handled(r.m.Point, answer)
	l.settle()
	if l.h.leaving {
		l.h.announce()
	}
}

// stopHandlers looks which handlers a move waits for. Those that have no place yet do not begin: a
// handler that has it may wait for that move. The others have some time. It needs mu.
func (l *life) stopHandlers() {
	stopping := l.placeless.cut(func(r *running) bool { return l.owner.Outdated(r.m.Point) })
	for _, r := range stopping {
		delete(l.running, r)
		delete(l.waiting, r.m.Point)
		r.cancel(nil)
		l.owner.NotBegun(r.m.Point)
	}
	l.drain()
	for r := range l.running {
		if !r.told && l.owner.Stopping(r.m.Point) {
			l.after(&r.patience, l.h.patience, l.h.patience, func() {
				if r.told = true; !l.running[r] {
					return
				}
				l.counted.Impatient++
				r.cancel(errMoving)
			})
		}
	}
}

// kind of an operation.
type kind uint8

const (
	giving kind = iota + 1
	taking
	resuming
	dropping
)

// operation is a call of the user's Owner about an arc.
type operation struct {
	kind  kind
	op    uint64 // the core's number
	arc   Arc
	state []byte // taking: nil if no owner has it
	lost  bool   // dropping
	begun bool

	behind []*running // wait for its end
}

const (
	maxOperations = 8        // that run at a time
	maxHeld       = 64 << 20 // bytes that channels hold when another Give begins
)

// operations are those of a life that have not ended, in order. One waits for those before it that overlap.
type operations struct {
	l     *life
	all   []*operation
	begun int
}

func (o *operations) empty() bool { return len(o.all) == 0 }

func (o *operations) push(op operation) { o.all = append(o.all, &op) }

// start begins what may begin. It needs mu.
func (o *operations) start() {
	if len(o.all) == o.begun {
		return
	}
	held := 0
	for _, p := range o.l.peers {
		held += p.channel.Held()
	}
	for i := 0; i < len(o.all) && o.begun < maxOperations; i++ {
		if op := o.all[i]; !op.begun && (op.kind != giving || held < maxHeld) && !o.overlaps(i) {
			op.begun = true
			o.begun++
			go o.run(op)
		}
	}
}

// end leaves out all that has not begun. What is here is lost then.
func (o *operations) end() {
	o.all = slices.DeleteFunc(o.all, func(op *operation) bool { return !op.begun })
	if o.l.user != nil {
		o.push(operation{kind: dropping, arc: Arc(arc.Ring), lost: true})
		o.start()
	}
}

// overlaps reports whether an operation before this one is about some of its points.
func (o *operations) overlaps(i int) bool {
	for _, before := range o.all[:i] {
		if before.arc.First <= o.all[i].arc.Last && o.all[i].arc.First <= before.arc.Last {
			return true
		}
	}
	return false
}

// about returns the latest operation about a point, or nil.
func (o *operations) about(point uint64) *operation {
	for _, op := range slices.Backward(o.all) {
		if op.arc.Has(point) {
			return op
		}
	}
	return nil
}

func (o *operations) run(op *operation) {
	var state []byte
	err := fmt.Errorf("keys %q: the owner has panicked, or ended its goroutine", o.l.h.name)
	defer func() {
		if p := recover(); p != nil {
			panicked(o.l.h.name, p)
		}
		o.ended(op, state, err)
	}()
	state, err = op.do(o.l)
}

// ended tells the core. Operations of a life that is over end without that.
func (o *operations) ended(op *operation, state []byte, err error) {
	l := o.l
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	for i, other := range o.all {
		if other == op {
			o.all = append(o.all[:i:i], o.all[i+1:]...)
			break
		}
	}
	o.begun--
	if l.h.life != l {
		o.start()
		return
	}
	for _, r := range op.behind {
		l.launch(r)
	}
	if err != nil {
		l.counted.FailedMoves++
		l.h.logFailed(op, err)
	} else if op.kind != resuming && op.kind != dropping {
		l.retryOwner.pause = 0
	}
	switch op.kind {
	case giving:
		if err == nil {
			l.counted.Given++
			l.counted.GivenBytes += uint64(len(state))
		}
		l.owner.Gave(op.op, state, err == nil)
	case taking:
		if err == nil && op.state != nil {
			l.counted.Taken++
			l.counted.TakenBytes += uint64(len(op.state))
		}
		l.owner.TookState(op.op, err == nil)
	}
	l.moved = true
	if l.owner.Failed() {
		l.after(&l.retryOwner, 100*time.Millisecond, 5*time.Second, l.owner.Retry)
	}
	l.settle()
	l.h.announce()
}

// Give is [arc.OwnerOutput].
func (o owning) Give(op uint64, a arc.Arc) {
	o.operations.push(operation{kind: giving, op: op, arc: Arc(a)})
}

// Take is [arc.OwnerOutput].
func (o owning) Take(op uint64, a arc.Arc, given []byte) {
	o.operations.push(operation{kind: taking, op: op, arc: Arc(a), state: given})
}

// Resume is [arc.OwnerOutput].
func (o owning) Resume(a arc.Arc) { o.operations.push(operation{kind: resuming, arc: Arc(a)}) }

// Drop is [arc.OwnerOutput].
func (o owning) Drop(a arc.Arc, lost bool) {
	o.operations.push(operation{kind: dropping, arc: Arc(a), lost: lost})
}
