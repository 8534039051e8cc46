package registry

import (
	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/ring"
)

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
	own := dial.IsLoopback(addr)
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
