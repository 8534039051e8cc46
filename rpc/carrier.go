package rpc

import (
	"context"
	"errors"
	"iter"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// lane is one of the two services of an Endpoint. Each has its own streams, its own handlers, and
// its own part of the receive buffer. So an answer never waits behind a request.
type lane uint8

const (
	requests lane = iota // may stand still, while the callee is at its bound
	answers              // never stands still: its handler does not wait
)

// suffix is behind the endpoint's name in the name of the second service.
const suffix = "~answers"

// carrier is what an Endpoint needs of its node.
type carrier interface {
	// send accepts a message, or returns why it was not sent. It waits for the window of its lane.
	send(ctx context.Context, l lane, to ringdht.ID, body []byte) error
	// flush waits until all that a lane has accepted for a node is handled there, or left undelivered
	// and told to the endpoint.
	flush(ctx context.Context, l lane, to ringdht.ID) error
	// incarnation is the node's present one.
	incarnation() uint64
	// members tells of those that come and go, until ctx or the node ends.
	members(ctx context.Context) iter.Seq[status.MemberEvent]
}

// isGone reports whether an error of send says that the sink's incarnation is over, to which earlier
// messages went.
func isGone(err error) bool {
	return errors.Is(err, ringdht.ErrNoSuchNode) || errors.Is(err, ringdht.ErrGone) || errors.Is(err, ringdht.ErrNoService)
}
