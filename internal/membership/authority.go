package membership

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// Time is time since a moment of the caller's choice, which never goes back. It must
// be greater than zero.
type Time = time.Duration

// Config is what an authority goes by.
type Config struct {
	Bits  int
	Lease time.Duration // how long a member may be out of sight
	Grace time.Duration // how long the members of an earlier registry have to come back
	Draw  func(n uint64) uint64
	Beats int // heartbeats a second at most, 0 for MaxBeats
}

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

type status uint8

const (
	waiting status = iota
	linking
	active
	leaving
)

// member is what the registry knows of one life.
type member struct {
	ring.Member
	token  uint64
	status status

	sent, acked uint64 // epochs
	successor   uint64 // the epoch in which its successors last changed
	full        bool   // it must be told everything
	stalled     bool   // it did not confirm in time, and is left out until it does
	announced   bool
	led         bool          // for the time of ripe: everybody's tables lead to it
	heard       uint64        // the epoch that it had heard of when it came back to a new registry
	pace        int           // see MaxBeats; 0 before its first beat
	asked       int           // the pace that it was told last
	slack       time.Duration // what it may be late besides, see HeldUp

	doubt  *doubt // set while it is out of sight
	astray bool   // its address is another's

	intro   ring.View // what it was told when it was introduced, until it is taken in
	detours []control.Detour
	hold    []control.Peer

	until deadline // leaving: by then it is let go
}

func (m *member) ref() ring.Ref { return ring.Ref{ID: m.ID, Life: m.Life} }

// known says that others may know the member, so that they must hear of its end: it was
// announced, or it has had a table and may have sent.
func (m *member) known() bool { return m.announced || m.sent > 0 }

func (m *member) peer() control.Peer { return control.Peer{ID: m.ID, Life: m.Life, Addr: m.Addr} }

// Authority is the registry's half. It is not safe for concurrent use.
type Authority struct {
	Config
	ring  *ring.Members // all of them, for IDs and addresses
	by    map[uint64]*member
	named map[uint64]*member // by token; 0 is none
	order []*member          // all of them by ascending ID; nil when somebody has come or gone since it was made
	plans *ring.Plans

	live     bool        // a ring was set up
	layout   ring.Layout // of the tables
	sized    bool        // by an operator of this registry
	inTables int
	epoch    uint64
	life     uint64 // of the latest member

	dirty   bool // somebody came into the tables, or went
	exact   bool // every entry is to be put right
	last    Time // of the latest such change
	batch   []*member
	batchBy deadline
	fresh   []*member // active and not announced
	freshBy deadline
	gone    []ring.Ref            // lives that are over and not announced
	left    []ring.Ref            // lives that left and are not announced
	goneAt  Time                  // when somebody was last announced
	owed    map[uint64][]ring.Ref // lives that are over, and who had links from them
	leavers []*member
	doubted []*member

	moved map[ring.Ref]struct{} // members whose new address others must hear of

	missed Missed // by this process

	parted   map[pair]*parting
	crowded  bool // there was no room for one
	detoured bool // detours must be looked at again
	leadAt   Time // but not before

	recovering bool
	recovered  deadline            // by then
	late       Time                // by how much more than a lease the most patient of them is
	past       map[ring.Ref]uint64 // lives that an earlier registry declared dead, and in which epoch
	heard      uint64              // the latest epoch that one of them was told

	out []Effect
}

// New returns an authority without members.
func New(c Config) *Authority {
	return &Authority{
		Config: c, ring: ring.NewMembers(c.Bits), by: make(map[uint64]*member), named: make(map[uint64]*member),
		plans: ring.NewPlans(), owed: make(map[uint64][]ring.Ref), past: make(map[ring.Ref]uint64), moved: make(map[ring.Ref]struct{}), parted: make(map[pair]*parting),
	}
}

// Len is the number of members, All lists them by ascending ID.
func (a *Authority) Len() int           { return a.ring.Len() }
func (a *Authority) All() []ring.Member { return a.ring.All() }

// Holder finds the member with an ID, HolderOf the one at an address.
func (a *Authority) Holder(id uint64) (ring.Member, bool) { return a.ring.Get(id) }
func (a *Authority) HolderOf(addr string) (uint64, bool)  { return a.ring.HolderOf(addr) }
func (a *Authority) View(id uint64) (ring.View, bool)     { return a.plans.View(id) }
func (a *Authority) Epoch() uint64                        { return a.epoch }
func (a *Authority) Live() bool                           { return a.live }
func (a *Authority) Recovering() bool                     { return a.recovering }
func (a *Authority) Layout() ring.Layout                  { return a.layout }

// everyone lists the members by ascending ID. The list is made anew when it changes, so
// who goes through it may end members.
func (a *Authority) everyone() []*member {
	if a.order == nil {
		a.order = make([]*member, 0, len(a.by))
		for _, found := range a.ring.All() {
			a.order = append(a.order, a.by[found.ID])
		}
	}
	return a.order
}

func (a *Authority) find(ref ring.Ref) *member {
	if m := a.by[ref.ID]; m != nil && m.Life == ref.Life {
		return m
	}
	return nil
}

// Admit admits a new life. wall is the time of day, from which lives are made. The life is
// greater than each that this registry has given or was told of: clocks may go back, and
// those of two registries need not agree.
//
// The caller has dialled the address and knows that the node asking is there. So
// whoever is registered at that address is there no more, and the member with that
// token was an earlier life of the same process, under another name of its address.
func (a *Authority) Admit(now Time, wall uint64, r Request) (ring.Member, error) {
	a.seen(r)
	if a.recovering {
		// The ID that it gets might be that of a member which has not come back yet.
		return ring.Member{}, fmt.Errorf("members of the ring that was have time to come back: %w", ErrWait)
	}
	if id, taken := a.ring.HolderOf(r.Addr); taken {
		why := "another process answers at its address"
		if a.by[id].token == r.Token {
			why = "it has begun another life"
		}
		a.bury(now, a.by[id], why)
	}
	if m := a.named[r.Token]; m != nil {
		a.bury(now, m, fmt.Sprintf("its process has joined again, as %s", r.Addr))
	}
	if holder := a.by[r.ID]; r.Want && holder != nil {
		if holder.doubt != nil {
			return ring.Member{}, fmt.Errorf("node %d is out of sight: %w", r.ID, ErrWait)
		}
		return ring.Member{}, ErrIDTaken
	}
	life := a.nextLife(wall)
	var m ring.Member
	var err error
	if r.Want {
		m = ring.Member{ID: r.ID, Life: life, Addr: r.Addr, Traffic: r.Traffic}
		err = a.ring.Claim(m)
	} else {
		m, err = a.ring.Add(r.Addr, life, r.Traffic, a.Draw)
	}
	if err != nil {
		return m, err
	}
	a.life = life
	a.add(&member{Member: m, token: r.Token})
	a.news(Joined, a.by[m.ID], "")
	a.last = now
	return m, nil
}

// Resume goes on with a life whose connection had ended. If the registry knows it,
// that is all, but for its address, which may have changed. A registry that knows nobody, or is
// recovering already, believes it and starts, or goes on, to rebuild the ring that was.
func (a *Authority) Resume(now Time, r Request) (ring.Member, error) {
	a.seen(r)
	if m := a.find(ring.Ref{ID: r.ID, Life: r.Life}); m != nil {
		if m.token != r.Token {
			return ring.Member{}, ErrNotYours
		}
		was, err := a.settle(m, r)
		if err != nil {
			return ring.Member{}, err
		}
		m.doubt = nil
		a.doubted = without(a.doubted, m)
		switch m.status { // what was sent meanwhile is lost
		case linking:
			m.status = waiting
			a.batch = without(a.batch, m)
		case active:
			m.full, a.dirty = true, true
		}
		m.stalled = false
		// It will say again what it cannot reach; that it can again, it may have said
		// to nobody.
		maps.DeleteFunc(a.parted, func(p pair, _ *parting) bool { return p.from == m.ref() })
		a.detoured = true
		a.news(Back, m, movedFrom(was))
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
		a.past[ref] = max(a.past[ref], g.Epoch)
		if m := a.find(ref); m != nil && m.heard < g.Epoch {
			a.bury(now, m, "an earlier registry declared it dead")
		}
	}
	if r.Epoch < a.past[ring.Ref{ID: r.ID, Life: r.Life}] {
		return ring.Member{}, ErrEvicted
	}
	// Whoever came first keeps the ID, unless it was replaced; a newcomer that has
	// no table yet can be given another one without harm.
	rival := a.by[r.ID]
	if rival != nil && rival.status != waiting && rival.Life > r.Life {
		return ring.Member{}, ErrEvicted
	}
	if id, taken := a.ring.HolderOf(r.Addr); taken && id != r.ID {
		if err := a.vacate(r); err != nil {
			return ring.Member{}, err
		}
	}
	if rival != nil {
		a.bury(now, rival, fmt.Sprintf("node %d has come back from the ring that was", r.ID))
	}
	m := ring.Member{ID: r.ID, Life: r.Life, Addr: r.Addr, Traffic: r.Traffic}
	if err := a.ring.Claim(m); err != nil {
		return m, err
	}
	a.life = max(a.life, r.Life)
	back := &member{Member: m, token: r.Token, heard: r.Epoch, pace: min(r.Pace, MaxPace)}
	a.add(back)
	a.news(Back, back, "")
	if r.Epoch > 0 {
		a.recover(now, back, r)
	}
	a.last = now
	return m, nil
}

// Leave begins an orderly end: the member is taken out of all tables, and told that it
// is free to go when everybody has let go of it.
func (a *Authority) Leave(now Time, ref ring.Ref) {
	m := a.find(ref)
	switch {
	case m == nil || m.status == leaving:
	case m.status == active:
		m.status, m.until = leaving, within(now, a.Lease)
		a.leavers = append(a.leavers, m)
		a.fresh = without(a.fresh, m)
		a.dirty, a.last = true, now
	default:
		a.dirty = a.dirty || m.status == linking // the layout was that of a ring with it
		a.release(m)
	}
}

// release lets a member go.
func (a *Authority) release(m *member) {
	a.send(m, control.TypeDeregistered, control.Deregistered{ID: m.ID})
	// Its links still carry what it has to pass on: they end by themselves, and so do
	// the streams to it, in good order.
	if m.known() {
		a.left = append(a.left, m.ref())
	}
	a.drop(m)
	a.news(Left, m, "left")
}

// bury declares a member dead.
func (a *Authority) bury(now Time, m *member, why string) {
	if m.status == active || m.status == linking {
		view, _ := a.plans.View(m.ID)
		for _, e := range view.Entries { // who must not take anything from it any more
			a.owed[e.ID] = append(a.owed[e.ID], m.ref())
		}
		a.dirty, a.last = true, now
	}
	if m.known() {
		a.gone = append(a.gone, m.ref())
	}
	if a.recovering { // others may hear of it before it does: it must not be believed again
		a.past[m.ref()] = a.epoch + 1
	}
	a.drop(m)
	a.news(Dead, m, why)
}

// add makes a life that has its ID a member.
func (a *Authority) add(m *member) {
	a.by[m.ID], a.order = m, nil
	if m.token != 0 {
		a.named[m.token] = m
	}
}

// drop forgets a member.
func (a *Authority) drop(m *member) {
	a.ring.Remove(m.ID)
	delete(a.by, m.ID)
	if a.named[m.token] == m {
		delete(a.named, m.token)
	}
	a.order = nil
	a.batch = without(a.batch, m)
	a.fresh = without(a.fresh, m)
	a.leavers = without(a.leavers, m)
	a.doubted = without(a.doubted, m)
}

func without(list []*member, m *member) []*member {
	for i, x := range list {
		if x == m {
			return append(list[:i:i], list[i+1:]...)
		}
	}
	return list
}
