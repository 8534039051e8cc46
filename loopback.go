package ringdht

import (
	"net"
	"net/netip"
	"strings"

	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
)

// isLoopback says that an address leads each machine to itself, so that no other machine
// can dial a node there.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// loopbacks knows which members advertise a loopback address, which is right as long as all
// members do, and wrong for each of them when one is on another machine.
type loopbacks struct {
	at   map[ring.Ref]bool // whether the address of each member is one
	some int               // that are not
	told map[ring.Ref]struct{}
}

// put takes note of a member's address. It returns the members that others cannot dial and
// that were not returned before.
func (l *loopbacks) put(ref ring.Ref, addr string) (warn []ring.Ref) {
	if l.at == nil {
		l.at, l.told = make(map[ring.Ref]bool), make(map[ring.Ref]struct{})
	}
	first := l.some == 0
	if own, known := l.at[ref]; known && !own {
		l.some--
	}
	own := isLoopback(addr)
	l.at[ref] = own
	if !own {
		l.some++
	}
	switch {
	case l.some == 0:
	case own:
		warn = l.tell(warn, ref)
	case first: // all that came before are of this machine
		for other, own := range l.at {
			if own {
				warn = l.tell(warn, other)
			}
		}
	}
	return warn
}

func (l *loopbacks) tell(warn []ring.Ref, ref ring.Ref) []ring.Ref {
	if _, told := l.told[ref]; told {
		return warn
	}
	l.told[ref] = struct{}{}
	return append(warn, ref)
}

// drop forgets a member.
func (l *loopbacks) drop(ref ring.Ref) {
	if own, known := l.at[ref]; known && !own {
		l.some--
	}
	delete(l.at, ref)
	delete(l.told, ref)
}

// warnOfLoopback warns once if a peer is on another machine, and cannot dial this node.
func (k *linker) warnOfLoopback(local *membership.Local) {
	if k.warned || !isLoopback(k.n.address()) {
		return
	}
	for _, p := range local.Entries {
		if !isLoopback(p.Addr) {
			k.warned = true
			k.n.cfg.Log.Warn("this node advertises a loopback address, which members on other machines cannot dial: join by another address of the registry's than localhost, or use WithAdvertise",
				"node", k.n.Peer(), "peer", Peer{ID: ID(p.ID), Addr: p.Addr})
			return
		}
	}
}
