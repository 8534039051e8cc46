package memnet

import "time"

// Fate is what became of a Write, see [Network.Watch].
type Fate struct {
	From, To string // the hosts, the dialler first
	Conn     uint64 // which of the connections that From has dialled to To, from 0
	Back     bool   // it was written by To
	Write    uint64 // which of those in this direction of the connection, from 0
	Size     int    // bytes
	Lost     bool
	Late     time.Duration // how long it takes, if nothing ahead of it takes longer
}

// Watch has f told of every Write on connections that are made from now on, while the Write is under way: f
// must not use the network.
func (n *Network) Watch(f func(Fate)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watch = f
}
