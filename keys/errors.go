package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/x/ringdht"
	"github.com/x/ringdht/rpc"
)

// Errors of messages. One that matches neither of these two is the answer of the handler, an
// [rpc.Error] with Remote set; or it is of the caller's middleware.
var (
	// ErrUnknown: the message may have been handled, or may be handled still. Its owner died, or this
	// node began a new incarnation or closed, or the caller's context ended. It is rpc.ErrUnknown.
	ErrUnknown = rpc.ErrUnknown
	// ErrNotHandled: no handler has had the message, and none will. It is rpc.ErrNotHandled.
	ErrNotHandled = rpc.ErrNotHandled
)

// The codes of package rpc that owners answer with.
const (
	reserved      = "rpc."
	codeNoMethod  = reserved + "no-method"
	codePanic     = reserved + "panic"
	codeBacklog   = reserved + "backlog"
	codeMalformed = reserved + "malformed"
	codeAnswer    = reserved + "answer"
	codeDeadline  = reserved + "deadline"
	codeCanceled  = reserved + "canceled"
)

var errLeaving = fmt.Errorf("%w: the node is about to leave", ringdht.ErrNotMember)

// errMoving ends the context of a handler.
var errMoving = errors.New("keys: the key is to move to another owner, and has waited for this handler: see WithPatience")

// verdict is what this package says of a message. It travels with its reserved code.
type verdict struct{ code, text string }

func (v verdict) Error() string { return v.text }

// appendError appends what a source is told of an error. A reserved code of a handler's error does not
// go on: it was said of a call that the handler made.
func appendError(b []byte, err error) []byte {
	if v, ok := err.(verdict); ok {
		return appendFailure(b, v.code, v.text)
	}
	var e *rpc.Error
	code := ""
	switch {
	case errors.As(err, &e):
		if code = e.Code; strings.HasPrefix(code, reserved) && code != codeDeadline && code != codeCanceled {
			code = ""
		}
	case errors.Is(err, context.DeadlineExceeded):
		code = codeDeadline
	case errors.Is(err, context.Canceled):
		code = codeCanceled
	}
	return appendFailure(b, code, err.Error())
}

func panicked(what string, value any) error {
	slog.Error("keys: a handler panicked", "method", what, "panic", value, "stack", string(debug.Stack()))
	return verdict{codePanic, fmt.Sprintf("the handler of %s panicked: %v", what, value)}
}

// contextError is the cause of a context's end, and matches its error as well. It does not match what
// the cause says of another message.
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
