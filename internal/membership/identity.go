package membership

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// ErrOtherRing means that the incarnation is that of a member of another ring. It is never taken
// into this one. It may join as a newcomer when it has forsaken its ring, see [Forsaking].
var ErrOtherRing = errors.New("it is a member of another ring")

// otherRingError names both rings.
type otherRingError string

func (e otherRingError) Error() string      { return string(e) }
func (otherRingError) Is(target error) bool { return target == ErrOtherRing }

// Identity is the identity of the ring, empty while there is none.
func (a *Authority) Identity() ring.Identity { return a.identity }

// Start begins the life of the registry, at its first listener. Unless a kept record says that
// the ring has no members, a ring that sets itself up waits for those of an earlier registry: a
// newcomer may be faster than they are, and would make a ring of its own. So does one whose
// operator asked for that. A record that knows no ring says nothing: an earlier one may be lost,
// with the disk of a container for example.
func (a *Authority) Start(now Time) {
	switch kept := a.Kept; {
	case kept != nil && !kept.Empty:
		a.expected = true
		a.Recover(now)
	case kept != nil && kept.Identity != "":
	case a.GraceFirst || a.SelfSetup != nil:
		a.Recover(now)
	}
}

// Recover makes the authority wait for members of an earlier registry from now on.
func (a *Authority) Recover(now Time) {
	a.recovering, a.recoveryEnd, a.paces = true, within(now, a.Grace), [MaxPace + 1]int{}
}

// checkRing refuses a member of another ring.
func (a *Authority) checkRing(r Request) error {
	if r.Identity == "" || a.identity == "" || r.Identity == a.identity {
		return nil
	}
	return otherRingError(fmt.Sprintf("node %d is a member of ring %s, this registry has ring %s", r.ID, r.Identity.Short(), a.identity.Short()))
}

// adopt takes the identity of the first member that comes back, for a registry that knows none.
// It is called while the registry recovers. Later it has an identity of its own.
func (a *Authority) adopt(id ring.Identity) { a.identity = cmp.Or(a.identity, id) }

// found makes the ring live for its first member, if the ring sets itself up. With a kept record
// the first member waits until that says that the ring has members: a registry that restarts
// sooner would take the ring for empty, and give the member's ID to another node.
func (a *Authority) found(now Time) error {
	if !a.awaitsFirst() {
		return nil
	}
	if a.identity == "" && a.drawn == "" {
		a.drawn = a.drawIdentity()
	}
	if a.unsaved() {
		a.filling = now + a.Lease
		return waitError(a.whyUnsaved())
	}
	if !a.live {
		a.goLive(*a.SelfSetup)
		a.emit(Effect{Kind: Founded, Why: fmt.Sprintf("ring %s is live for its first member", a.identity.Short())})
	}
	return nil
}

// awaitsFirst says whether the next member is the first of a live ring, or makes the ring live.
func (a *Authority) awaitsFirst() bool {
	return a.live && len(a.byID) == 0 || !a.live && a.SelfSetup != nil
}

// AdmitsNone says why no newcomer at all is admitted now. It is empty if some are.
func (a *Authority) AdmitsNone() string {
	switch {
	case a.recovering:
		return a.whyRecovering()
	case a.saveErr != nil && a.awaitsFirst() && a.unsaved():
		return a.whyUnsaved()
	}
	return ""
}

// goLive makes the ring live. While the registry recovers, the ring may turn out to be that of
// an earlier registry, so the identity is settled at the end.
func (a *Authority) goLive(layout ring.Layout) {
	a.live, a.layout = true, layout
	if a.Kept != nil {
		a.epoch = max(a.epoch, a.Kept.Epoch)
	}
	if !a.recovering {
		a.settleIdentity()
	}
}

func (a *Authority) settleIdentity() {
	if a.identity == "" {
		a.identity = cmp.Or(a.drawn, a.drawIdentity())
	}
}

func (a *Authority) drawIdentity() ring.Identity {
	if a.DrawIdentity != nil {
		return a.DrawIdentity()
	}
	half := func() uint64 { return a.Draw(1<<32)<<32 | a.Draw(1<<32) }
	return ring.NewIdentity(half(), half())
}

// Record is what a registry keeps for the one that takes its place. Members bring the rest.
type Record struct {
	Identity    ring.Identity
	Empty       bool   // no member can come back; also of a ring that was never live
	Incarnation uint64 // the greatest that was given
	Epoch       uint64
}

// NewRecord is the record of a registry that has never had a ring.
func NewRecord() Record { return Record{Empty: true} }

// wanted is the record that should be kept now.
func (a *Authority) wanted(now Time) Record {
	r := Record{Identity: cmp.Or(a.identity, a.drawn), Empty: a.saved.Empty, Incarnation: a.lastInc, Epoch: max(a.epoch, a.Kept.Epoch)}
	switch {
	case now < a.filling, len(a.byID) > 0 && (a.live || a.SelfSetup != nil):
		r.Empty = false
	case a.live && !a.recovering:
		r.Empty = true
	}
	return r
}

// BeginSave returns the record to write, or false if the latest one says what it should. From
// now on the ring counts as empty by the record if either of the two says so.
func (a *Authority) BeginSave(now Time) (r Record, due bool) {
	if r, due = a.unwritten(now); due {
		a.saved.Empty = a.saved.Empty || r.Empty
		a.resave = true // unless EndSave says that it is written
	}
	return r, due
}

// unwritten returns the record to write, or false if there is none.
func (a *Authority) unwritten(now Time) (r Record, due bool) {
	if a.Kept == nil {
		return r, false
	}
	r = a.wanted(now)
	return r, a.resave || r.Identity != a.saved.Identity || r.Empty != a.saved.Empty
}

// EndSave takes the outcome of a write.
func (a *Authority) EndSave(r Record, err error) {
	if a.saveErr = err; err == nil {
		a.saved, a.resave = r, false
	}
}

// SaveError is why the latest write has failed, nil if it has not.
func (a *Authority) SaveError() error { return a.saveErr }

// SaveDue says whether there is a record to write.
func (a *Authority) SaveDue(now Time) bool {
	_, due := a.unwritten(now)
	return due
}

// unsaved says that a restarted registry would not know that this ring has members.
func (a *Authority) unsaved() bool {
	return a.Kept != nil && (a.saved.Empty || a.saved.Identity != cmp.Or(a.identity, a.drawn))
}

// waitsForState says that no table may be handed out yet.
func (a *Authority) waitsForState() bool {
	return len(a.byID) > 0 && a.unsaved() && len(a.tableMembers()) == 0
}

func (a *Authority) whyUnsaved() string {
	if a.saveErr != nil {
		return fmt.Sprintf("the registry cannot keep the state of the ring, and admits no first member without that: %v", a.saveErr)
	}
	return "the registry is about to write the state of the ring"
}

// Forsaking decides when a node gives up its ring: the registries that answer have had another
// one for [ForsakeLeases] leases, and none had its own. Then the incarnation ends as if it had
// been declared dead, and the node joins as a newcomer.
//
// Of two rings of one name that meet at one registry, the ring of the registry wins so. Until
// then the messages of the other ring's members flow on, and its own registry may come back.
type Forsaking struct {
	counted, last Time
}

// ForsakeLeases is how long a node keeps to its ring while registries have another one. It is
// much longer than a grace, and than a mistake of an operator that is noticed at once.
const ForsakeLeases = 20

// maxForsakeGap bounds what a pause between two answers counts, in leases: an outage says
// nothing about rings.
const maxForsakeGap = 2

// OtherRing takes note that a registry has another ring, and reports whether the node must give
// up its own.
func (f *Forsaking) OtherRing(now, lease Time) bool {
	if f.last > 0 {
		f.counted += min(now-f.last, maxForsakeGap*lease)
	}
	f.last = now
	return f.counted >= ForsakeLeases*lease
}

// OwnRing takes note that a registry has taken the node in.
func (f *Forsaking) OwnRing() { *f = Forsaking{} }

// checkIdentity is the error of a manifest of another ring. A registry sends none.
func (l *NodeView) checkIdentity(m control.Manifest) error {
	if id := ring.Identity(m.Identity); l.Identity != "" && id != "" && id != l.Identity {
		return fmt.Errorf("%w: a table of ring %s for a member of ring %s", ErrOtherRing, id.Short(), l.Identity.Short())
	}
	return nil
}
