package logqueue

import (
	"context"
	"log/slog"
	"slices"
)

// handler is the handler of a logger: the root, or one with attributes or a group. It only
// appends to the queue.
type handler struct {
	q        *Queue
	minLevel slog.Level

	// What it adds to its parent: attributes or a group.
	parent *handler
	attrs  []slog.Attr
	group  string

	// to is the user's handler with all of these. The queue's goroutine owns it, and makes it
	// when needed.
	to slog.Handler
}

// Enabled compares with the lowest level only. The queue's goroutine asks the user's handler
// later, since its Enabled may block.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.minLevel }

// Handle queues a record.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	own := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	bytes := overhead + len(r.Message)
	attrs := make([]slog.Attr, 0, r.NumAttrs())
	for a := range r.Attrs {
		attrs = append(attrs, keep(a, &bytes))
	}
	own.AddAttrs(attrs...)
	h.q.add(record{to: h, ctx: context.WithoutCancel(ctx), rec: own, bytes: bytes})
	return nil
}

// WithAttrs implements [slog.Handler].
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	kept := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		kept[i] = keep(a, new(int))
	}
	return &handler{q: h.q, minLevel: h.minLevel, parent: h, attrs: kept}
}

// WithGroup implements [slog.Handler].
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &handler{q: h.q, minLevel: h.minLevel, parent: h, group: name}
}

// target returns the user's handler with the attributes and groups of h.
func (h *handler) target() slog.Handler {
	if h.to == nil {
		to := h.parent.target()
		if h.group != "" {
			to = to.WithGroup(h.group)
		} else {
			to = to.WithAttrs(h.attrs)
		}
		h.to = to
	}
	return h.to
}

// keep returns a copy of an attribute that may be read later, and adds the length of its text
// to bytes. It resolves a LogValuer now and copies bytes. Values of other types must not change
// later; the library logs errors and addresses.
func keep(a slog.Attr, bytes *int) slog.Attr {
	v := a.Value.Resolve()
	*bytes += len(a.Key)
	switch v.Kind() {
	case slog.KindString:
		*bytes += len(v.String())
	case slog.KindGroup:
		group := v.Group()
		kept := make([]slog.Attr, len(group))
		for i, g := range group {
			kept[i] = keep(g, bytes)
		}
		v = slog.GroupValue(kept...)
	case slog.KindAny:
		if b, ok := v.Any().([]byte); ok {
			*bytes += len(b)
			v = slog.AnyValue(slices.Clone(b))
		}
	}
	return slog.Attr{Key: a.Key, Value: v}
}
