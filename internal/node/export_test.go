package node

import (
	"context"
	"time"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// The tests of package node_test use these methods on a node; programs cannot.

const (
	IdleStream    = idleStream
	MaxLeftover   = maxLeftover
	MaxUnanswered = maxUnanswered
)

// Present is the present incarnation, or the last while there is none.
func (n *Node) Present() *incarnation { return n.inc.Load() }

// Plane is the part that carries messages.
func (inc *incarnation) Plane() *plane.Plane { return inc.plane }

// Told is the view of the ring that the registry has told it.
func (inc *incarnation) Told() *membership.NodeView { return inc.local.Load() }

// Authoritative reports whether it knows its successor for sure, and so may say that a node does
// not exist.
func (inc *incarnation) Authoritative() bool { return inc.authoritative() }

// Timeout is how long it and its registry may be silent.
func (inc *incarnation) Timeout() time.Duration { return inc.timeout() }

// SetPace sets how many thirds of a lease there are between heartbeats.
func (inc *incarnation) SetPace(thirds int32) { inc.pace.Store(thirds) }

// Unanswered counts the heartbeats that it remembers because no answer has come.
func (inc *incarnation) Unanswered() int {
	inc.contact.mu.Lock()
	defer inc.contact.mu.Unlock()
	return len(inc.contact.unanswered)
}

// Heard is when the latest heartbeat was sent that the registry has answered.
func (inc *incarnation) Heard() time.Time {
	inc.contact.mu.Lock()
	defer inc.contact.mu.Unlock()
	return inc.contact.heard
}

// ForgetOthers takes all members off its list.
func (inc *incarnation) ForgetOthers() {
	view := *inc.local.Load()
	view.Others = nil
	inc.local.Store(&view)
}

// DeclareDead tells it, as the registry does, that an incarnation of another node is dead.
func (inc *incarnation) DeclareDead(id, other uint64) {
	inc.markDead([]ring.Ref{{ID: id, Incarnation: other}})
}

// Evict ends it as if the registry had declared it dead. It does not join again.
func (inc *incarnation) Evict() { inc.n.end(inc, errs.ErrEvicted) }

// DelayEnd keeps it from ending until the function that it returns is called.
func (inc *incarnation) DelayEnd() (proceed func()) {
	inc.wg.Add(1)
	return inc.wg.Done
}

// EndedBy is why it has ended, nil if it has not.
func (inc *incarnation) EndedBy() error { return context.Cause(inc.ctx) }

// BeginAgain begins an incarnation with the same number, as if the registry ignored the numbers
// that it was told.
func (inc *incarnation) BeginAgain() error { return inc.n.begin(inc.self, inc.self.Incarnation, nil) }

// OnLaterIncarnation tells it, as a stream does, that a sink remembers a later incarnation.
func (inc *incarnation) OnLaterIncarnation(later uint64) bool { return inc.onLaterIncarnation(later) }

// AsAdmitted is a node as this one was when the registry had admitted it, and had not told
// it a table.
func (inc *incarnation) AsAdmitted() *Node {
	fresh := &incarnation{self: inc.self, ready: make(chan struct{}), ctx: inc.ctx}
	fresh.local.Store(&membership.NodeView{})
	n := new(Node)
	n.inc.Store(fresh)
	return n
}

// IsDead reports whether the node takes an incarnation of another for dead.
func (n *Node) IsDead(id, inc uint64) bool { return n.isDead(id, inc) }

// NoTableError is the error of sending too early.
func (n *Node) NoTableError() error { return n.noTableError() }

// OutageError is the error of having no registry.
func (n *Node) OutageError() error { return n.outageError() }

// Change makes a change by f, and wakes the goroutines that wait for one.
func (n *Node) Change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	n.changed.Broadcast()
}

// Inherit adds what an incarnation has left undelivered to what those before it have, and
// counts the entries.
func (n *Node) Inherit(left []plane.Undelivered) (entries int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leftover = mergeLeftover(n.leftover, left)
	return len(n.leftover)
}

// WakesLinks reports whether a message about the ring makes it look at its links.
func (inc *incarnation) WakesLinks(t wire.Type, v any) (bool, error) {
	alone := &incarnation{n: inc.n, self: inc.self, plane: inc.plane, wakeup: make(chan struct{}, 1)} // without a linkLoop
	alone.local.Store(inc.local.Load())
	body, err := inc.n.cfg.Codec.Append(nil, v)
	if err == nil {
		err = alone.handleUpdate(inc.n.ctl.Load(), t, body)
	}
	return len(alone.wakeup) > 0, err
}
