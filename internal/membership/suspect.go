package membership

import (
	"fmt"
	"slices"
	"time"

	"github.com/x/ringdht/internal/backoff"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// suspicion is what the registry does about a suspect: a member whose connection ended.
type suspicion struct {
	why     string
	until   deadline // then it is dead
	probe   Time     // when to dial it next
	backoff backoff.Backoff
	probing bool // a probe is under way
}

// A suspect is dialled at once, and again after pauses that double from minProbe to
// maxProbe. The pauses start short because the port of a process that has just died may
// stay open for a moment.
const (
	minProbe = 20 * time.Millisecond
	maxProbe = time.Second
)

// Answer is what a probe of a member showed.
type Answer uint8

const (
	Nothing  Answer = iota // the dial proves nothing
	Answered               // the member answered
	Absent                 // the dial was refused, or another process answered
)

// Disconnected takes note that a member's connection has ended. The member is a suspect now.
func (a *Authority) Disconnected(now Time, ref ring.Ref, why string) {
	m := a.find(ref)
	if m == nil || m.suspicion != nil {
		return
	}
	if m.status == leaving { // it does not come back
		a.markDead(now, m, why)
		return
	}
	m.suspicion = &suspicion{why: why, until: within(now, a.timeout(m)), probe: now, backoff: backoff.Backoff{Min: minProbe, Max: maxProbe}}
	a.suspects = append(a.suspects, m)
	m.record.trouble(now, ring.Ref{})
	a.emitEvent(Suspected, m, why)
}

// Silent declares a member dead whose connection has been silent for too long, see
// [Authority.TimeLeft].
func (a *Authority) Silent(now Time, ref ring.Ref) {
	if m := a.find(ref); m != nil {
		a.markDead(now, m, fmt.Sprintf("silent for %v", a.timeout(m)))
	}
}

// Probed takes the answer to a [Probe] of an address. A suspect that is absent is dead.
func (a *Authority) Probed(now Time, ref ring.Ref, addr string, answer Answer) {
	m := a.find(ref)
	if m == nil || m.suspicion == nil || m.Addr != addr {
		return // its connection is back, or it has moved since
	}
	d := m.suspicion
	d.probing = false
	d.probe = now + d.backoff.Next()
	if answer == Absent && !m.displaced {
		a.markDead(now, m, fmt.Sprintf("%s, and it does not answer at its address", d.why))
	}
}

// expire probes the suspects that are due, declares dead those whose time is up, and
// returns when to call it again.
func (a *Authority) expire(now Time) (next Time) {
	for _, m := range slices.Clone(a.suspects) {
		d := m.suspicion
		switch {
		case now >= d.until.at && !a.recovering:
			a.markDead(now, m, fmt.Sprintf("%s, and it did not come back within %v", d.why, a.timeout(m)))
			continue
		case now >= d.probe && !d.probing && !m.displaced:
			d.probing = true
			a.emit(Effect{Kind: Probe, Ref: m.Ref(), Addr: m.Addr, Token: m.token})
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

// ping asks a member that a peer cannot reach whether it is there, over the member's own
// connection. A suspect is probed at once instead.
func (a *Authority) ping(m *member) {
	if m.suspicion != nil {
		m.suspicion.probe = 0
		return
	}
	a.send(m, control.TypePing, control.Ping{})
}
