package ringdht

import (
	"fmt"
	"strings"

	"github.com/x/ringdht/internal/plane"
)

// UndeliveredError says which messages were not known to be delivered when their stream
// ended: they were accepted, and their sink did not confirm them. [Undelivered] tells those
// of unknown outcome from those that were not handled.
type UndeliveredError struct {
	Streams []Undelivered
	// Unlisted is how many messages besides were not known to be delivered, to nodes that
	// Streams does not name: a node keeps 4,096 streams of its present life, and 4,096 sinks
	// of earlier ones. It may concern any sink.
	Unlisted uint64

	why []error // of those
}

// Undelivered is what one stream left when it ended: exactly those messages that the
// sink's handler is not known to have had.
type Undelivered struct {
	Sink     ID
	Messages uint64 // how many: the latest accepted before the stream ended
	// NotHandled is how many of these, the latest, were certainly not handled, and never
	// will be: the sink has left in good order (Err matches ErrLeft) or was never found,
	// or they had not been sent. It is safe to send them again, or elsewhere:
	// Bodies[len(Bodies)-NotHandled:], if there are Bodies. The outcome of the
	// Messages-NotHandled before them is unknown: the sink's handler may have had them.
	NotHandled uint64
	// Bodies are the messages themselves, oldest first. It is nil when as much as
	// Limits.SendBuffer is kept already, for Flush or on its way to the callback; for Flush
	// also when more than 32 streams to this sink, or 4,096 in all, have ended since the
	// last one; and for all lives of the node but the last two.
	Bodies [][]byte
	Err    error // why it ended
}

// Error lists the streams.
func (e *UndeliveredError) Error() string {
	var b strings.Builder
	b.WriteString("messages not known to be delivered: ")
	for i, u := range e.Streams {
		if i > 0 {
			b.WriteString(", ")
		}
		switch unknown := u.Messages - u.NotHandled; {
		case u.NotHandled == 0:
			fmt.Fprintf(&b, "%d of unknown outcome", unknown)
		case unknown == 0:
			fmt.Fprintf(&b, "%d not handled", u.NotHandled)
		default:
			fmt.Fprintf(&b, "%d of unknown outcome and %d not handled", unknown, u.NotHandled)
		}
		fmt.Fprintf(&b, " to node %d (%v)", u.Sink, u.Err)
	}
	if e.Unlisted > 0 {
		if len(e.Streams) > 0 {
			b.WriteString(", and ")
		}
		fmt.Fprintf(&b, "%d to nodes that are not listed", e.Unlisted)
	}
	return b.String()
}

// Unwrap returns the reasons; of those that are not listed, the latest.
func (e *UndeliveredError) Unwrap() []error {
	errs := make([]error, len(e.Streams), len(e.Streams)+len(e.why))
	for i, u := range e.Streams {
		errs[i] = u.Err
	}
	return append(errs, e.why...)
}

func undelivered(all []plane.Undelivered) error {
	if len(all) == 0 {
		return nil
	}
	e := &UndeliveredError{Streams: make([]Undelivered, 0, len(all))}
	for _, u := range all {
		if u.Many {
			e.Unlisted += u.Messages
			e.why = append(e.why, u.Err)
		} else {
			e.Streams = append(e.Streams, undeliveredOf(u))
		}
	}
	return e
}

func undeliveredOf(u plane.Undelivered) Undelivered {
	return Undelivered{ID(u.Sink), u.Messages, u.NotHandled, u.Bodies, u.Err}
}

// onUndelivered is what a plane calls, nil if nobody wants to hear of it.
func (n *Node) onUndelivered() func(plane.Undelivered) {
	if n.cfg.lost == nil {
		return nil
	}
	return func(u plane.Undelivered) { n.cfg.lost(undeliveredOf(u)) }
}
