package memnet

import (
	"container/list"
	"strings"
	"sync"
)

// A Network is a set of hosts that reach each other by name, and the faults between them. Its
// methods may be called concurrently.
type Network struct {
	seed uint64 // static

	// mu is taken before the mutex of any half, and never held while waiting.
	mu    sync.Mutex
	hosts map[string]*Host
	links map[*link]struct{} // those with an open end that were not cut
	held  list.List          // of *dial: waiting for a Release
	rules ruleset
	watch func(Fate) // of connections to come, or nil
}

// New returns a network without hosts and faults. The seed decides which Writes
// [Network.Drop] loses and how much jitter [Network.Delay] adds, see the package
// documentation.
func New(seed uint64) *Network {
	return &Network{
		seed:  seed,
		hosts: make(map[string]*Host),
		links: make(map[*link]struct{}),
		rules: newRuleset(),
	}
}

// Host returns the host of that name, and makes it if there is none. Case makes no difference.
// A host with the empty name can neither listen nor dial.
func (n *Network) Host(name string) *Host {
	name = strings.ToLower(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[name]
	if h == nil {
		h = &Host{net: n, name: name, listeners: make(map[int]*listener), dialing: make(map[int]struct{}), next: firstFree,
			dialled: make(map[string]uint64)}
		n.hosts[name] = h
	}
	return h
}

// connect makes a connection under the present faults. It requires n.mu.
func (n *Network) connect(from *Host, fromPort int, to *Host, toPort int) *link {
	k := newLink(address(from.name, fromPort), address(to.name, toPort))
	k.net, k.from, k.to, k.port = n, from.name, to.name, fromPort
	k.nth = from.dialled[to.name]
	from.dialled[to.name]++
	k.forward.seed = directionSeed(n.seed, from.name, to.name, k.nth, false)
	k.backward.seed = directionSeed(n.seed, from.name, to.name, k.nth, true)
	if n.watch != nil {
		k.forward.watch, k.backward.watch = k.watcher(n.watch, false), k.watcher(n.watch, true)
	}
	k.forward.setFaults(n.rules.between(k.from, k.to))
	k.backward.setFaults(n.rules.between(k.to, k.from))
	n.links[k] = struct{}{}
	return k
}

// forget drops a connection that has ended, and frees its port. It requires n.mu.
func (n *Network) forget(k *link) {
	// Only the first call may free the port: another connection may use it by now.
	if _, ok := n.links[k]; ok {
		delete(n.links, k)
		delete(n.hosts[k.from].dialing, k.port)
	}
}

// watcher returns a function that completes a Fate of one direction for f.
func (k *link) watcher(f func(Fate), back bool) func(Fate) {
	return func(w Fate) {
		w.From, w.To, w.Conn, w.Back = k.from, k.to, k.nth, back
		f(w)
	}
}
