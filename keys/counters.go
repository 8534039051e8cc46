package keys

import "github.com/x/ringdht/keys/internal/channel"

// Counters count at a node, over all its lives.
type Counters struct {
	Sent    uint64 // messages of this node
	Handled uint64 // messages whose handlers have returned here
	Failed  uint64 // messages of Send whose handlers have returned an error
	Unknown uint64 // messages of this node without a known outcome
	Untold  uint64 // of these, those that WithUnknown's function was not told of

	Given, GivenBytes uint64 // arcs whose states were given to another owner
	Taken, TakenBytes uint64 // arcs whose states were taken over
	FailedMoves       uint64 // states that could not be given or taken at once
	Impatient         uint64 // handlers whose contexts have ended since their keys were to move
	Overruled         uint64 // arcs that another owner had though this one held them: it was declared dead

	Asks     uint64 // questions for owners
	Refusals uint64 // messages refused here, since their arcs have moved
	Refused  uint64 // refusals that this node got
	Repeats  uint64 // messages sent again, see Again
	Parked   uint64 // questions that have waited here for an arc
	Waited   uint64 // messages that have waited for a place, see WithConcurrency

	Repeated   uint64 // bytes sent again, since a stream has ended
	Duplicates uint64 // of these, bytes that had arrived
	Gaps       uint64 // gaps found, which are sent again
	Stale      uint64 // messages from or for a life that is over: dropped
	Malformed  uint64 // what made no sense: dropped. A sound program sends none
}

func (h *hub) counters() Counters {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.counted
	if h.life != nil {
		c.add(h.life.totals())
		for _, p := range h.life.peers {
			c.addChannel(p.channel.Counters())
		}
	}
	c.Stale, c.Malformed = h.stale.Load(), h.malformed.Load()
	return c
}

// totals returns what a life has counted, but for its channels.
func (l *life) totals() Counters {
	c := l.counted
	c.Asks, c.Refused, c.Repeats = l.source.Asks, l.source.Refusals, l.source.Repeats
	c.Refusals, c.Parked = l.owner.Refusals, l.owner.Parked
	return c
}

func (c *Counters) addChannel(o channel.Counters) {
	c.Repeated += o.Repeated
	c.Duplicates += o.Duplicates
	c.Gaps += o.Gaps
}

func (c *Counters) add(o Counters) {
	c.Sent += o.Sent
	c.Handled += o.Handled
	c.Failed += o.Failed
	c.Unknown += o.Unknown
	c.Given += o.Given
	c.GivenBytes += o.GivenBytes
	c.Taken += o.Taken
	c.TakenBytes += o.TakenBytes
	c.FailedMoves += o.FailedMoves
	c.Impatient += o.Impatient
	c.Overruled += o.Overruled
	c.Asks += o.Asks
	c.Refusals += o.Refusals
	c.Refused += o.Refused
	c.Repeats += o.Repeats
	c.Parked += o.Parked
	c.Waited += o.Waited
	c.Repeated += o.Repeated
	c.Duplicates += o.Duplicates
	c.Gaps += o.Gaps
}
