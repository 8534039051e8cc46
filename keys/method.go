package keys

import (
	"context"
	"fmt"
	"maps"

	"github.com/x/ringdht/rpc"
)

// Method is the name of a method, with the types of the states, requests and answers. It is a constant
// that all programs share, so that they cannot disagree:
//
//	const Add = keys.Method[int64, int64, int64]("add")
//
// The node's codec encodes the values. Take struct{} where there is nothing to say.
type Method[S, Req, Resp any] string

// Handle makes the node an owner of a Space's keys, which handles a method. Call it before the node joins.
// It panics if the Space handles the method, or if the name has more than 255 bytes.
//
// h is called for one message of a key at a time, with the state of the key, which it may read and change
// until it returns. What it has changed stays, also if it returns an error or panics. Messages to
// different keys are handled at the same time.
//
// h may wait, and may send to other keys and to other services; it should do so with its context. A message to
// its own key would wait for it. The context ends with this life of the node, when the time of the
// caller's context is over, and when the key is to move and h does not return for long ([WithPatience]);
// not when the caller gives up. rpc.FromContext has the caller, the key and the metadata, and [Term] the
// term. An error of h goes to the caller, see [rpc.Error]; so does a panic, as [rpc.ErrPanic].
func (m Method[S, Req, Resp]) Handle(s *Space[S], h func(ctx context.Context, key string, state *S, req Req) (Resp, error)) {
	switch {
	case len(m) > maxName || m == "":
		panic(fmt.Sprintf("keys: the name of a method has %d bytes: at least 1 and at most %d", len(m), maxName))
	case s.methods[string(m)] != nil:
		panic(fmt.Sprintf("keys: the method %q is handled already", string(m)))
	case len(s.methods) == 0:
		s.hub.own(s.begin)
	}
	s.methods[string(m)] = func(ctx context.Context, all *states[S], msg Message) ([]byte, error) {
		var req Req
		if err := s.hub.codec.Decode(msg.Body, &req); err != nil {
			return nil, verdict{codeMalformed, fmt.Sprintf("the request is no %T: %v", req, err)}
		}
		msg.op.Value = req
		answer, err := s.hub.around(func(ctx context.Context, op *rpc.Op) (any, error) {
			req, err := as[Req](op.Value, "the request")
			if err != nil {
				return nil, err
			}
			state, err := all.state(ctx, op.Key)
			if err != nil {
				return nil, err
			}
			return h(ctx, op.Key, state, req)
		})(ctx, msg.op)
		if err != nil {
			return nil, err
		}
		resp, err := as[Resp](answer, "the answer")
		if err != nil {
			return nil, err
		}
		b, err := s.hub.codec.Append(nil, resp)
		if err != nil {
			return nil, verdict{codeAnswer, fmt.Sprintf("the handler's answer, a %T, cannot be encoded: %v", resp, err)}
		}
		return b, nil
	}
}

// as gives a value that went through middleware its type back.
func as[T any](v any, what string) (t T, err error) {
	t, ok := v.(T)
	if !ok && v != nil {
		err = fmt.Errorf("keys: middleware has made %s a %T, it must stay a %T", what, v, t)
	}
	return t, err
}

// Call sends a message to the owner of a key and waits for its answer, or until ctx ends. All messages
// of this node to a key, also those of Send, are handled in the order of their calls, and exactly once, while
// owners come and go. If there is no owner, or the key moves, they wait. The time that ctx has left and its
// metadata (see rpc.WithMeta) go along.
//
// An error matches [ErrNotHandled]; or [ErrUnknown], then the message may have been handled or may be handled
// still; or it is the handler's, an [rpc.Error] with Remote set. It may match
//
//   - [rpc.ErrNoMethod] and [rpc.ErrPanic], which are the owner's;
//   - the error and the cause of ctx. With ErrUnknown if the message is on its way: it goes on
//     without the caller;
//   - ringdht.ErrTooLarge if the message is longer than the ring allows;
//   - ringdht.ErrNotMember if the node is about to leave, ringdht.ErrEvicted if it was declared
//     dead, and ringdht.ErrClosed;
//   - ringdht.ErrBacklog: too many messages of handlers wait at this node or at the owner.
func (m Method[S, Req, Resp]) Call(ctx context.Context, s *Space[S], key string, req Req, opts ...SendOption) (Resp, error) {
	var resp Resp
	answer, err := m.do(ctx, s, key, req, opts, true)
	if err != nil {
		return resp, err
	}
	return as[Resp](answer, "the answer")
}

// Send sends a message to the owner of a key, and does not wait until it is handled. It waits, until ctx
// ends, while the node has no room for another message, see [WithBuffer]. Of a message without a known
// outcome [Space.Flush] tells, and the function of [WithUnknown]. The handler's answer is dropped; its
// errors are counted. After an error the message was not sent, see [Method.Call].
func (m Method[S, Req, Resp]) Send(ctx context.Context, s *Space[S], key string, req Req, opts ...SendOption) error {
	_, err := m.do(ctx, s, key, req, opts, false)
	return err
}

func (m Method[S, Req, Resp]) do(ctx context.Context, s *Space[S], key string, req Req, opts []SendOption, call bool) (any, error) {
	if s.hub.middleware == nil {
		return m.send(ctx, s, key, rpc.SentMeta(ctx), req, opts, call)
	}
	meta := maps.Clone(rpc.SentMeta(ctx))
	if meta == nil {
		meta = make(rpc.Meta)
	}
	op := &rpc.Op{Service: s.hub.name, Method: string(m), Key: key, Meta: meta, Value: req}
	return s.hub.around(func(ctx context.Context, op *rpc.Op) (any, error) {
		return m.send(ctx, s, op.Key, op.Meta, op.Value, opts, call)
	})(ctx, op)
}

func (m Method[S, Req, Resp]) send(ctx context.Context, s *Space[S], key string, meta rpc.Meta, req any, opts []SendOption, call bool) (any, error) {
	fail := func(err error) error {
		return fmt.Errorf("keys %q: %s of %.80q: %w", s.hub.name, string(m), key, err)
	}
	r, err := s.hub.newRequest(ctx, key, string(m), meta, opts, call)
	if err == nil {
		if r.body, err = s.hub.codec.Append(r.body, req); err != nil {
			err = fmt.Errorf("encoding a %T: %w", req, err)
		}
	}
	if err != nil {
		return nil, fail(fmt.Errorf("%w: %w", ErrNotHandled, err))
	}
	reply, from, err := s.hub.do(ctx, r)
	if err != nil {
		return nil, fail(err)
	}
	if !call {
		return nil, nil
	}
	value, err := parseReply(reply, from)
	if err != nil {
		return nil, err
	}
	var resp Resp
	if err := s.hub.codec.Decode(value, &resp); err != nil {
		return nil, &rpc.Error{Code: codeAnswer, Text: fmt.Sprintf("the answer is no %T: %v", resp, err), Remote: true, From: from}
	}
	return resp, nil
}
