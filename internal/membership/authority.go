package membership

import (
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// Time is the time since a moment that the caller chooses. It is greater than zero and
// never goes back.
type Time = time.Duration

// Config configures an [Authority].
type Config struct {
	Bits  int
	Lease time.Duration         // how long a member may be silent, or without a connection
	Grace time.Duration         // how long the members of an earlier registry have to come back
	Draw  func(n uint64) uint64 // a random number below n, of 64 bits if n is 0
	Beats int                   // most heartbeats a second, 0 for MaxBeats

	MaxWhole int // the largest ring whose lists are whole, for tests; 0 for control.MaxOthers

	SelfSetup    *ring.Layout         // the first member makes the ring live, with these tables; nil: an operator does
	GraceFirst   bool                 // an operator asked for the grace from the start
	DrawIdentity func() ring.Identity // of a new ring; nil: with Draw
	Kept         *Record              // what an earlier registry has kept, see BeginSave; nil if nothing is kept

	// Wall is the time of day, in nanoseconds since 1970; nil: recoveries are counted, see [Recoveries].
	Wall func() uint64

	// SignGone signs that an incarnation was declared over, as of an epoch; nil in an open ring.
	SignGone func(ref ring.Ref, epoch uint64) string
}

// signatures signs that incarnations are over. It returns nil in an open ring.
func (a *Authority) signatures(gone []ring.Ref, epoch uint64) (all []string) {
	if a.SignGone == nil {
		return nil
	}
	for _, ref := range gone {
		all = append(all, a.SignGone(ref, epoch))
	}
	return all
}

// Authority is the registry's half of the membership. It is not safe for concurrent use.
type Authority struct {
	Config

	// The members.
	roster  *ring.Members // the nodes that have IDs and addresses
	byID    map[uint64]*member
	byToken map[uint64]*member // a token of 0 is not listed
	byName  map[string]*member
	sorted  []*member // by ascending ID; nil after a member has come or gone
	lastInc uint64    // the greatest incarnation or term given, or reported by a node

	number      uint64         // of this registry, drawn when it is needed
	recovery    uint64         // its recovery has this number, see Recoveries
	keyServices map[string]int // how many members open each service with keys; at most MaxKeyServices

	// The tables.
	live       bool // a ring was set up
	layout     ring.Layout
	layoutSet  bool // an operator of this registry chose the layout
	plans      *ring.Plans
	tableCount int // members in tables
	epoch      uint64
	dirty      bool // tables must be planned again
	exact      bool // the next plan corrects every entry
	lastChange Time // when a member last came into the tables or went

	// The ring, and what is kept of it.
	identity ring.Identity // empty while there is no ring
	drawn    ring.Identity // will be that of the ring, unless it turns out to be an earlier one
	saved    Record        // what is surely written; Empty also while it may be
	resave   bool          // what is written is not known
	saveErr  error         // why the latest write failed
	filling  Time          // until then a first member may come, so the ring is not empty

	// Members on their way in or out.
	batch     []*member // newcomers that open their links
	batchBy   deadline
	leavers   []*member
	unlisting []*member // about to leave, and not told that no other lists them
	suspects  []*member
	moved     map[ring.Ref]struct{} // members whose new address is not told yet
	missed    Missed                // time in which this process did not run
	owedDead  map[uint64][]ring.Ref // by member: the dead that had links to it, not told yet

	// Announcements.
	unannounced        []*member // active newcomers
	announceBy         deadline
	gatherBy           Time // by then those are announced that all tables lead to; 0 if there are none
	unannouncedDead    []ring.Ref
	unannouncedLeft    []ring.Ref
	unannouncedLeaving []*member // about to leave
	listed             []*member // of those two, the ones that were announced: they are on all lists still
	listEpoch          uint64    // of the latest announcement
	listClaims         []uint64  // the list epochs that members know which have come back, while the registry recovers

	// The members that handle each service, see services.go.
	announcedCount int                       // members on the list of listEpoch
	following      int                       // members that want to know those of services
	wholes         map[string]handlers       // of listEpoch
	followLists    map[ring.Profile][]string // of members
	announcedAt    Time                      // when the latest announcement went out

	// Pairs of which the first member cannot reach the second.
	pairs        map[pair]*pairState
	pairsFull    bool // a pair did not fit into pairs
	detoursDirty bool // detours must be planned again
	detoursAt    Time // but not before

	accusations // of members that pass nothing on

	// Recovery of the ring of an earlier registry.
	recovering  bool
	recoveryEnd deadline
	expected    bool                // the ring has members, and none is back
	secondGrace bool                // their grace is over
	extraGrace  Time                // the longest timeout of a member that is back, less a lease
	paces       [MaxPace + 1]int    // how many members that are back claim each pace
	knownDead   map[ring.Ref]uint64 // incarnations that are over, and the epoch that said so; at most maxKnownDead
	lastDead    map[uint64]uint64   // of each ID in knownDead, the latest incarnation in it
	overFull    bool                // one did not fit into knownDead
	newestEpoch uint64              // the latest epoch that a member that is back was told

	// Members that others may have to do without, see [StuckLeases].
	owing []*member // those that have not confirmed their tables, and some that have
	cut   []*member // those with a pair that had no detour of late

	now     Time // of the latest Advance
	effects []Effect
}

// New returns an authority without members.
func New(c Config) *Authority {
	a := &Authority{
		Config: c, roster: ring.NewMembers(c.Bits), byID: make(map[uint64]*member), byToken: make(map[uint64]*member), byName: make(map[string]*member), wholes: make(map[string]handlers), followLists: make(map[ring.Profile][]string), keyServices: make(map[string]int),
		plans: ring.NewPlans(), owedDead: make(map[uint64][]ring.Ref), knownDead: make(map[ring.Ref]uint64), lastDead: make(map[uint64]uint64), moved: make(map[ring.Ref]struct{}), pairs: make(map[pair]*pairState),
	}
	if c.Kept != nil {
		a.saved, a.identity, a.lastInc = *c.Kept, c.Kept.Identity, c.Kept.Incarnation
	}
	a.recovery = 1
	if c.SelfSetup != nil {
		// The option counts more than the tables that members bring: it says what the operator
		// wants, and a restart does not depend on which member was told last. Rejected: the old
		// layout, with which a new option would change nothing. A set-up by hand lasts as long
		// as its registry.
		a.layout, a.layoutSet = *c.SelfSetup, true
	}
	return a
}

// Len is the number of members.
func (a *Authority) Len() int { return a.roster.Len() }

// All lists the members by ascending ID.
func (a *Authority) All() []ring.Member { return a.roster.All() }

// Holder finds the member with an ID.
func (a *Authority) Holder(id uint64) (ring.Member, bool) { return a.roster.Get(id) }

// HolderOf finds the ID of the member that holds an address.
func (a *Authority) HolderOf(addr string) (uint64, bool) { return a.roster.HolderOf(addr) }

// View is the table that the latest plan has for a member.
func (a *Authority) View(id uint64) (ring.View, bool) {
	if m := a.byID[id]; m != nil && m.stub != nil {
		return m.stub.view(), m.stub.told && m.status == active
	}
	return a.plans.View(id)
}

// Epoch is that of the latest plan.
func (a *Authority) Epoch() uint64 { return a.epoch }

// Live says whether a ring was set up.
func (a *Authority) Live() bool { return a.live }

// Recovering says whether members of an earlier registry still have time to come back.
func (a *Authority) Recovering() bool { return a.recovering }

// Layout is the present layout of the tables.
func (a *Authority) Layout() ring.Layout { return a.layout }

// sortedMembers lists the members by ascending ID. A change makes a new list, so a loop
// over it may end members.
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
	if m := a.byID[ref.ID]; m != nil && m.Incarnation == ref.Incarnation {
		return m
	}
	return nil
}

// Leave begins the orderly end of a member. It is taken out of all tables at once. It is
// released when all members have confirmed tables without it, or after a lease. It returns false
// for an incarnation that is over: that is told nothing more.
func (a *Authority) Leave(now Time, ref ring.Ref) bool {
	m := a.find(ref)
	switch {
	case m == nil:
		return false
	case m.status == leaving:
	case m.status == active:
		m.status, m.until = leaving, within(now, a.Lease)
		a.leavers = append(a.leavers, m)
		a.unlisting = without(a.unlisting, m) // it does not wait for that any more
		a.unannounced = without(a.unannounced, m)
		a.dirty, a.lastChange = true, now
	default:
		a.dirty = a.dirty || m.status == linking // the layout counted it
		a.release(m)
	}
	return true
}

// Expel declares a member dead at the operator's word.
func (a *Authority) Expel(now Time, ref ring.Ref, why string) {
	if m := a.find(ref); m != nil {
		a.markDead(now, m, why)
	}
}

// LatestIncarnation is the greatest that was given, or that a node knows of.
func (a *Authority) LatestIncarnation() uint64 { return a.lastInc }

// release tells a member that it may go, and forgets it.
func (a *Authority) release(m *member) {
	a.send(m, control.TypeDeregistered, control.Deregistered{ID: m.ID})
	// Its links still carry what it has to pass on. They end by themselves, and so do
	// the streams to it, in good order.
	if m.mayBeKnown() {
		a.unannouncedLeft = append(a.unannouncedLeft, m.Ref())
		a.stayListed(m)
	}
	a.drop(m)
	a.emitEvent(Left, m, "left")
}

// markDead declares a member dead.
func (a *Authority) markDead(now Time, m *member, why string) {
	if m.status == active || m.status == linking {
		view, _ := a.View(m.ID)
		for _, e := range view.Entries { // they must take nothing more from it
			a.owedDead[e.ID] = append(a.owedDead[e.ID], m.Ref())
		}
		for _, s := range m.lastHops {
			a.owedDead[s.ID] = append(a.owedDead[s.ID], m.Ref())
		}
		a.dirty, a.lastChange = true, now
	}
	if m.mayBeKnown() {
		a.unannouncedDead = append(a.unannouncedDead, m.Ref())
		a.stayListed(m)
	}
	if a.recovering { // it may resume before it has heard of this: then refuse it
		a.noteOver(m.Ref(), a.epoch+1)
	}
	a.drop(m)
	a.emitEvent(Dead, m, why)
}

// add lists a member that has its ID in the roster.
func (a *Authority) add(m *member) {
	a.byID[m.ID], a.sorted, a.filling = m, nil, 0
	if m.token != 0 {
		a.byToken[m.token] = m
	}
	if name := m.info.NameOf(); name != "" {
		a.byName[name] = m
	}
	if m.follows != nil {
		a.following++
	}
	a.countKeys(m, 1)
}

// stayListed keeps a member that is over on the lists of manifests until its end is announced: the
// others have it on theirs.
func (a *Authority) stayListed(m *member) {
	if m.announced {
		a.listed = append(a.listed, m)
	}
}

// drop forgets a member.
func (a *Authority) drop(m *member) {
	a.roster.Remove(m.ID)
	delete(a.byID, m.ID)
	if a.byToken[m.token] == m {
		delete(a.byToken, m.token)
	}
	if name := m.info.NameOf(); a.byName[name] == m {
		delete(a.byName, name)
	}
	if m.follows != nil {
		a.following--
	}
	a.countKeys(m, -1)
	a.sorted = nil
	a.batch = without(a.batch, m)
	a.unannounced = without(a.unannounced, m)
	a.leavers = without(a.leavers, m)
	a.unlisting = without(a.unlisting, m)
	a.unannouncedLeaving = without(a.unannouncedLeaving, m)
	a.suspects = without(a.suspects, m)
	a.owing = without(a.owing, m)
	a.cut = without(a.cut, m)
	a.ledAround = without(a.ledAround, m)
}

func without(list []*member, m *member) []*member {
	for i, x := range list {
		if x == m {
			return append(list[:i:i], list[i+1:]...)
		}
	}
	return list
}
