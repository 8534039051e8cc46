package status

import (
	"fmt"
	"strings"
)

// Undelivered is what one stream left when it ended: exactly the messages that the sink's handler
// is not known to have had.
type Undelivered struct {
	Sink     ID
	Service  string // the name of the service that sent the messages
	Messages uint64 // their number: the latest accepted before the stream ended
	// NotHandled is how many of these, the latest, were certainly not handled and never will be:
	// the sink has left in good order (Err matches ErrLeft), it was never found, or they had not
	// been sent. They may be sent again, or to another node: Bodies[len(Bodies)-NotHandled:], if
	// there are Bodies. The outcome of the Messages-NotHandled before them is unknown: the handler
	// may have had them.
	NotHandled uint64
	// Bodies are copies of the messages, oldest first. They may be kept and must not be changed,
	// since the callback and Flush share them.
	//
	// Bodies is nil if bodies of Limits.SendBuffer bytes wait already for Flush or for the
	// callback. For Flush it is also nil if more than 32 streams to this sink, or 4,096 in all,
	// have ended since the last Flush, and for all incarnations of the node but the last two.
	Bodies [][]byte
	Err    error // why the stream ended
}

// UndeliveredError lists accepted messages that were not known to be delivered when their stream
// ended. [Undelivered] tells messages of unknown outcome from messages that were not handled.
// Errors of package ringdht are pointers to it: use errors.As with an *UndeliveredError.
type UndeliveredError struct {
	Streams []Undelivered
	// Unlisted is the number of further such messages, to sinks that Streams does not name: a node
	// keeps 4,096 streams of its incarnation, and 4,096 sinks of earlier ones.
	Unlisted    uint64
	UnlistedErr error // why their streams ended, as far as it is known
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
		fmt.Fprintf(&b, " to node %d", u.Sink)
		if u.Service != "" {
			fmt.Fprintf(&b, " by service %s", u.Service)
		}
		fmt.Fprintf(&b, " (%v)", u.Err)
	}
	if e.Unlisted > 0 {
		if len(e.Streams) > 0 {
			b.WriteString(", and ")
		}
		fmt.Fprintf(&b, "%d to nodes that are not listed", e.Unlisted)
	}
	return b.String()
}

// Unwrap returns why the streams ended, so that errors.Is finds ErrGone and the others; for
// streams that are not listed, UnlistedErr.
func (e *UndeliveredError) Unwrap() []error {
	all := make([]error, len(e.Streams), len(e.Streams)+1)
	for i, u := range e.Streams {
		all[i] = u.Err
	}
	if e.UnlistedErr != nil {
		all = append(all, e.UnlistedErr)
	}
	return all
}
