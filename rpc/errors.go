package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/x/ringdht"
)

// Error is an error that travels. A handler returns one, perhaps wrapped; the caller gets the code
// and the text. errors.Is compares codes, so the sentinel that both programs share finds it:
//
//	var ErrFull = rpc.NewError("full", "the queue is full")
//	return 0, fmt.Errorf("job %d: %w", id, ErrFull) // in the handler
//	if errors.Is(err, ErrFull) { ... }              // at the caller
//
// An error without a code travels as its text. context.DeadlineExceeded and context.Canceled travel
// too, and stay what they are for errors.Is.
type Error struct {
	Code   string
	Text   string
	Remote bool       // the callee has answered with it; else it is of this side
	From   ringdht.ID // the node that answered, or that did not
	cause  error
}

// reserved is what the codes of this package begin with.
const reserved = "rpc."

// The codes of this package.
const (
	codeNoMethod  = reserved + "no-method"
	codeNoService = reserved + "no-service"
	codeLeaving   = reserved + "leaving"
	codePanic     = reserved + "panic"
	codeBacklog   = reserved + "backlog"   // too many requests of handlers: not handled
	codeMalformed = reserved + "malformed" // the request makes no sense, or its value does not: not handled
	codeAnswer    = reserved + "answer"    // the answer cannot be sent, or not be decoded: handled
	codeDeadline  = reserved + "deadline"
	codeCanceled  = reserved + "canceled"
)

// Errors of calls. One of an Endpoint that matches neither ErrNotHandled nor ErrUnknown is the callee's
// answer.
var (
	// ErrNotHandled: no handler has had the request, and none will. Another node may be asked. All
	// errors of this package but ErrPanic and ErrUnknown match it. Of those, ErrLeaving and
	// ringdht.ErrGone and ErrNoSuchNode say that the node is gone, or about to be. With any other it may
	// live on, with what it keeps.
	ErrNotHandled = errors.New("the request was not handled")
	// ErrNoMethod: the callee handles no such method.
	ErrNoMethod = &Error{Code: codeNoMethod, Text: "no such method"}
	// ErrLeaving: the callee is about to leave. Call another node.
	ErrLeaving = &Error{Code: codeLeaving, Text: "the node is about to leave"}
	// ErrPanic: the handler has panicked, or has ended its goroutine.
	ErrPanic = &Error{Code: codePanic, Text: "the handler panicked"}
	// ErrUnknown: the request may have been handled, or may be handled still. The callee died, or
	// one of the two nodes began a new incarnation; or the caller's context ended. No other error
	// leaves that open.
	ErrUnknown = errors.New("the request may have been handled")
)

// NewError returns an error that means the same at both ends. The code must have 1 to 255 bytes and
// not begin with "rpc."; otherwise NewError panics.
func NewError(code, text string) *Error {
	if code == "" || len(code) > maxName || strings.HasPrefix(code, reserved) {
		panic(fmt.Sprintf("rpc: %q is no code for an error: it must have 1 to %d bytes and not begin with %q", code, maxName, reserved))
	}
	return &Error{Code: code, Text: text}
}

// Error returns the text. It names the node that answered.
func (e *Error) Error() string {
	if e.Remote {
		return fmt.Sprintf("node %d: %s", e.From, e.Text)
	}
	return e.Text
}

// Is compares codes.
func (e *Error) Is(target error) bool {
	if t, ok := target.(*Error); ok {
		return t.Code == e.Code && e.Code != ""
	}
	switch target {
	case ErrNotHandled:
		switch e.Code {
		case codeNoMethod, codeNoService, codeLeaving, codeBacklog, codeMalformed:
			return true
		}
	case context.DeadlineExceeded:
		return e.Code == codeDeadline
	case context.Canceled:
		return e.Code == codeCanceled
	case ringdht.ErrNoService:
		return e.Code == codeNoService
	case ringdht.ErrBacklog:
		return e.Code == codeBacklog
	}
	return false
}

// Unwrap returns what happened to the request, nil for an error that the callee answered with.
func (e *Error) Unwrap() error { return e.cause }

// verdict is what this package says of a request to this node. It travels with its reserved code.
type verdict struct{ why *Error }

func (v verdict) Error() string { return v.why.Text }

// travelling returns what a caller is told of an error.
//
// A reserved code of a handler's error does not go on: "not handled" was said of a call that the
// handler made. That a context ended holds here too.
func travelling(err error) (code, text string) {
	if v, ok := err.(verdict); ok {
		return v.why.Code, v.why.Text
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		code = e.Code
		if strings.HasPrefix(code, reserved) && code != codeDeadline && code != codeCanceled {
			code = ""
		}
	case errors.Is(err, context.DeadlineExceeded):
		code = codeDeadline
	case errors.Is(err, context.Canceled):
		code = codeCanceled
	}
	if len(code) > maxName { // of an Error that NewError has not made
		code = ""
	}
	return code, err.Error()
}

// notHandled is the error of a call whose request no handler has had.
func notHandled(method string, to ringdht.ID, err error) error {
	if errors.Is(err, ringdht.ErrLeft) {
		return &Error{Code: codeLeaving, Text: fmt.Sprintf("rpc: calling %s: %v: %v", method, ErrNotHandled, err), From: to, cause: err}
	}
	return fmt.Errorf("rpc: calling %s: %w: %w", method, ErrNotHandled, err)
}

// unknown is the error of a call whose request may have been handled.
func unknown(method string, to ringdht.ID, err error) error {
	return fmt.Errorf("rpc: calling %s of node %d: %w: %w", method, to, ErrUnknown, err)
}

// contextError is the cause of a context's end, and matches its error as well. It does not match what
// the cause says of a request: that is another one, as in an errgroup.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	switch {
	case errors.Is(cause, ErrNotHandled) || errors.Is(cause, ErrUnknown):
		return fmt.Errorf("%w: %v", err, cause)
	case errors.Is(cause, err):
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
