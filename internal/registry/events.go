package registry

import (
	"log/slog"

	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/status"
)

// eventKinds maps the membership's effects to events. An effect that is not listed is a request.
var eventKinds = map[membership.Kind]status.EventKind{
	membership.Joined:      status.EventJoined,
	membership.Ready:       status.EventReady,
	membership.Left:        status.EventLeft,
	membership.Dead:        status.EventDead,
	membership.Suspected:   status.EventSuspect,
	membership.Back:        status.EventBack,
	membership.Unreachable: status.EventDegraded,
	membership.Healed:      status.EventHealed,
	membership.LeftOut:     status.EventLeftOut,
	membership.CountsAgain: status.EventCounts,
	membership.Rebuilt:     status.EventRebuilt,
	membership.Founded:     status.EventSetup,
	membership.LedAround:   status.EventLedAround,
	membership.Relays:      status.EventRelays,
}

// recordEffect records an effect if it is an event. It needs mu.
func (r *Registry) recordEffect(e membership.Effect) {
	kind, isEvent := eventKinds[e.Kind]
	if !isEvent {
		return
	}
	event := status.Event{Kind: kind, Node: status.Peer{ID: status.ID(e.Ref.ID), Addr: e.Addr}, Name: e.Name, Incarnation: e.Ref.Incarnation, Why: e.Why}
	if e.Other.ID != 0 || e.Other.Incarnation != 0 {
		event.Other.ID = status.ID(e.Other.ID)
		if m, ok := r.members.Holder(e.Other.ID); ok && m.Incarnation == e.Other.Incarnation {
			event.Other.Addr = m.Addr
		}
	}
	r.reports.end(r.recordEvent(event), e.Ref)
}

// recordEvent keeps an event, logs it, and returns it with its number and time. It needs mu.
func (r *Registry) recordEvent(e status.Event) status.Event {
	e = r.events.add(e, r.members.Epoch())
	r.history.advance(e.Time, r.members.Len())
	r.logEvent(e)
	return e
}

// recordQuietly keeps an event that is logged elsewhere. It needs mu.
func (r *Registry) recordQuietly(e status.Event) { r.events.add(e, r.members.Epoch()) }

func (r *Registry) logEvent(e status.Event) {
	if ctx := r.ctx; r.cfg.Log.Enabled(ctx, level(e)) {
		r.cfg.Log.LogAttrs(ctx, level(e), string(e.Kind), attrs(e)...)
	}
}

// level is Warn for what an operator may want to look into, and Info for the rest.
func level(e status.Event) slog.Level {
	switch e.Kind {
	case status.EventDead, status.EventDegraded, status.EventLeftOut, status.EventLedAround:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// attrs returns what the log says about an event.
func attrs(e status.Event) []slog.Attr {
	attrs := make([]slog.Attr, 0, 6)
	if e.Incarnation != 0 {
		attrs = append(attrs, slog.Any("node", e.Node), slog.Uint64("incarnation", e.Incarnation))
	}
	if e.Name != "" {
		attrs = append(attrs, slog.String("name", e.Name))
	}
	attrs = append(attrs, slog.Uint64("epoch", e.Epoch))
	if e.Kind == status.EventDegraded || e.Kind == status.EventHealed {
		attrs = append(attrs, slog.Any("other", e.Other))
	}
	if e.Why != "" {
		attrs = append(attrs, slog.String("why", e.Why))
	}
	return attrs
}
