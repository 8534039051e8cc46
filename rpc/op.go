package rpc

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/x/ringdht"
)

// Op is one call, as its middleware and its handler see it. An Op that serves may be kept after the
// handler has returned.
type Op struct {
	Service string
	Method  string
	Key     string     // of package keys; empty for calls of this package
	Peer    ringdht.ID // the callee at the caller, the caller at the callee
	Serving bool       // this is the callee
	Meta    Meta       // what goes along, or has come along
	Value   any        // the request; middleware may change it for the next
	call    Func       // carries it out
}

// Func carries out an operation: it makes a call, or handles one.
type Func func(ctx context.Context, op *Op) (answer any, err error)

// Middleware wraps each call that an Endpoint makes, and each that it handles; Op.Serving tells
// which. It may change Op.Meta and Op.Value before it calls next, and the answer, which must keep
// its type.
type Middleware func(next Func) Func

// wrap puts middleware around a function, the first outermost.
func wrap(all []Middleware, f Func) Func {
	for _, m := range slices.Backward(all) {
		f = m(f)
	}
	return f
}

type (
	opKey   struct{} // the Op of the request that is being handled
	metaKey struct{} // the Meta that WithMeta has gathered
)

// FromContext returns the call that a handler handles: its caller and its metadata. ctx is the
// handler's, or made from it. It is nil for other contexts.
func FromContext(ctx context.Context) *Op {
	op, _ := ctx.Value(opKey{}).(*Op)
	return op
}

// ForHandler returns the context of a handler of a message, for packages that handle messages of their
// own: [FromContext] returns op. What WithMeta has gathered in ctx does not go on.
func ForHandler(ctx context.Context, op *Op) context.Context { return handling{ctx, op} }

// handling is the context of another package's handler.
type handling struct {
	context.Context
	op *Op
}

// Value makes the Op known to the handler.
func (h handling) Value(key any) any {
	switch key {
	case opKey{}:
		return h.op
	case metaKey{}:
		return nil
	}
	return h.Context.Value(key)
}

// Meta is metadata that goes with a request. It carries W3C trace context: it has the methods of
// OpenTelemetry's TextMapCarrier. A request has at most 64 entries, with keys of at most 255 bytes,
// of 16 KiB together.
type Meta map[string]string

// Get returns the value of a key.
func (m Meta) Get(key string) string { return m[key] }

// Set sets the value of a key.
func (m Meta) Set(key, value string) { m[key] = value }

// Keys returns the keys in no order.
func (m Meta) Keys() []string { return slices.Collect(maps.Keys(m)) }

// check says what is too large.
func (m Meta) check() error {
	bytes := 0
	for k, v := range m {
		if len(k) > maxName {
			return fmt.Errorf("%w: a key of the metadata has %d bytes, at most %d", ringdht.ErrTooLarge, len(k), maxName)
		}
		bytes += len(k) + len(v)
	}
	if len(m) > maxMeta || bytes > metaBytes {
		return fmt.Errorf("%w: the metadata has %d entries of %d bytes, at most %d and %d", ringdht.ErrTooLarge, len(m), bytes, maxMeta, metaBytes)
	}
	return nil
}

// WithMeta returns a context whose calls carry an entry of metadata, besides those of ctx. What came
// to a handler does not go on by itself: it may be secret, or mean something else there.
func WithMeta(ctx context.Context, key, value string) context.Context {
	m := maps.Clone(sentMeta(ctx))
	if m == nil {
		m = make(Meta, 1)
	}
	m[key] = value
	return context.WithValue(ctx, metaKey{}, m)
}

// SentMeta returns what WithMeta has gathered in a context, for packages that send messages of their own.
// It must not be changed.
func SentMeta(ctx context.Context) Meta { return sentMeta(ctx) }

// sentMeta returns what WithMeta has gathered, which is never changed.
func sentMeta(ctx context.Context) Meta {
	m, _ := ctx.Value(metaKey{}).(Meta)
	return m
}
