package memnet

import "time"

// Fate is the result of a Write, see [Network.Watch].
type Fate struct {
	From, To string // the hosts; From has dialled
	Conn     uint64 // which connection from From to To, from 0
	Back     bool   // To has written it
	Write    uint64 // which Write in this direction of the connection, from 0
	Size     int    // bytes
	Lost     bool
	Late     time.Duration // its delay, unless a Write ahead of it takes longer
}

// Watch makes the network call f during each Write on connections that are made from now on. f
// must not use the network. It is for tests of the network itself.
func (n *Network) Watch(f func(Fate)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watch = f
}
