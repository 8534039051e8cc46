// Package errs has the errors that nodes and registries share. The root package exports them and
// documents what they mean to a program.
package errs

import (
	"errors"
	"net"
)

// The errors of a ring.
var (
	ErrClosed       error = closedError{}
	ErrNotReady           = errors.New("the overlay is not ready")
	ErrBusy               = errors.New("a traffic run is going on")
	ErrRebuilding         = errors.New("the registry admits no new node yet")
	ErrRegistryLost       = errors.New("no connection to the registry")
	ErrHandshake          = errors.New("handshake refused")

	ErrRingFull    = errors.New("the ring is full")
	ErrTaken       = errors.New("address, ID or name already taken")
	ErrUnreachable = errors.New("advertised address cannot be reached")
	ErrEvicted     = errors.New("this node was declared dead, and joins again as a new incarnation")
	ErrOtherRing   = errors.New("the registry has another ring")
	ErrInHandler   = errors.New("a handler cannot end its own node")
	ErrNotMember   = errors.New("not a member of the ring")
)

// closedError also matches net.ErrClosed.
type closedError struct{}

func (closedError) Error() string        { return "ringdht: closed" }
func (closedError) Is(target error) bool { return target == net.ErrClosed }
