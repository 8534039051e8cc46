package rpc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/x/ringdht"
)

// maxCalls bounds the calls of an Endpoint that wait for their answers. Beyond it Call fails: if it
// waited, calls whose answers depend on further calls would wait for ever.
const maxCalls = 65536

// Why a call ends.
var (
	errNotKnown   = errors.New("the node does not know the call: another incarnation got it, or its answer was lost")
	errSelfLeaves = fmt.Errorf("%w: this node is about to leave", ringdht.ErrNotMember)
	errTooMany    = fmt.Errorf("%w: %d calls wait for their answers", ringdht.ErrBacklog, maxCalls)
)

// call is a call of this node that waits for its answer. Its goroutine owns it. Removing it from
// calls.pending gives the right to write its outcome, so that is done once.
type call struct {
	number uint64
	to     ringdht.ID
	life   uint64 // this node's incarnation when the call began
	lane   lane
	done   chan outcome // of one slot

	seen uint64 // calls.ends when the call began

	// guarded by calls.mu
	sent bool // the request has been accepted
	aged bool // it was when the calls were looked at last
}

// outcome is how a call ends. One that is not unknown has not been handled, or is answered.
type outcome struct {
	answer  *buffer // the message; nil if there is err
	err     error
	unknown bool
}

// calls are the calls of this node. Numbers begin anywhere, so that an answer for another process
// that had the same ID does not match.
type calls struct {
	free    sync.Pool // of *call; not shared: in a bubble of testing/synctest channels are the bubble's
	mu      sync.Mutex
	pending map[uint64]*call
	next    uint64
	ends    uint64        // of members and streams, of which the node has heard
	ended   uint64        // incarnations of this node up to this one have ended
	closed  error         // why there are no further calls
	empty   chan struct{} // closed when there are no further calls and none is pending
}

func (c *calls) init() {
	c.pending, c.next, c.empty = make(map[uint64]*call), rand.Uint64(), make(chan struct{})
}

// begin notes a call. The request must not be sent before.
func (c *calls) begin(to ringdht.ID, l lane, life uint64) (*call, error) {
	k, _ := c.free.Get().(*call)
	if k == nil {
		k = &call{done: make(chan outcome, 1)}
	}
	k.to, k.lane, k.life, k.sent, k.aged = to, l, life, false, false
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed != nil:
		return nil, c.closed
	case len(c.pending) >= maxCalls:
		return nil, errTooMany
	}
	c.next++
	k.number, k.seen = c.next, c.ends
	c.pending[k.number] = k
	return k, nil
}

// take removes a call of this node to another. It returns nil if it is not pending.
func (c *calls) take(number uint64, to ringdht.ID) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.pending[number]
	if k == nil || k.to != to {
		return nil
	}
	c.remove(k)
	return k
}

// remove needs mu.
func (c *calls) remove(k *call) {
	delete(c.pending, k.number)
	if c.closed != nil && len(c.pending) == 0 {
		close(c.empty)
	}
}

// finish ends a call, unless it has ended.
func (c *calls) finish(number uint64, to ringdht.ID, o outcome) bool {
	k := c.take(number, to)
	if k != nil {
		k.done <- o
	}
	return k != nil
}

// accepted notes that a request has been accepted. From now on the call is asked for: at once if it
// returns true, since something has ended meanwhile.
func (c *calls) accepted(k *call) (ask bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending[k.number] != k {
		return false // it has an answer already
	}
	if k.sent = true; k.life <= c.ended {
		c.remove(k)
		k.done <- outcome{err: ringdht.ErrEvicted, unknown: true}
	}
	return k.seen != c.ends
}

// noteEnd notes that a member or a stream has ended.
func (c *calls) noteEnd() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends++
}

// over ends the calls of an incarnation of this node, and of those before it. Those that are being
// sent get an error of their own.
func (c *calls) over(life uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = max(c.ended, life)
	for _, k := range c.pending {
		if k.sent && k.life <= life {
			c.remove(k)
			k.done <- outcome{err: err, unknown: true}
		}
	}
}

// close lets no further call begin. It returns a channel that is closed when none is pending.
func (c *calls) close(err error) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed == nil {
		c.closed = err
		if len(c.pending) == 0 {
			close(c.empty)
		}
	}
	return c.empty
}

// notPending returns those of a list that this node does not wait for. It changes the list.
func (c *calls) notPending(to ringdht.ID, list []uint64) (not []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	not = list[:0]
	for _, number := range list {
		if k := c.pending[number]; k == nil || k.to != to {
			not = append(not, number)
		}
	}
	return not
}

// due returns the calls to ask for, by question: all to nodes with a call that was there at the last
// look.
func (c *calls) due(into map[question][]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.pending {
		if k.sent && k.aged {
			q := question{k.to, kindAsk, k.lane}
			into[q] = append(into[q], k.number)
		}
		k.aged = k.sent
	}
}

// about returns the calls that a question is about, now.
func (c *calls) about(q question) (list []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.pending {
		if k.sent && k.to == q.peer && k.lane == q.lane {
			list = append(list, k.number)
		}
	}
	return list
}

// len returns how many calls are pending.
func (c *calls) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending)
}
