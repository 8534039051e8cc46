package registry

import (
	"errors"
	"net"

	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/ring"
)

// hosts counts the members by the host from which they came. One host may not take all IDs: a
// process can listen at any number of ports, each of which is an address. So a quarter of the IDs
// is left for other hosts. In spaces of one or two bits a host may have all. A loopback address has
// no limit, since it is the machine of the registry. Guarded by Registry.mu.
type hosts struct {
	of      map[ring.Ref]string
	members map[string]int
}

// errHostFull means that a host has as many members as it may have.
var errHostFull = errors.New("too many members from one host")

// mostOfHost is how many members one host may have in a ring.
func mostOfHost(bits int) uint64 {
	mask := ring.Mask(bits)
	return mask - mask/4 + 1
}

// admits reports whether a host may have a member: one more, or one that it has already.
func (h *hosts) admits(ref ring.Ref, host string, bits int) bool {
	if was, known := h.of[ref]; known && was == host {
		return true
	}
	return host == "" || dial.IsLoopback(net.JoinHostPort(host, "1")) || uint64(h.members[host]) < mostOfHost(bits)
}

// put notes the host of a member.
func (h *hosts) put(ref ring.Ref, host string) {
	h.drop(ref)
	if h.of == nil {
		h.of, h.members = make(map[ring.Ref]string), make(map[string]int)
	}
	h.of[ref] = host
	h.members[host]++
}

// drop forgets a member.
func (h *hosts) drop(ref ring.Ref) {
	host, known := h.of[ref]
	if !known {
		return
	}
	delete(h.of, ref)
	if h.members[host]--; h.members[host] == 0 {
		delete(h.members, host)
	}
}
