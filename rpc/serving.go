package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/x/ringdht"
)

var (
	errNoService = &Error{Code: codeNoService, Text: "the node handles no requests of this service"}
	errNested    = &Error{Code: codeBacklog, Text: fmt.Sprintf("the node handles too many requests of handlers, of %d", maxNested)}
)

// handler decodes a request, calls the user's function and returns its answer.
type handler func(v *serving) (answer any, err error)

// serving is a call of another node. It is the context of its handler. Its goroutine owns it.
type serving struct {
	context.Context
	cancel  context.CancelCauseFunc
	e       *Endpoint
	key     key
	life    uint64 // this node's incarnation when the request came
	lane    lane
	handler handler
	op      Op
	body    *buffer // the request; of one that is left: the answer
	value   []byte  // the encoded value, in body
	left    bool    // its answer was left undelivered, and is sent again
	gone    atomic.Bool

	aged bool // guarded by serves.mu: nothing was heard of the caller since the last look
}

// Value makes the Op known to the handler.
func (v *serving) Value(key any) any {
	if key == (opKey{}) {
		return &v.op
	}
	return v.Context.Value(key)
}

// past reports whether the request came to an earlier incarnation of this node. Then it is not begun,
// and not answered: its caller has been told that its outcome is unknown, or is about to be.
func (v *serving) past() bool { return v.life != v.e.carrier.incarnation() }

// abandon ends the context of a call that its caller does not wait for.
func (v *serving) abandon(cause error) {
	v.gone.Store(true)
	if v.cancel != nil {
		v.cancel(cause)
	}
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
	case h == nil:
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
	v.op = Op{Service: e.name, Method: string(r.method), Peer: from, Serving: true, Meta: metaOf(r.meta)}
	stop := v.open(r.left)
	if refused, ok := e.serves.begin(v); !ok {
		stop()
		v.release()
		if refused != nil {
			e.refuse(ctx, l, k, refused)
		}
		return true
	}
	e.wind()
	go v.run(stop)
	return true
}

// open makes the context of the handler. It ends with the time that the caller has, if left is not 0.
func (v *serving) open(left time.Duration) (stop func()) {
	if left == 0 {
		v.Context, v.cancel = context.WithCancelCause(context.Background())
		return func() {}
	}
	limited, end := context.WithTimeout(context.Background(), left)
	v.Context, v.cancel = context.WithCancelCause(limited)
	return end
}

// run calls the handler and answers, also if the handler panics or ends its goroutine.
func (v *serving) run(stop func()) {
	var answer any
	err := error(verdict{ErrPanic})
	defer func() {
		if p := recover(); p != nil {
			err = panicked(v.op.Method, p)
		}
		v.reply(answer, err)
		v.cancel(nil)
		stop()
		v.e.serves.end(v)
		v.release()
	}()
	if !v.past() {
		answer, err = v.handler(v)
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
