package keys

import (
	"errors"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/arc"
)

// notes is the hub as the node's internal side sees it: its end of the registry's notes. The node calls
// one method at a time, under no lock of its own.
type notes hub

// Connected begins a life, or goes on with it over a new connection. The report comes first.
func (n *notes) Connected(incarnation uint64, send func(body []byte) bool) {
	h := (*hub)(n)
	h.begin()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	l := h.life
	if l == nil || l.self != incarnation {
		h.endLife(ringdht.ErrEvicted)
		l = h.beginLife(incarnation)
	}
	l.note, l.reader = send, new(arc.NoteReader)
	positions := 0
	if h.offers != nil {
		positions = arc.DefaultPositions
	}
	for _, b := range arc.ReportNotes(positions, h.offers != nil, l.owner.Report()) {
		send(b)
	}
	l.source.Retry()
	l.settle()
}

// Note takes a note of the registry.
func (n *notes) Note(incarnation uint64, body []byte) {
	h := (*hub)(n)
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.life
	if l == nil || l.self != incarnation {
		return
	}
	note, err := l.reader.Read(body)
	switch {
	case errors.Is(err, arc.ErrKind): // of a later version
	case err != nil:
		h.malformed.Add(1)
	case note.Kind == arc.NoteFrame && note.Frame.Kind == arc.Where:
		l.answered(note.Frame)
	case note.Kind == arc.NoteFrame:
		l.handle(arc.Registry, note.Frame)
	case note.Kind == arc.NoteOrders:
		l.moved = true
		h.inner.SawTerm(note.Orders.Latest)
		l.owner.Orders(note.Orders)
	}
	l.settle()
}

// Ended ends a life.
func (n *notes) Ended(incarnation uint64) {
	h := (*hub)(n)
	cause := ringdht.ErrEvicted
	if errors.Is(h.n.ReadyNow(), ringdht.ErrClosed) {
		cause = ringdht.ErrClosed
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.life != nil && h.life.self == incarnation {
		h.endLife(cause)
	}
}
