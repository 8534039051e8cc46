package membership

import (
	"cmp"
	"errors"
	"fmt"
	"maps"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// Request is what a node says of itself when it registers.
type Request struct {
	Addr     string
	Token    uint64
	Traffic  bool
	Want     bool // it asks for ID
	ID       uint64
	Seen     uint64     // the greatest incarnation that it knows of
	Info     *ring.Info // what it says of itself; nil if nothing
	Follows  *ring.Info // its services are those whose members it wants to know; nil if there are none
	Confirms bool       // it confirms lists
	Leaving  bool       // it is about to leave, as by [Authority.Unlist]
	Keys     []string   // the services with keys that it opens

	// Only for an incarnation that goes on, see [Authority.Resume].
	Verified    bool // the caller dialled Addr, and Token answered
	Incarnation uint64
	Identity    ring.Identity // of the ring that it is a member of, empty without a table
	Epoch       uint64
	Size        int
	Plan        control.Plan
	Ready       bool           // it was told that it is announced
	ListEpoch   uint64         // the latest that it was told
	Over        []control.Over // incarnations that it knows to be over
	Pace        int            // of its heartbeats
	Recoveries                 // that it was part of, if it has keys
}

// Ref names the incarnation that asks to go on.
func (r Request) Ref() ring.Ref { return ring.Ref{ID: r.ID, Incarnation: r.Incarnation} }

// Why a request is not granted.
var (
	ErrIDTaken = errors.New("another member has this ID")
	// ErrNameTaken means that another member has the name.
	ErrNameTaken = errors.New("another member has this name")
	// ErrKeysFull means that the ring has as many services with keys as it may, without those of the node.
	ErrKeysFull = errors.New("the ring has no room for another service with keys")
	// ErrWait means that the answer is not known yet. Ask again after the next change.
	ErrWait = errors.New("ask again later")
	// ErrEvicted means that the incarnation is over.
	ErrEvicted = errors.New("this incarnation was declared dead")
	// ErrNotYours means that the incarnation belongs to another process.
	ErrNotYours = errors.New("this incarnation belongs to another process")
	// ErrElsewhere means that the member had another address before, or that another
	// member holds this one. Dial the address, and ask again with There set.
	ErrElsewhere = errors.New("it was not at this address before")
)

// waitError is an [ErrWait] that says what to wait for.
type waitError string

func (e waitError) Error() string      { return string(e) }
func (waitError) Is(target error) bool { return target == ErrWait }

// Admit admits a new incarnation. Its number is greater than each that this registry has
// given or was told of: clocks may go back, and those of two registries need not agree.
// wall is the time of day, from which the number is made.
//
// The caller has dialled the address, and the node answered there. So a member registered
// at that address is gone. A member with that token was an earlier incarnation of the same
// process, under another name of its address.
func (a *Authority) Admit(now Time, wall uint64, r Request) (ring.Member, error) {
	a.noteSeen(r)
	if a.recovering {
		// A member that has not come back yet may have the ID that this one would get.
		return ring.Member{}, waitError(a.whyRecovering())
	}
	if err := a.found(now); err != nil {
		return ring.Member{}, err
	}
	if id, taken := a.roster.HolderOf(r.Addr); taken {
		why := "another process answers at its address"
		if a.byID[id].token == r.Token {
			why = "its process has begun another incarnation"
		}
		a.markDead(now, a.byID[id], why)
	}
	if m := a.byToken[r.Token]; m != nil {
		a.markDead(now, m, fmt.Sprintf("its process has joined again, as %s", r.Addr))
	}
	if holder := a.byID[r.ID]; r.Want && holder != nil {
		if holder.suspicion != nil {
			return ring.Member{}, waitError(fmt.Sprintf("node %d, which has that ID, is suspect", r.ID))
		}
		return ring.Member{}, ErrIDTaken
	}
	if err := cmp.Or(a.checkName(r), a.checkKeys(r.Keys)); err != nil {
		return ring.Member{}, err
	}
	inc := a.nextIncarnation(wall)
	var m ring.Member
	var err error
	if r.Want {
		m = ring.Member{Peer: ring.Peer{ID: r.ID, Incarnation: inc, Addr: r.Addr}, Traffic: r.Traffic}
		err = a.roster.Claim(m)
	} else {
		m, err = a.roster.Add(r.Addr, inc, r.Traffic, a.Draw)
	}
	if err != nil {
		return m, err
	}
	a.lastInc = inc
	a.add(&member{Member: m, token: r.Token, info: r.Info, follows: r.Follows, confirms: r.Confirms, keys: r.Keys})
	a.emitEvent(Joined, a.byID[m.ID], "")
	a.lastChange = now
	return m, nil
}

// Resume takes back an incarnation whose connection had ended, perhaps with a new address.
// A registry without a ring, or one that recovers, believes an incarnation that it does
// not know, and rebuilds the earlier ring from what its members say.
func (a *Authority) Resume(now Time, r Request) (ring.Member, error) {
	a.noteSeen(r)
	if err := a.checkRing(r); err != nil {
		return ring.Member{}, err
	}
	if m := a.find(r.Ref()); m != nil {
		if m.token != r.Token {
			return ring.Member{}, ErrNotYours
		}
		was, err := a.moveTo(m, r)
		if err != nil {
			return ring.Member{}, err
		}
		m.suspicion = nil
		a.suspects = without(a.suspects, m)
		a.setFollows(m, r.Follows)
		switch m.status { // messages sent meanwhile are lost
		case linking:
			m.status = waiting
			a.batch = without(a.batch, m)
		case active:
			m.needsManifest, a.dirty = true, true
		}
		m.stalled = false
		// It reports again which peers it cannot reach. A report that it can reach one
		// again may have been lost.
		maps.DeleteFunc(a.pairs, func(p pair, _ *pairState) bool { return p.from == m.Ref() })
		a.detoursDirty = true
		m.record.trouble(now, ring.Ref{})
		a.emitEvent(Back, m, movedFrom(was))
		if m.announced && !r.Ready {
			a.send(m, control.TypeReady, control.Ready{Epoch: a.epoch})
		}
		a.resumeLeaving(m.Ref(), r)
		return m.Member, nil
	}
	if a.live && !a.recovering {
		return ring.Member{}, ErrEvicted
	}
	if err := cmp.Or(checkClaims(r), a.checkKeys(r.Keys)); err != nil {
		return ring.Member{}, err
	}
	// An incarnation that an earlier registry declared dead stays dead, as long as a member
	// remembers it: another node may have had its ID, and its peers have forgotten what it
	// sent. One that was told of a later epoch was taken back since.
	for _, g := range r.Over {
		ref := g.Ref()
		if g.Epoch > maxEpoch || !a.noteOver(ref, g.Epoch) {
			continue
		}
		if m := a.find(ref); m != nil && m.resumedEpoch < g.Epoch {
			a.markDead(now, m, "an earlier registry declared it dead")
		}
	}
	if a.isOver(r) {
		return ring.Member{}, ErrEvicted
	}
	// A process has one incarnation, its latest. In a secure ring the token is its key: a node with
	// admissions of several would be as many members, of which expelling it ends one.
	if m := a.byToken[r.Token]; m != nil && m.Incarnation > r.Incarnation {
		return ring.Member{}, ErrEvicted
	} else if m != nil {
		a.markDead(now, m, fmt.Sprintf("its process has gone on with another incarnation, as node %d", r.ID))
	}
	// The member that was first keeps the ID, unless it was replaced. A newcomer without a
	// table loses it: joining again does it no harm.
	rival := a.byID[r.ID]
	if rival != nil && outlives(rival, r) {
		return ring.Member{}, ErrEvicted
	}
	namesake := a.namesake(r)
	if namesake != nil && outlives(namesake, r) {
		return ring.Member{}, nameLost(fmt.Sprintf("node %d has its name %q, and is a later incarnation", namesake.ID, r.Info.Name))
	}
	if id, taken := a.roster.HolderOf(r.Addr); taken && id != r.ID {
		if err := a.freeAddress(r); err != nil {
			return ring.Member{}, err
		}
	}
	if r.Epoch == 0 && !a.recovering { // it has no table, so it is like a newcomer
		if err := a.found(now); err != nil {
			return ring.Member{}, err
		}
	}
	if rival != nil {
		a.markDead(now, rival, fmt.Sprintf("node %d has come back from the earlier ring", r.ID))
	}
	if namesake != nil && namesake != rival {
		a.markDead(now, namesake, fmt.Sprintf("node %d has come back from the earlier ring with its name %q", r.ID, r.Info.Name))
	}
	m := ring.Member{Peer: ring.Peer{ID: r.ID, Incarnation: r.Incarnation, Addr: r.Addr}, Traffic: r.Traffic}
	if err := a.roster.Claim(m); err != nil {
		return m, err
	}
	a.lastInc = max(a.lastInc, r.Incarnation)
	back := &member{Member: m, token: r.Token, info: r.Info, follows: r.Follows, confirms: r.Confirms, keys: r.Keys, resumed: true, recoveries: r.Recoveries, resumedEpoch: r.Epoch, resumedLayout: r.layout(), pace: a.ungranted(r.Pace), granted: a.ungranted(r.Pace)}
	a.add(back)
	a.claimList(r)
	a.emitEvent(Back, back, "")
	if r.Pace > 1 { // an earlier registry has granted that: a heartbeat tells it this one's
		a.send(back, control.TypePing, control.Ping{})
	}
	if r.Epoch > 0 {
		a.recoverMember(now, back, r)
	}
	a.resumeLeaving(m.Ref(), r)
	a.lastChange = now
	return m, nil
}
