package registry

import (
	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/ring"
)

// loopbacks knows which members advertise a loopback address. That is right as long as all members
// do. It is wrong for each of them once a member is on another machine.
type loopbacks struct {
	isLoopback map[ring.Ref]bool     // of each member
	others     int                   // members with another address
	warned     map[ring.Ref]struct{} // returned by put before
}

// put sets a member's address. It returns the members that others cannot dial, each once.
func (l *loopbacks) put(ref ring.Ref, addr string) (warn []ring.Ref) {
	if l.isLoopback == nil {
		l.isLoopback, l.warned = make(map[ring.Ref]bool), make(map[ring.Ref]struct{})
	}
	first := l.others == 0
	if loopback, known := l.isLoopback[ref]; known && !loopback {
		l.others--
	}
	loopback := dial.IsLoopback(addr)
	l.isLoopback[ref] = loopback
	if !loopback {
		l.others++
	}
	switch {
	case l.others == 0:
	case loopback:
		warn = l.warnOnce(warn, ref)
	case first: // all members before were of this machine
		for other, loopback := range l.isLoopback {
			if loopback {
				warn = l.warnOnce(warn, other)
			}
		}
	}
	return warn
}

// warnOnce appends ref, unless put returned it before.
func (l *loopbacks) warnOnce(warn []ring.Ref, ref ring.Ref) []ring.Ref {
	if _, warned := l.warned[ref]; warned {
		return warn
	}
	l.warned[ref] = struct{}{}
	return append(warn, ref)
}

// drop forgets a member.
func (l *loopbacks) drop(ref ring.Ref) {
	if loopback, known := l.isLoopback[ref]; known && !loopback {
		l.others--
	}
	delete(l.isLoopback, ref)
	delete(l.warned, ref)
}
