package membership

import (
	"errors"
	"fmt"
	"maps"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// Request is what a node says of itself when it asks for admission.
type Request struct {
	Addr    string
	Token   uint64
	Traffic bool
	Want    bool // it asks for this ID
	ID      uint64
	Seen    uint64 // the greatest life that it knows of

	// Of a life that goes on, see [Authority.Resume].
	There bool // it was dialled at Addr, and has answered with Token
	Life  uint64
	Epoch uint64
	Size  int
	Plan  control.Plan
	Ready bool           // it was told that everybody's tables lead to it
	Over  []control.Over // lives that it knows to be over
	Pace  int            // at which it has been beating
}

// Why a request is not granted.
var (
	ErrIDTaken = errors.New("the ID is another's")
	// ErrWait says that it cannot be told yet; ask again after the next change.
	ErrWait = errors.New("ask again later")
	// ErrEvicted says that a life is over.
	ErrEvicted = errors.New("this life was declared dead")
	// ErrNotYours says that a life is that of another process.
	ErrNotYours = errors.New("this life is another process's")
	// ErrElsewhere says that it comes from another address than it had, or from that of
	// another member: dial it, and ask again with There.
	ErrElsewhere = errors.New("it was not at this address before")
)

// Admit admits a new life. wall is the time of day, from which lives are made. The life is
// greater than each that this registry has given or was told of: clocks may go back, and
// those of two registries need not agree.
//
// The caller has dialled the address and knows that the node asking is there. So
// whoever is registered at that address is there no more, and the member with that
// token was an earlier life of the same process, under another name of its address.
func (a *Authority) Admit(now Time, wall uint64, r Request) (ring.Member, error) {
	a.noteSeen(r)
	if a.recovering {
		// The ID that it gets might be that of a member which has not come back yet.
		return ring.Member{}, fmt.Errorf("members of the ring that was have time to come back: %w", ErrWait)
	}
	if id, taken := a.roster.HolderOf(r.Addr); taken {
		why := "another process answers at its address"
		if a.byID[id].token == r.Token {
			why = "it has begun another life"
		}
		a.markDead(now, a.byID[id], why)
	}
	if m := a.byToken[r.Token]; m != nil {
		a.markDead(now, m, fmt.Sprintf("its process has joined again, as %s", r.Addr))
	}
	if holder := a.byID[r.ID]; r.Want && holder != nil {
		if holder.suspicion != nil {
			return ring.Member{}, fmt.Errorf("node %d is out of sight: %w", r.ID, ErrWait)
		}
		return ring.Member{}, ErrIDTaken
	}
	inc := a.nextIncarnation(wall)
	var m ring.Member
	var err error
	if r.Want {
		m = ring.Member{ID: r.ID, Life: inc, Addr: r.Addr, Traffic: r.Traffic}
		err = a.roster.Claim(m)
	} else {
		m, err = a.roster.Add(r.Addr, inc, r.Traffic, a.Draw)
	}
	if err != nil {
		return m, err
	}
	a.lastInc = inc
	a.add(&member{Member: m, token: r.Token})
	a.emitEvent(Joined, a.byID[m.ID], "")
	a.lastChange = now
	return m, nil
}

// Resume goes on with a life whose connection had ended. If the registry knows it,
// that is all, but for its address, which may have changed. A registry that knows nobody, or is
// recovering already, believes it and starts, or goes on, to rebuild the ring that was.
func (a *Authority) Resume(now Time, r Request) (ring.Member, error) {
	a.noteSeen(r)
	if m := a.find(ring.Ref{ID: r.ID, Life: r.Life}); m != nil {
		if m.token != r.Token {
			return ring.Member{}, ErrNotYours
		}
		was, err := a.moveTo(m, r)
		if err != nil {
			return ring.Member{}, err
		}
		m.suspicion = nil
		a.suspects = without(a.suspects, m)
		switch m.status { // what was sent meanwhile is lost
		case linking:
			m.status = waiting
			a.batch = without(a.batch, m)
		case active:
			m.needsManifest, a.dirty = true, true
		}
		m.stalled = false
		// It will say again what it cannot reach; that it can again, it may have said
		// to nobody.
		maps.DeleteFunc(a.pairs, func(p pair, _ *pairState) bool { return p.from == m.ref() })
		a.detoursDirty = true
		a.emitEvent(Back, m, movedFrom(was))
		if m.announced && !r.Ready {
			a.send(m, control.TypeReady, control.Ready{Epoch: a.epoch})
		}
		return m.Member, nil
	}
	if a.live && !a.recovering {
		return ring.Member{}, ErrEvicted
	}
	// Whoever an earlier registry declared dead stays dead, as long as anybody remembers:
	// its ID may have been another's meanwhile, and its peers have forgotten what it sent.
	// One that was told of a later epoch was taken back since.
	for _, g := range r.Over {
		ref := ring.Ref{ID: g.ID, Life: g.Life}
		a.knownDead[ref] = max(a.knownDead[ref], g.Epoch)
		if m := a.find(ref); m != nil && m.resumedEpoch < g.Epoch {
			a.markDead(now, m, "an earlier registry declared it dead")
		}
	}
	if r.Epoch < a.knownDead[ring.Ref{ID: r.ID, Life: r.Life}] {
		return ring.Member{}, ErrEvicted
	}
	// Whoever came first keeps the ID, unless it was replaced; a newcomer that has
	// no table yet can be given another one without harm.
	rival := a.byID[r.ID]
	if rival != nil && rival.status != waiting && rival.Life > r.Life {
		return ring.Member{}, ErrEvicted
	}
	if id, taken := a.roster.HolderOf(r.Addr); taken && id != r.ID {
		if err := a.freeAddress(r); err != nil {
			return ring.Member{}, err
		}
	}
	if rival != nil {
		a.markDead(now, rival, fmt.Sprintf("node %d has come back from the ring that was", r.ID))
	}
	m := ring.Member{ID: r.ID, Life: r.Life, Addr: r.Addr, Traffic: r.Traffic}
	if err := a.roster.Claim(m); err != nil {
		return m, err
	}
	a.lastInc = max(a.lastInc, r.Life)
	back := &member{Member: m, token: r.Token, resumedEpoch: r.Epoch, pace: min(r.Pace, MaxPace)}
	a.add(back)
	a.emitEvent(Back, back, "")
	if r.Epoch > 0 {
		a.recoverMember(now, back, r)
	}
	a.lastChange = now
	return m, nil
}
