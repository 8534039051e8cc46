package membership

import (
	"fmt"
	"slices"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// doubt is about a member whose connection has ended.
type suspicion struct {
	why     string
	until   deadline // then it is dead
	probe   Time     // when to dial it next
	retry   Time     // and again after that
	probing bool     // a probe is under way
}

// The first look at a member whose connection ended is at once. A process that has
// just died may still have an open port for a moment, so the next ones follow soon.
const (
	minProbe = 20 * time.Millisecond
	maxProbe = time.Second
)

// Answer is what dialling a member showed.
type Answer uint8

const (
	Nothing  Answer = iota // no answer, or none that says anything
	Answered               // it is there
	Absent                 // nobody is there, or somebody else
)

// Lost takes note that a member's connection has ended.
func (a *Authority) Lost(now Time, ref ring.Ref, why string) {
	m := a.find(ref)
	if m == nil || m.suspicion != nil {
		return
	}
	if m.status == leaving { // it was about to go
		a.markDead(now, m, why)
		return
	}
	m.suspicion = &suspicion{why: why, until: within(now, a.timeout(m)), probe: now, retry: minProbe}
	a.suspects = append(a.suspects, m)
	a.emitEvent(Doubted, m, why)
}

// Silent takes note that nothing has come over a member's connection for longer than it may
// be silent, see [Authority.Spare].
func (a *Authority) Silent(now Time, ref ring.Ref) {
	if m := a.find(ref); m != nil {
		a.markDead(now, m, fmt.Sprintf("silent for %v", a.timeout(m)))
	}
}

// Probed takes the answer to a [Probe] of an address.
func (a *Authority) Probed(now Time, ref ring.Ref, addr string, answer Answer) {
	m := a.find(ref)
	if m == nil || m.suspicion == nil || m.Addr != addr {
		return // it is not in doubt, its connection is what counts; or it has moved since
	}
	d := m.suspicion
	d.probing = false
	d.probe = now + d.retry
	d.retry = min(2*d.retry, maxProbe)
	if answer == Absent && !m.displaced {
		a.markDead(now, m, fmt.Sprintf("%s, and nobody answers at its address", d.why))
	}
}

// expire does what is due about members in doubt, and returns when it is due next.
func (a *Authority) expire(now Time) (next Time) {
	for _, m := range slices.Clone(a.suspects) {
		d := m.suspicion
		switch {
		case now >= d.until.at && !a.recovering:
			a.markDead(now, m, fmt.Sprintf("%s, and it did not come back within %v", d.why, a.timeout(m)))
			continue
		case now >= d.probe && !d.probing && !m.displaced:
			d.probing = true
			a.emit(Effect{Kind: Probe, Ref: m.ref(), Addr: m.Addr, Token: m.token})
		}
		if !a.recovering {
			next = earliest(next, d.until.at)
		}
		if !d.probing && !m.displaced {
			next = earliest(next, d.probe)
		}
	}
	return next
}

func earliest(a, b Time) Time {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// ping asks whether a member is there that others cannot reach: over its own
// connection, which is what counts.
func (a *Authority) ping(m *member) {
	if m.suspicion != nil {
		m.suspicion.probe = 0
		return
	}
	a.send(m, control.TypePing, control.Ping{})
}
