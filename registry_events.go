package ringdht

import (
	"log/slog"
	"time"

	"github.com/x/ringdht/internal/membership"
)

// eventKinds are the names of the membership's news. What it asks for is none.
var eventKinds = map[membership.Kind]EventKind{
	membership.Joined:  EventJoined,
	membership.Ready:   EventReady,
	membership.Left:    EventLeft,
	membership.Dead:    EventDead,
	membership.Doubted: EventDoubted,
	membership.Back:    EventBack,
	membership.Parted:  EventDegraded,
	membership.Mended:  EventMended,
	membership.Rebuilt: EventRebuilt,
}

// note keeps news of the membership; it needs mu.
func (r *Registry) note(e membership.Effect) {
	kind, news := eventKinds[e.Kind]
	if !news {
		return
	}
	event := Event{Kind: kind, Node: Peer{ID(e.Ref.ID), e.Addr}, Incarnation: e.Ref.Life, Why: e.Why}
	if e.Other.ID != 0 || e.Other.Life != 0 {
		event.Other.ID = ID(e.Other.ID)
		if m, ok := r.members.Holder(e.Other.ID); ok && m.Life == e.Other.Life {
			event.Other.Addr = m.Addr
		}
	}
	r.happened(event)
}

// happened keeps an event and logs it; it needs mu.
func (r *Registry) happened(e Event) {
	r.seq++
	r.kinds[e.Kind]++
	e.Seq, e.Time, e.Epoch = r.seq, time.Now(), r.members.Epoch()
	if len(r.events) >= 2*MaxEvents { // now and then, and not for each
		r.events = append(r.events[:0:0], r.events[len(r.events)-MaxEvents:]...)
	}
	r.events = append(r.events, e)
	if ctx := r.ctx; r.cfg.Log.Enabled(ctx, level(e)) {
		r.cfg.Log.LogAttrs(ctx, level(e), string(e.Kind), attrs(e)...)
	}
}

// level is Info for what is meant to happen, and Warn for what an operator may want to
// look into.
func level(e Event) slog.Level {
	switch e.Kind {
	case EventDead, EventDegraded:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

func attrs(e Event) []slog.Attr {
	attrs := make([]slog.Attr, 0, 5)
	if e.Incarnation != 0 {
		attrs = append(attrs, slog.Any("node", e.Node), slog.Uint64("incarnation", e.Incarnation))
	}
	attrs = append(attrs, slog.Uint64("epoch", e.Epoch))
	if e.Kind == EventDegraded || e.Kind == EventMended {
		attrs = append(attrs, slog.Any("other", e.Other))
	}
	if e.Why != "" {
		attrs = append(attrs, slog.String("why", e.Why))
	}
	return attrs
}
