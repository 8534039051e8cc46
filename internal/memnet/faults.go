package memnet

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Delay makes each Write from one host to another arrive d later, plus a random time in [0, jitter). The order of a
// connection's bytes is kept, so one late Write holds up those behind it. Bytes under way count against [bufferSize]: a connection
// carries at most that much in each delay, like TCP with such a window. Zeros (negative values count as zero) undo it.
func (n *Network) Delay(from, to string, d, jitter time.Duration) {
	from, to = strings.ToLower(from), strings.ToLower(to)
	n.change(from, to, func(now uint64) {
		n.rules.delays.set(from, to, lag{max(d, 0), max(jitter, 0)}, now)
	})
}

// Drop makes each Write from one host to another fail to arrive, as a whole and without an error, with probability p: 0
// undoes it, 1 loses everything. The connection stands, so what its reader sees are the other Writes, without a gap. That is no
// byte stream any more: framing survives it only if each Write is a whole number of frames.
func (n *Network) Drop(from, to string, p float64) {
	from, to = strings.ToLower(from), strings.ToLower(to)
	n.change(from, to, func(now uint64) { n.rules.drops.set(from, to, p, now) })
}

// Cut resets the connections between two hosts and refuses dials between them, in both directions, until [Network.Mend].
// Reads and writes at both ends fail with [syscall.ECONNRESET], at once; bytes that were not read are lost.
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

// Mend undoes [Network.Cut] for future dials. What was reset stays so.
func (n *Network) Mend(a, b string) {
	a, b = strings.ToLower(a), strings.ToLower(b)
	n.change(a, b, func(now uint64) {
		n.rules.cuts.set(a, b, false, now)
		n.rules.cuts.set(b, a, false, now)
	})
}

// Hold makes one direction silent until [Network.Release]: nothing written arrives, neither does the end of a connection,
// and nothing is lost, as though TCP retransmitted. Writes succeed until the buffer is full, then they wait. A dial that needs the
// direction, for its request or for the answer, hangs until its context ends.
func (n *Network) Hold(from, to string) {
	from, to = strings.ToLower(from), strings.ToLower(to)
	n.change(from, to, func(now uint64) { n.rules.holds.set(from, to, true, now) })
}

// Release undoes [Network.Hold] in one direction, also where it came from [Network.Partition]. What was held arrives, at once or
// when its delay is over, and the dials that hung go on.
func (n *Network) Release(from, to string) {
	from, to = strings.ToLower(from), strings.ToLower(to)
	n.change(from, to, func(now uint64) {
		if from == "" && to == "" {
			n.rules.partitions = nil // overruled for good
		}
		n.rules.holds.set(from, to, false, now)
	})
}

// Partition is a [Network.Hold] in both directions between every two hosts that are named, and in no group together. Hosts in no group
// are unaffected, and so is what an earlier call holds: to move a partition, Heal or Release first.
func (n *Network) Partition(groups ...[]string) {
	n.change("", "", func(now uint64) {
		n.rules.partitions = append(n.rules.partitions, newPartition(groups, now))
	})
}

// Heal undoes every fault. What was held arrives; what was delayed still takes its time.
func (n *Network) Heal() {
	n.change("", "", func(uint64) {
		clock := n.rules.clock
		n.rules = newRuleset()
		n.rules.clock = clock
	})
}

// change alters the rules and brings what they match up to date: connections between the two hosts, and all dials that wait.
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
