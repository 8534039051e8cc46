package ringdht

import (
	"fmt"
	"strings"

	"github.com/x/ringdht/internal/plane"
)

// UndeliveredError says which messages have no known outcome: they were accepted,
// and their stream ended before their sink confirmed them. Some of them may have
// been delivered.
type UndeliveredError struct {
	Streams []Undelivered
}

// Undelivered is what one stream left when it ended: exactly those messages of which
// nobody knows whether the sink's handler has had them.
type Undelivered struct {
	Sink     ID
	Messages uint64 // how many: the latest accepted before the stream ended
	// Bodies are the messages themselves, oldest first. It is nil when Flush was not
	// called for so long that as much as Limits.SendBuffer is kept for it already, and
	// for all lives of the node but the last two.
	Bodies [][]byte
	Err    error // why it ended
}

// Error lists the streams.
func (e *UndeliveredError) Error() string {
	var b strings.Builder
	b.WriteString("messages of unknown outcome:")
	for i, u := range e.Streams {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %d to node %d (%v)", u.Messages, u.Sink, u.Err)
	}
	return b.String()
}

// Unwrap returns the reasons.
func (e *UndeliveredError) Unwrap() []error {
	errs := make([]error, len(e.Streams))
	for i, u := range e.Streams {
		errs[i] = u.Err
	}
	return errs
}

func undelivered(all []plane.Undelivered) error {
	if len(all) == 0 {
		return nil
	}
	e := &UndeliveredError{Streams: make([]Undelivered, len(all))}
	for i, u := range all {
		e.Streams[i] = undeliveredOf(u)
	}
	return e
}

func undeliveredOf(u plane.Undelivered) Undelivered {
	return Undelivered{ID(u.Sink), u.Messages, u.Bodies, u.Err}
}

// onUndelivered is what a plane calls, nil if nobody wants to hear of it.
func (n *Node) onUndelivered() func(plane.Undelivered) {
	if n.cfg.lost == nil {
		return nil
	}
	return func(u plane.Undelivered) { n.cfg.lost(undeliveredOf(u)) }
}
