package node

import (
	"sync"
	"time"

	"github.com/x/ringdht/internal/handshake"
)

// contact tracks until when the registry has surely heard the node: it had heard it at the
// time when the latest heartbeat that was answered was sent. That something comes from the
// registry would not prove it, since the other direction may be cut.
type contact struct {
	mu           sync.Mutex
	unanswered   []time.Time // when heartbeats were sent that are not answered, the oldest first
	unremembered int         // how many after them are not in the list
	heard        time.Time   // when the latest answered heartbeat was sent
	resumed      time.Time   // when this process noticed that it had been suspended; zero once it knows that it is a member
}

// restart begins anew on another connection, whose registration was sent at this time and
// answered.
func (c *contact) restart(sent time.Time) {
	c.mu.Lock()
	c.unanswered, c.unremembered, c.heard, c.resumed = nil, 0, sent, time.Time{}
	c.mu.Unlock()
}

// maxUnanswered bounds the heartbeats that are remembered while no answers come. The answer to
// one that is not remembered is ignored.
const maxUnanswered = 16

// sent adds a heartbeat.
func (c *contact) sent(now time.Time) {
	c.mu.Lock()
	if len(c.unanswered) < maxUnanswered && c.unremembered == 0 {
		c.unanswered = append(c.unanswered, now)
	} else {
		c.unremembered++
	}
	c.mu.Unlock()
}

// answered handles the answer to the oldest heartbeat. It returns true if that was sent after
// the process was suspended, so that the node is still a member, and no answer said so before.
func (c *contact) answered() (confirmed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unanswered) == 0 {
		c.unremembered = max(0, c.unremembered-1)
		return false
	}
	c.heard = c.unanswered[0]
	c.unanswered = c.unanswered[1:]
	if confirmed = !c.resumed.IsZero() && !c.heard.Before(c.resumed); confirmed {
		c.resumed = time.Time{}
	}
	return confirmed
}

// suspended notes that the process was suspended, and reports whether that is new.
func (c *contact) suspended(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.resumed.IsZero() {
		return false
	}
	c.resumed = now
	return true
}

// age is how long ago the registry has surely heard the node.
func (c *contact) age(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return handshake.Elapsed(c.heard, now)
}
