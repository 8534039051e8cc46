package memnet

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Delay makes each Write from one host to another arrive d later, plus a random time in
// [0, jitter). Bytes keep their order, so a late Write holds up those behind it. Bytes under way
// take room in the buffer: a connection carries at most 64 KiB in each delay, like TCP with such
// a window. A Delay of 0, 0 undoes it; negative values count as 0.
func (n *Network) Delay(from, to string, d, jitter time.Duration) {
	from, to = strings.ToLower(from), strings.ToLower(to)
	n.change(from, to, func(now uint64) {
		n.rules.delays.set(from, to, lag{max(d, 0), max(jitter, 0)}, now)
	})
}

// Drop loses each Write from one host to another with probability p: whole, and without an
// error. 0 undoes it, 1 loses everything. The connection stands, and its reader gets the other
// Writes without a gap. So framing survives only if each Write has whole frames. The links
// between ringdht nodes are of that kind, and streams recover; a node's connection to its
// registry does not.
func (n *Network) Drop(from, to string, p float64) {
	from, to = strings.ToLower(from), strings.ToLower(to)
	n.change(from, to, func(now uint64) { n.rules.drops.set(from, to, p, now) })
}

// Cut resets the connections between two hosts, and refuses dials between them, in both
// directions, until [Network.Mend]. Reads and writes at both ends fail at once with
// [syscall.ECONNRESET], and unread bytes are lost.
func (n *Network) Cut(a, b string) {
	a, b = strings.ToLower(a), strings.ToLower(b)
	n.change(a, b, func(now uint64) {
		n.rules.cuts.set(a, b, true, now)
		n.rules.cuts.set(b, a, true, now)
		for k := range n.links {
			if matches(a, b, k.from, k.to) || matches(a, b, k.to, k.from) {
				k.forward.reset()
				k.backward.reset()
				n.forget(k)
			}
		}
	})
}

// Mend undoes [Network.Cut] for future dials. Connections that were reset stay so.
func (n *Network) Mend(a, b string) {
	a, b = strings.ToLower(a), strings.ToLower(b)
	n.change(a, b, func(now uint64) {
		n.rules.cuts.set(a, b, false, now)
		n.rules.cuts.set(b, a, false, now)
	})
}

// Hold silences one direction until [Network.Release]. Nothing arrives, not even the end of a
// connection, and nothing is lost, as if TCP retransmitted. Writes succeed until the buffer is
// full, then they wait. A dial in either direction hangs until its context ends.
func (n *Network) Hold(from, to string) {
	from, to = strings.ToLower(from), strings.ToLower(to)
	n.change(from, to, func(now uint64) { n.rules.holds.set(from, to, true, now) })
}

// Release undoes [Network.Hold] and [Network.Partition] in one direction. Held bytes arrive, at
// once or when their delay is over, and dials that hang go on.
func (n *Network) Release(from, to string) {
	from, to = strings.ToLower(from), strings.ToLower(to)
	n.change(from, to, func(now uint64) {
		if from == "" && to == "" {
			n.rules.partitions = nil // no later rule can bring them back
		}
		n.rules.holds.set(from, to, false, now)
	})
}

// Partition is a [Network.Hold] in both directions between each two named hosts that have no
// group in common. It does not affect hosts in no group, nor earlier partitions: to move a
// partition, call [Network.Heal] or [Network.Release] first.
func (n *Network) Partition(groups ...[]string) {
	n.change("", "", func(now uint64) {
		n.rules.partitions = append(n.rules.partitions, newPartition(groups, now))
	})
}

// Heal undoes every fault. Held bytes arrive; delayed bytes still take their time.
func (n *Network) Heal() {
	n.change("", "", func(uint64) {
		clock := n.rules.clock
		n.rules = newRuleset()
		n.rules.clock = clock
	})
}

// change alters the rules, and then updates the connections between the two hosts and all
// waiting dials.
func (n *Network) change(from, to string, alter func(now uint64)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	alter(n.rules.tick())
	for k := range n.links {
		if matches(from, to, k.from, k.to) {
			k.forward.setFaults(n.rules.between(k.from, k.to))
		}
		if matches(from, to, k.to, k.from) {
			k.backward.setFaults(n.rules.between(k.to, k.from))
		}
	}
	n.tryAll(&n.held)
	for _, name := range slices.Sorted(maps.Keys(n.hosts)) { // in one order, since connections are numbered
		listeners := n.hosts[name].listeners
		for _, port := range slices.Sorted(maps.Keys(listeners)) {
			n.tryAll(&listeners[port].waiting)
		}
	}
}

// matches reports whether a rule for two names is about two hosts.
func matches(ruleFrom, ruleTo, from, to string) bool {
	return (ruleFrom == "" || ruleFrom == from) && (ruleTo == "" || ruleTo == to)
}
