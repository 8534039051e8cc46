package registry

import (
	"maps"
	"time"

	"github.com/x/ringdht/status"
)

// eventLog keeps the latest events and counts all. Guarded by Registry.mu, so that a snapshot has
// the events that led to its membership.
type eventLog struct {
	latest []status.Event // the latest status.MaxEvents, and at most as many older ones
	seq    uint64         // of the latest event
	kinds  map[status.EventKind]int64
}

// add numbers an event, keeps it and returns it.
func (l *eventLog) add(e status.Event, epoch uint64) status.Event {
	if l.kinds == nil {
		l.kinds = make(map[status.EventKind]int64)
	}
	l.seq++
	l.kinds[e.Kind]++
	e.Seq, e.Time, e.Epoch = l.seq, time.Now(), epoch
	if len(l.latest) >= 2*status.MaxEvents { // copy rarely, not for each event
		l.latest = append(l.latest[:0:0], l.latest[len(l.latest)-status.MaxEvents:]...)
	}
	l.latest = append(l.latest, e)
	return e
}

// list copies the latest events, the oldest first.
func (l *eventLog) list() []status.Event {
	return cloneNonNil(l.latest[max(0, len(l.latest)-status.MaxEvents):])
}

// counts returns the number of events of each kind so far.
func (l *eventLog) counts() map[status.EventKind]int64 {
	if l.kinds == nil {
		return map[status.EventKind]int64{}
	}
	return maps.Clone(l.kinds)
}
