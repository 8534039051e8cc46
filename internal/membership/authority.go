package membership

import (
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

// Authority is the registry's half. It is not safe for concurrent use.
type Authority struct {
	Config
	roster  *ring.Members // all of them, for IDs and addresses
	byID    map[uint64]*member
	byToken map[uint64]*member // by token; 0 is none
	sorted  []*member          // all of them by ascending ID; nil when somebody has come or gone since it was made
	plans   *ring.Plans

	live       bool        // a ring was set up
	layout     ring.Layout // of the tables
	layoutSet  bool        // by an operator of this registry
	tableCount int
	epoch      uint64
	lastInc    uint64 // of the latest member

	dirty           bool // somebody came into the tables, or went
	exact           bool // every entry is to be put right
	lastChange      Time // of the latest such change
	batch           []*member
	batchBy         deadline
	unannounced     []*member // active and not announced
	announceBy      deadline
	unannouncedDead []ring.Ref            // lives that are over and not announced
	unannouncedLeft []ring.Ref            // lives that left and are not announced
	announcedAt     Time                  // when somebody was last announced
	owedDead        map[uint64][]ring.Ref // lives that are over, and who had links from them
	leavers         []*member
	suspects        []*member

	moved map[ring.Ref]struct{} // members whose new address others must hear of

	missed Missed // by this process

	pairs        map[pair]*pairState
	pairsFull    bool // there was no room for one
	detoursDirty bool // detours must be looked at again
	detoursAt    Time // but not before

	recovering  bool
	recoveryEnd deadline            // by then
	extraGrace  Time                // by how much more than a lease the most patient of them is
	knownDead   map[ring.Ref]uint64 // lives that an earlier registry declared dead, and in which epoch
	newestEpoch uint64              // the latest epoch that one of them was told

	effects []Effect
}

// New returns an authority without members.
func New(c Config) *Authority {
	return &Authority{
		Config: c, roster: ring.NewMembers(c.Bits), byID: make(map[uint64]*member), byToken: make(map[uint64]*member),
		plans: ring.NewPlans(), owedDead: make(map[uint64][]ring.Ref), knownDead: make(map[ring.Ref]uint64), moved: make(map[ring.Ref]struct{}), pairs: make(map[pair]*pairState),
	}
}

// Len is the number of members, All lists them by ascending ID.
func (a *Authority) Len() int           { return a.roster.Len() }
func (a *Authority) All() []ring.Member { return a.roster.All() }

// Holder finds the member with an ID, HolderOf the one at an address.
func (a *Authority) Holder(id uint64) (ring.Member, bool) { return a.roster.Get(id) }
func (a *Authority) HolderOf(addr string) (uint64, bool)  { return a.roster.HolderOf(addr) }
func (a *Authority) View(id uint64) (ring.View, bool)     { return a.plans.View(id) }
func (a *Authority) Epoch() uint64                        { return a.epoch }
func (a *Authority) Live() bool                           { return a.live }
func (a *Authority) Recovering() bool                     { return a.recovering }
func (a *Authority) Layout() ring.Layout                  { return a.layout }

// everyone lists the members by ascending ID. The list is made anew when it changes, so
// who goes through it may end members.
func (a *Authority) sortedMembers() []*member {
	if a.sorted == nil {
		a.sorted = make([]*member, 0, len(a.byID))
		for _, found := range a.roster.All() {
			a.sorted = append(a.sorted, a.byID[found.ID])
		}
	}
	return a.sorted
}

func (a *Authority) find(ref ring.Ref) *member {
	if m := a.byID[ref.ID]; m != nil && m.Life == ref.Life {
		return m
	}
	return nil
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
		a.unannounced = without(a.unannounced, m)
		a.dirty, a.lastChange = true, now
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
	if m.mayBeKnown() {
		a.unannouncedLeft = append(a.unannouncedLeft, m.ref())
	}
	a.drop(m)
	a.emitEvent(Left, m, "left")
}

// bury declares a member dead.
func (a *Authority) markDead(now Time, m *member, why string) {
	if m.status == active || m.status == linking {
		view, _ := a.plans.View(m.ID)
		for _, e := range view.Entries { // who must not take anything from it any more
			a.owedDead[e.ID] = append(a.owedDead[e.ID], m.ref())
		}
		a.dirty, a.lastChange = true, now
	}
	if m.mayBeKnown() {
		a.unannouncedDead = append(a.unannouncedDead, m.ref())
	}
	if a.recovering { // others may hear of it before it does: it must not be believed again
		a.knownDead[m.ref()] = a.epoch + 1
	}
	a.drop(m)
	a.emitEvent(Dead, m, why)
}

// add makes a life that has its ID a member.
func (a *Authority) add(m *member) {
	a.byID[m.ID], a.sorted = m, nil
	if m.token != 0 {
		a.byToken[m.token] = m
	}
}

// drop forgets a member.
func (a *Authority) drop(m *member) {
	a.roster.Remove(m.ID)
	delete(a.byID, m.ID)
	if a.byToken[m.token] == m {
		delete(a.byToken, m.token)
	}
	a.sorted = nil
	a.batch = without(a.batch, m)
	a.unannounced = without(a.unannounced, m)
	a.leavers = without(a.leavers, m)
	a.suspects = without(a.suspects, m)
}

func without(list []*member, m *member) []*member {
	for i, x := range list {
		if x == m {
			return append(list[:i:i], list[i+1:]...)
		}
	}
	return list
}
