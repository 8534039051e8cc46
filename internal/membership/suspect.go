package membership

import (
	"fmt"
	"slices"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// doubt is about a member whose connection has ended.
type doubt struct {
	why   string
	until deadline // then it is dead
	probe Time     // when to dial it next
	pause Time     // and again after that
	under bool     // a probe is under way
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
	if m == nil || m.doubt != nil {
		return
	}
	if m.status == leaving { // it was about to go
		a.bury(now, m, why)
		return
	}
	m.doubt = &doubt{why: why, until: within(now, a.patience(m)), probe: now, pause: minProbe}
	a.doubted = append(a.doubted, m)
	a.news(Doubted, m, why)
}

// Silent takes note that nothing has come over a member's connection for longer than it may
// be silent, see [Authority.Spare].
func (a *Authority) Silent(now Time, ref ring.Ref) {
	if m := a.find(ref); m != nil {
		a.bury(now, m, fmt.Sprintf("silent for %v", a.patience(m)))
	}
}

// Probed takes the answer to a [Probe] of an address.
func (a *Authority) Probed(now Time, ref ring.Ref, addr string, answer Answer) {
	m := a.find(ref)
	if m == nil || m.doubt == nil || m.Addr != addr {
		return // it is not in doubt, its connection is what counts; or it has moved since
	}
	d := m.doubt
	d.under = false
	d.probe = now + d.pause
	d.pause = min(2*d.pause, maxProbe)
	if answer == Absent && !m.astray {
		a.bury(now, m, fmt.Sprintf("%s, and nobody answers at its address", d.why))
	}
}

// expire does what is due about members in doubt, and returns when it is due next.
func (a *Authority) expire(now Time) (next Time) {
	for _, m := range slices.Clone(a.doubted) {
		d := m.doubt
		switch {
		case now >= d.until.at && !a.recovering:
			a.bury(now, m, fmt.Sprintf("%s, and it did not come back within %v", d.why, a.patience(m)))
			continue
		case now >= d.probe && !d.under && !m.astray:
			d.under = true
			a.do(Effect{Kind: Probe, Ref: m.ref(), Addr: m.Addr, Token: m.token})
		}
		if !a.recovering {
			next = soonest(next, d.until.at)
		}
		if !d.under && !m.astray {
			next = soonest(next, d.probe)
		}
	}
	return next
}

func soonest(a, b Time) Time {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// ping asks whether a member is there that others cannot reach: over its own
// connection, which is what counts.
func (a *Authority) ping(m *member) {
	if m.doubt != nil {
		m.doubt.probe = 0
		return
	}
	a.send(m, control.TypePing, control.Ping{})
}
