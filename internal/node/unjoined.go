package node

import (
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
)

// unjoined makes the incarnation of a node that has not joined: it has number 0, and has ended. So
// all methods work before Join and during it: those that wait wait for the first real incarnation,
// as they wait for the next one of a node that was declared dead. The others fail with the reason.
//
// Rejected: a nil incarnation, which each method would have to check for.
func (n *Node) unjoined() *incarnation {
	inc := n.newIncarnation(control.Registered{})
	n.end(inc, notJoinedError{})
	return inc
}

// begun reports whether the registry has admitted the incarnation: it is not that of a node that
// has not joined.
func (inc *incarnation) begun() bool { return inc.self.Incarnation != 0 }

// notJoinedError is an [errs.ErrNotReady] for a node that has not joined.
type notJoinedError struct{}

func (notJoinedError) Error() string {
	return "it has not joined a ring yet: call Join, or wait for it"
}
func (notJoinedError) Is(target error) bool { return target == errs.ErrNotReady }
