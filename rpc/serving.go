package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht"
)

var (
	errNoService = &Error{Code: codeNoService, Text: "the node handles no requests of this service"}
	errNested    = &Error{Code: codeBacklog, Text: fmt.Sprintf("the node handles too many requests of handlers, of %d", maxNested)}
)

// handler is a method that is handled.
type handler struct {
	name string
	run  func(v *serving) (answer any, err error) // decodes a request and calls the user's function
}

// serving is a call of another node. It is the context of its handler. Its goroutine owns it.
type serving struct {
	e       *Endpoint
	key     key
	life    uint64 // this node's incarnation when the request came
	lane    lane
	handler handler
	op      Op
	body    *buffer   // the request; of one that is left: the answer
	value   []byte    // the encoded value, in body
	left    bool      // its answer was left undelivered, and is sent again
	until   time.Time // the caller gives up; zero if it does not
	gone    atomic.Bool

	aged bool // guarded by serves.mu: nothing was heard of the caller since the last look

	mu    sync.Mutex
	inner context.Context // does the context's work; nil while the handler has not asked
	end   func(cause error)
	over  bool // before inner was made
	cause error
}

// context makes the inner context when it is needed. Many a handler never looks at its own, and setting
// a timer for each wakes a thread.
func (v *serving) context() context.Context {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.inner != nil {
		return v.inner
	}
	base, stop := context.Background(), func() {}
	if !v.until.IsZero() && !v.over {
		base, stop = context.WithDeadline(base, v.until)
	}
	inner, cancel := context.WithCancelCause(base)
	v.inner, v.end = inner, func(cause error) { cancel(cause); stop() }
	if v.over {
		v.end(v.cause)
	}
	return inner
}

// close ends the context.
func (v *serving) close(cause error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.inner != nil:
		v.end(cause)
	case !v.over && (v.until.IsZero() || time.Now().Before(v.until)): // else the deadline was first
		v.over, v.cause = true, cause
	}
}

// Deadline implements context.Context.
func (v *serving) Deadline() (at time.Time, ok bool) { return v.until, !v.until.IsZero() }

// Done implements context.Context.
func (v *serving) Done() <-chan struct{} { return v.context().Done() }

// Err implements context.Context.
func (v *serving) Err() error { return v.context().Err() }

// Value makes the Op known to the handler.
func (v *serving) Value(key any) any {
	switch key {
	case opKey{}:
		return &v.op
	case metaKey{}:
		return nil
	}
	return v.context().Value(key)
}

// past reports whether the request came to an earlier incarnation of this node. Then it is not begun,
// and not answered: its caller has been told that its outcome is unknown, or is about to be.
func (v *serving) past() bool { return v.life != v.e.carrier.incarnation() }

// abandon ends the context of a call that its caller does not wait for.
func (v *serving) abandon(cause error) {
	v.gone.Store(true)
	v.close(cause)
}

// serve takes a request, and has it handled on a goroutine of its own. It reports whether the
// request made sense. On the lane of requests it waits until there is a place.
func (e *Endpoint) serve(ctx context.Context, l lane, from ringdht.ID, message []byte) (ok bool) {
	number, rest, ok := parseCall(message)
	if !ok {
		return false
	}
	k := key{from, number}
	r, ok := parseRequest(rest)
	if !ok {
		e.refuse(ctx, l, k, &Error{Code: codeMalformed, Text: "the request is malformed"})
		return false
	}
	handlers := *e.handlers.Load()
	h := handlers[string(r.method)]
	switch {
	case len(handlers) == 0:
		e.refuse(ctx, l, k, errNoService)
		return true
	case h.run == nil:
		e.refuse(ctx, l, k, &Error{Code: codeNoMethod, Text: fmt.Sprintf("no such method: %q", r.method)})
		return true
	}
	life := e.carrier.incarnation() // before it waits: later it may be another one
	if l == requests {
		if !e.slots.take(ctx, from) {
			return true
		}
	}
	v := &serving{e: e, key: k, life: life, lane: l, handler: h, body: copied(message)}
	v.value = v.body.b[len(message)-len(r.value):]
	v.op = Op{Service: e.name, Method: h.name, Peer: from, Serving: true, Meta: metaOf(r.meta)}
	if r.left > 0 {
		v.until = time.Now().Add(r.left)
	}
	if refused, ok := e.serves.begin(v); !ok {
		v.release()
		if refused != nil {
			e.refuse(ctx, l, k, refused)
		}
		return true
	}
	e.wind()
	select {
	case e.next <- v:
	default:
		go e.work(v)
	}
	return true
}

// maxIdle bounds the goroutines that wait for the next request.
const maxIdle = 32

// work handles a request, and then others. A new goroutine for each would have to grow its stack to
// decode it, which takes a tenth of the whole call.
func (e *Endpoint) work(v *serving) {
	for {
		v.run()
		v = nil
		if e.idle.Add(1) > maxIdle {
			e.idle.Add(-1)
			return
		}
		select {
		case v = <-e.next:
			e.idle.Add(-1)
		case <-e.ctx.Done():
			return
		}
	}
}

// run calls the handler and answers, also if the handler panics or ends its goroutine.
func (v *serving) run() {
	var answer any
	err := error(verdict{ErrPanic})
	defer func() {
		if p := recover(); p != nil {
			err = panicked(v.op.Method, p)
		}
		v.reply(answer, err)
		v.close(nil)
		v.e.serves.end(v)
		v.release()
	}()
	if !v.past() {
		answer, err = v.handler.run(v)
	}
}

// release gives back what the call holds.
func (v *serving) release() {
	v.body.put()
	if v.lane == requests {
		v.e.slots.put(v.key.caller)
	}
}

func panicked(method string, value any) error {
	slog.Error("rpc: a handler panicked", "method", method, "panic", value, "stack", string(debug.Stack()))
	return verdict{&Error{Code: codePanic, Text: fmt.Sprintf("the handler of %s panicked: %v", method, value)}}
}

// reply sends the answer. It waits for the window of the lane of answers, which the caller always
// opens again: its handler of answers does not wait.
func (v *serving) reply(answer any, err error) {
	if v.gone.Load() || v.past() {
		return
	}
	b := newBuffer()
	defer b.put()
	if err == nil {
		b.b, err = v.encode(appendCall(b.b, kindAnswer, v.key.number), answer)
	}
	if err != nil {
		code, text := travelling(err)
		b.b = appendFailure(b.b[:0], v.key.number, code, text)
	}
	err = v.e.deliver(v, b.b)
	if errors.Is(err, ringdht.ErrTooLarge) {
		v.e.unencoded.Add(1)
		b.b = appendFailure(b.b[:0], v.key.number, codeAnswer, fmt.Sprintf("the handler's answer cannot be sent: %v", err))
		v.e.deliver(v, b.b)
	}
}

// encode appends the encoded answer. A type that encodes itself may panic.
func (v *serving) encode(b []byte, answer any) (all []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			v.e.unencoded.Add(1)
			all, err = b, panicked(v.op.Method, p)
		}
	}()
	if all, err = v.e.codec.Append(b, answer); err != nil {
		v.e.unencoded.Add(1)
		return b, verdict{&Error{Code: codeAnswer, Text: fmt.Sprintf("the handler's answer, a %T, cannot be encoded: %v", answer, err)}}
	}
	return all, nil
}

// deliver sends an answer until it is accepted, or its caller waits for it no longer.
func (e *Endpoint) deliver(v *serving, answer []byte) error {
	for {
		err := e.carrier.send(e.ctx, answers, v.key.caller, answer)
		if !errors.Is(err, ringdht.ErrRefused) || v.gone.Load() {
			return err
		}
		select { // the caller has no room for another stream now
		case <-time.After(interval):
		case <-e.ctx.Done():
			return err
		}
	}
}

// refuse answers a request that is not handled. It runs in the node's handler, so a node that leaves
// sends the answer before it ends. The handler's context does not wait for the window; if the backlog
// of handlers is full, the lane of requests waits.
func (e *Endpoint) refuse(ctx context.Context, l lane, k key, why *Error) {
	b := newBuffer()
	defer b.put()
	b.b = appendFailure(b.b, k.number, why.Code, why.Text)
	err := e.carrier.send(ctx, answers, k.caller, b.b)
	if l == requests && errors.Is(err, ringdht.ErrBacklog) {
		e.carrier.send(e.ctx, answers, k.caller, b.b)
	}
}
