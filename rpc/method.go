package rpc

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/x/ringdht"
)

// Method is the name of a method, with the types of its requests and answers. It is a constant that
// both programs share, so that they cannot disagree:
//
//	const Count = rpc.Method[string, int]("count")
//
// The node's codec encodes the values. Take struct{} where there is nothing to say.
type Method[Req, Resp any] string

// Handle makes an Endpoint handle a method. Call it before the node joins: an Endpoint without
// methods only makes calls. It panics if the Endpoint handles the method, or if the name has more
// than 255 bytes.
//
// h runs on a goroutine that handles nothing else meanwhile. It may wait and may make calls; it should make
// them with its context, see [WithConcurrency]. The context ends when the caller gives up, dies or
// leaves, and when this node closes or begins another incarnation. An error of h goes to the caller,
// see [Error]; so does a panic, as [ErrPanic], which is also logged by log/slog. h must not call
// Leave or Close of its node, which would wait for it.
func (m Method[Req, Resp]) Handle(e *Endpoint, h func(ctx context.Context, req Req) (Resp, error)) {
	e.handle(string(m), func(v *serving) (any, error) {
		var req Req
		if err := v.e.codec.Decode(v.value, &req); err != nil {
			return nil, verdict{&Error{Code: codeMalformed, Text: fmt.Sprintf("the request is no %T: %v", req, err)}}
		}
		if v.e.around == nil {
			return h(v, req)
		}
		v.op.Value = req
		if v.op.Meta == nil {
			v.op.Meta = make(Meta)
		}
		v.op.call = func(ctx context.Context, op *Op) (any, error) {
			req, err := as[Req](op.Value, "the request")
			if err != nil {
				return nil, err
			}
			return h(ctx, req)
		}
		answer, err := v.e.around(v, &v.op)
		if err != nil {
			return nil, err
		}
		return as[Resp](answer, "the answer")
	})
}

// handle adds a handler. The first one makes the node handle the service.
func (e *Endpoint) handle(method string, run func(v *serving) (any, error)) {
	e.methods.Lock()
	defer e.methods.Unlock()
	old := *e.handlers.Load()
	switch {
	case len(method) > maxName:
		panic(fmt.Sprintf("rpc: the name of a method has %d bytes, at most %d", len(method), maxName))
	case old[method].run != nil:
		panic(fmt.Sprintf("rpc: the method %q is handled already", method))
	case len(old) == 0 && e.service != nil:
		e.service.Handle(func(ctx context.Context, m ringdht.Message) { e.receive(ctx, requests, m) })
	}
	all := maps.Clone(old)
	if all == nil {
		all = make(map[string]handler)
	}
	all[method] = handler{method, run}
	e.handlers.Store(&all)
}

// Call sends a request to a node and waits for its answer, or until ctx ends. The time that ctx has
// left, its end and its metadata (see [WithMeta]) go along. Without a deadline Call waits as long as
// the handler takes: it is told when the callee leaves, dies, or begins another incarnation.
//
// An error matches [ErrNotHandled], so another node may be asked; or [ErrUnknown], so the caller decides
// whether the request may be made again; or it is the callee's answer, an [Error] with Remote set. It
// may match
//
//   - [ErrLeaving]: the callee takes no more requests; [ErrNoMethod], and ringdht.ErrNoService;
//   - the errors of ringdht.Service.Send, such as ErrNoSuchNode, ErrGone and ErrTooLarge;
//   - the error and the cause of ctx, with ErrUnknown if the request was sent;
//   - ringdht.ErrBacklog: 65,536 calls of this Endpoint wait, or 8,192 requests of handlers run at
//     the callee.
func (m Method[Req, Resp]) Call(ctx context.Context, e *Endpoint, to ringdht.ID, req Req) (Resp, error) {
	var resp Resp
	if e.around == nil {
		err := e.call(ctx, string(m), to, sentMeta(ctx), req, &resp)
		return resp, err
	}
	meta := maps.Clone(sentMeta(ctx))
	if meta == nil {
		meta = make(Meta)
	}
	op := &Op{Service: e.name, Method: string(m), Peer: to, Meta: meta, Value: req}
	op.call = func(ctx context.Context, op *Op) (any, error) {
		var resp Resp
		err := e.call(ctx, string(m), to, op.Meta, op.Value, &resp)
		return resp, err
	}
	answer, err := e.around(ctx, op)
	if err != nil {
		return resp, err
	}
	return as[Resp](answer, "the answer")
}

// as gives a value that went through middleware its type back.
func as[T any](v any, what string) (t T, err error) {
	t, ok := v.(T)
	if !ok && v != nil {
		err = fmt.Errorf("rpc: middleware has made %s a %T, it must stay a %T", what, v, t)
	}
	return t, err
}

// call makes a call. resp is a pointer.
func (e *Endpoint) call(ctx context.Context, method string, to ringdht.ID, meta Meta, req, resp any) error {
	b, err := e.request(ctx, method, meta, req)
	if err != nil {
		b.put()
		return notHandled(method, to, err)
	}
	l := requests
	if FromContext(ctx) != nil {
		l = answers // it must not wait for what waits for it
	}
	e.begin()
	c, err := e.calls.begin(to, l, e.carrier.incarnation())
	if err != nil {
		b.put()
		return notHandled(method, to, err)
	}
	setCall(b.b, c.number)
	e.wind()
	err = e.carrier.send(ctx, l, to, b.b)
	b.put()
	if err != nil {
		if e.calls.take(c.number, to) != nil {
			e.calls.free.Put(c)
		}
		return notHandled(method, to, err)
	}
	if e.calls.accepted(c) {
		e.asks.now(to)
	}
	select {
	case o := <-c.done:
		return e.conclude(c, o, method, resp)
	case <-ctx.Done():
	}
	if k := e.calls.take(c.number, to); k == nil { // the answer has just come
		return e.conclude(c, <-c.done, method, resp)
	}
	number := c.number
	e.calls.free.Put(c)
	e.courier(to, func() { e.tell(to, kindCancel, []uint64{number}) })
	return unknown(method, to, contextError(ctx))
}

// request encodes a request.
func (e *Endpoint) request(ctx context.Context, method string, meta Meta, req any) (*buffer, error) {
	var left time.Duration
	if at, ok := ctx.Deadline(); ok {
		left = max(time.Until(at), 1)
	}
	switch {
	case ctx.Err() != nil:
		return nil, contextError(ctx)
	case len(method) > maxName:
		return nil, fmt.Errorf("the name has %d bytes, at most %d", len(method), maxName)
	}
	if err := meta.check(); err != nil {
		return nil, err
	}
	b := newBuffer()
	b.b = appendRequest(b.b, left, method, meta)
	all, err := e.codec.Append(b.b, req)
	if err != nil {
		return b, fmt.Errorf("encoding a %T: %w", req, err)
	}
	b.b = all
	return b, nil
}

// conclude makes the result of a call from its outcome.
func (e *Endpoint) conclude(c *call, o outcome, method string, resp any) error {
	to := c.to
	e.calls.free.Put(c)
	switch {
	case o.unknown:
		return unknown(method, to, o.err)
	case o.err != nil:
		return notHandled(method, to, o.err)
	}
	defer o.answer.put()
	body := o.answer.b[callHeader:]
	if o.answer.b[0] == kindFailure {
		code, text, _ := parseFailure(body)
		return &Error{Code: code, Text: text, Remote: true, From: to}
	}
	if err := e.codec.Decode(body, resp); err != nil {
		return &Error{Code: codeAnswer, Text: fmt.Sprintf("the answer is no %T: %v", resp, err), Remote: true, From: to}
	}
	return nil
}

// answered takes an answer. It runs in the node's handler, and does not wait.
func (e *Endpoint) answered(from ringdht.ID, message []byte) (ok bool) {
	number, rest, ok := parseCall(message)
	if !ok {
		return false
	}
	if message[0] == kindFailure {
		if _, _, ok := parseFailure(rest); !ok {
			return false
		}
	}
	c := e.calls.take(number, from)
	if c == nil {
		return true // the caller has given up
	}
	c.done <- outcome{answer: copied(message)}
	return true
}
