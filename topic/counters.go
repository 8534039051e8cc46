package topic

// Counters count at a node, over all its incarnations.
type Counters struct {
	Sent      uint64 // messages sent to members: own ones, and those of others that were passed on
	Dropped   uint64 // messages dropped at a bound, that were asked for later
	Repaired  uint64 // own messages that a member lacked, and asked for
	TakenOver uint64 // questions of a member that has ended, passed on to others
	Refused   uint64 // questions at a bound: their publishers wait until this node ends
	Forgotten uint64 // retained messages, at their bound
	Malformed uint64 // messages of members that made no sense. A sound program sends none
}

// Counters returns the counters of the node. They are of one instant.
func (t *Topic[T]) Counters() Counters {
	h := t.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.counted
	if h.life != nil {
		c.add(h.life)
	}
	c.Forgotten += h.store.forgotten
	c.Malformed = h.malformed.Load()
	return c
}

// add adds what a life has counted.
func (c *Counters) add(l *life) {
	c.Dropped += l.core.Dropped
	c.Repaired += l.core.Repaired
	c.TakenOver += l.core.TakenOver
	c.Refused += l.core.Refused
}
