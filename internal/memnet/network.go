package memnet

import (
	"container/list"
	"hash/fnv"
	"io"
	"sync"
)

// A Network is a set of hosts that reach each other by name, and the faults between them. Its methods, and those of
// everything made from it, may be called concurrently.
type Network struct {
	seed uint64 // static

	// mu is taken before the mutex of any half, never while holding one, and never while blocked.
	mu    sync.Mutex
	hosts map[string]*Host
	links map[*link]struct{} // those with an end open that were not cut
	held  list.List          // of *dial: those that wait for a Release
	rules ruleset
}

// New returns a network without hosts and faults. The seed decides jitter and drops. Each direction of a connection draws from
// a generator of its own, seeded by its two addresses as well, so that traffic elsewhere does not change its luck.
func New(seed uint64) *Network {
	return &Network{
		seed:  seed,
		hosts: make(map[string]*Host),
		links: make(map[*link]struct{}),
		rules: newRuleset(),
	}
}

// Host returns the host of that name, the same one each time. The empty name, which stands for any host in the faults,
// gives a host that can neither listen nor dial.
func (n *Network) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[name]
	if h == nil {
		h = &Host{net: n, name: name, listeners: make(map[int]*listener), dialing: make(map[int]struct{}), next: firstFree}
		n.hosts[name] = h
	}
	return h
}

// connect makes a connection and puts it under the faults in force. The caller holds n.mu.
func (n *Network) connect(from *Host, fromPort int, to *Host, toPort int) *link {
	k := newLink(address(from.name, fromPort), address(to.name, toPort))
	k.net, k.from, k.to, k.port = n, from.name, to.name, fromPort
	for _, h := range []*half{&k.there, &k.back} {
		h.seed[0] = n.seed
	}
	k.there.seed[1] = hash(k.dialer.local.String(), k.dialer.remote.String())
	k.back.seed[1] = hash(k.dialer.remote.String(), k.dialer.local.String())
	k.there.setFaults(n.rules.between(k.from, k.to))
	k.back.setFaults(n.rules.between(k.to, k.from))
	n.links[k] = struct{}{}
	return k
}

// forget drops a connection that no fault can matter to any more, and frees its port. The caller holds n.mu.
func (n *Network) forget(k *link) {
	// The port may serve another connection by now: only the first call may free it.
	if _, ok := n.links[k]; ok {
		delete(n.links, k)
		delete(n.hosts[k.from].dialing, k.port)
	}
}

func hash(from, to string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, from)
	io.WriteString(h, ">")
	io.WriteString(h, to)
	return h.Sum64()
}
