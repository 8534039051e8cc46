package membership

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// NodeView is a node's half of the membership: what the registry told it. It is immutable:
// each change returns a new one.
type NodeView struct {
	Self ring.Ref
	Bits int

	Identity   ring.Identity // of the ring, empty before the first table
	Epoch      uint64
	Size       int64 // entries asked for at the set-up
	Plan       control.Plan
	Members    int
	Entries    []ring.Peer
	Successors []ring.Peer
	Detours    []control.Detour
	Hold       []ring.Peer
	Stubs      []ring.Peer    // between the node and its successor, see ring.Router
	Others     *ring.List     // members to send to, or a sample of them; of incarnation 0 if the registry does not tell
	Newest     uint64         // the latest incarnation that the registry had admitted by then
	Over       []control.Over // the latest incarnations that are over, for a later registry
	ListEpoch  uint64         // of Others, see control.Announce; 0 if it is not known
	Listed     bool           // the node itself is on the lists of others
	Leaving    *ring.List     // of Others, those that are about to leave: they serve no more; nil if there are none
	Leaves     bool           // the node itself is such a one
	Follows    []string       // services that the node has registered, fixed

	versioned   bool                  // it has had a manifest, and each announcement since
	sampled     bool                  // see Sampled
	services    map[string]*ring.List // see HandlersOf; never changed in place
	pending     *told                 // of lists that come
	pendingSize int
}

// rememberOver returns Over with more incarnations, at most [control.MaxOver] in all.
//
// signatures are those of a secure ring, in the order of dead. A node keeps them to show them to a
// later registry, which believes nothing else.
func (l *NodeView) rememberOver(dead []ring.Ref, signatures []string, epoch uint64) []control.Over {
	if len(dead) == 0 {
		return l.Over
	}
	all := slices.Clone(l.Over)
	for i := max(0, len(dead)-control.MaxOver); i < len(dead); i++ {
		g := dead[i]
		all = slices.DeleteFunc(all, func(o control.Over) bool { return o.Ref() == g })
		over := control.Over{ID: g.ID, Incarnation: g.Incarnation, Epoch: epoch}
		if i < len(signatures) && len(signatures[i]) <= maxSignature {
			over.Signature = signatures[i]
		}
		all = append(all, over)
	}
	return all[max(0, len(all)-control.MaxOver):]
}

// maxSignature is the length of a signature's text: 64 bytes in base64.
const maxSignature = 86

// Manifest is the view after the registry told the node everything.
func (l *NodeView) Manifest(m control.Manifest) (*NodeView, error) {
	if err := l.checkManifest(&m); err != nil {
		return nil, err
	}
	next := &NodeView{
		Self: l.Self, Bits: l.Bits, Identity: cmp.Or(ring.Identity(m.Identity), l.Identity), Epoch: m.Epoch, Size: m.Size, Plan: m.Plan, Members: control.Int(m.Members),
		Entries: m.Entries, Successors: m.Successors, Detours: m.Detours, Hold: m.Hold, Stubs: m.Stubs,
		Others: (*ring.List)(nil).With(manifestListing(&m).members()...), Newest: m.Incarnation, Over: l.Over,
		Follows: l.Follows, versioned: true, pending: l.pending, ListEpoch: m.ListEpoch, Listed: !l.Leaves && (m.Listed || l.Listed && m.ListEpoch == 0), Leaves: l.Leaves,
	}
	if m.Epoch <= l.Epoch {
		return nil, fmt.Errorf("%w: epoch %d is not newer than epoch %d", wire.ErrTable, m.Epoch, l.Epoch)
	}
	if err := l.checkIdentity(m); err != nil {
		return nil, err
	}
	next.noteSize()
	for _, id := range m.Leaving {
		if o, ok := next.Others.Find(id); ok {
			next.Leaving = next.Leaving.With(o)
		}
	}
	next.applyHandlers(nil)
	return next, next.check()
}

// Update is the view after the registry told the node what has changed.
func (l *NodeView) Update(u control.Update) (*NodeView, error) {
	next := *l
	if u.Epoch <= l.Epoch {
		return nil, fmt.Errorf("%w: epoch %d is not newer than epoch %d", wire.ErrTable, u.Epoch, l.Epoch)
	}
	if err := l.refsInSpace(u.Gone); err != nil {
		return nil, err
	}
	if u.Entries < 0 || u.Entries > ring.MaxTable {
		return nil, fmt.Errorf("%w: a table of %d entries", wire.ErrTable, u.Entries)
	}
	next.Epoch, next.Members = u.Epoch, control.Int(u.Members)
	next.Over = l.rememberOver(u.Gone, u.Signatures, u.Epoch)
	next.Entries = make([]ring.Peer, u.Entries)
	copy(next.Entries, l.Entries)
	for _, s := range u.Slots {
		if s.At < 0 || s.At >= u.Entries {
			return nil, fmt.Errorf("%w: entry %d of a table of %d", wire.ErrTable, s.At, u.Entries)
		}
		next.Entries[s.At] = s.Peer()
	}
	if u.NewSuccessors {
		next.Successors = u.Successors
	}
	if u.NewDetours {
		next.Detours, next.Hold = u.Detours, u.Hold
	}
	if u.NewStubs {
		next.Stubs = u.Stubs
	}
	return &next, next.check()
}

// EndedSince lists the members that were on the list before and are not on it any more. Their
// end was announced while the node had no connection, or they did not come back to a new
// registry. Only their incarnations up to before.Newest are over: a later one with the
// same ID is a newcomer that was not announced yet. A list that is a sample tells nothing.
func (l *NodeView) EndedSince(before *NodeView) (ids []uint64) {
	if l.Others.Len() >= control.MaxOthers {
		return nil
	}
	for m := range before.Others.All() {
		if _, here := l.Others.Find(m.ID); !here {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// KnowsAll reports whether Others are all other members that were announced, and not a sample.
// A list that was a sample has room once members of it have left.
func (l *NodeView) KnowsAll() bool {
	return l.Epoch > 0 && l.Others.Len() < control.MaxOthers && l.Others.Len()+1 >= l.Members
}

// Serves reports whether a member of the list serves, and is not about to leave.
func (l *NodeView) Serves(m ring.Ref) bool {
	leaver, ok := l.Leaving.Find(m.ID)
	return !ok || leaver.Incarnation != m.Incarnation
}

// Has reports whether an incarnation of another node is a member that the registry has told of.
func (l *NodeView) Has(ref ring.Ref) bool {
	if m, ok := l.Others.Find(ref.ID); ok {
		return m.Incarnation == 0 || m.Incarnation == ref.Incarnation
	}
	for _, list := range [][]ring.Peer{l.Entries, l.Successors, l.Hold} {
		if slices.ContainsFunc(list, func(p ring.Peer) bool { return p.Ref() == ref }) {
			return true
		}
	}
	return slices.ContainsFunc(l.Detours, func(d control.Detour) bool { return d.Waypoint().Ref() == ref })
}

// check says what is wrong with a view.
func (l *NodeView) check() error {
	if l.Epoch > maxToldEpoch {
		return errEpoch(l.Epoch)
	}
	if !l.Identity.Valid() {
		return fmt.Errorf("%.40q is not the identity of a ring", string(l.Identity))
	}
	if err := l.checkLinks(); err != nil {
		return err
	}
	for _, list := range [][]ring.Peer{l.Entries, l.Successors, l.Hold} {
		for _, p := range list {
			if !dial.Printable(p.Addr) { // programs show it
				return fmt.Errorf("the address %.300q of node %d has characters that cannot be printed", p.Addr, p.ID)
			}
		}
	}
	mask := ring.Mask(l.Bits)
	for _, list := range [][]ring.Peer{l.Entries, l.Successors, l.Stubs} {
		last := uint64(0)
		for i, p := range list {
			d := ring.Distance(mask, l.Self.ID, p.ID)
			if p.ID > mask || d <= last {
				return fmt.Errorf("%w: entry %d of the table of node %d is out of order: %d (%s)", wire.ErrTable, i, l.Self.ID, p.ID, p.Addr)
			}
			last = d
		}
	}
	for _, d := range l.Detours {
		if !dial.Printable(d.Addr) {
			return fmt.Errorf("the address %.300q of node %d has characters that cannot be printed", d.Addr, d.ID)
		}
		if d.To == l.Self.ID || d.ID == l.Self.ID || d.To > mask || d.ID > mask {
			return fmt.Errorf("%w: a detour of node %d to %d by way of %d makes no sense", wire.ErrTable, l.Self.ID, d.To, d.ID)
		}
	}
	return nil
}

// Links lists the peers to link to: table for routing, in clockwise order, and keep for
// other purposes. The table has the entries, and of the successors as many as it takes
// to have one that is up.
func (l *NodeView) Links(up func(ring.Peer) bool) (table, keep []ring.Peer) {
	table = slices.Clone(l.Entries)
	for _, s := range l.Successors {
		if !slices.ContainsFunc(table, func(p ring.Peer) bool { return p.ID == s.ID }) {
			table = append(table, s)
		}
		if up(s) {
			break
		}
	}
	mask := ring.Mask(l.Bits)
	slices.SortFunc(table, func(a, b ring.Peer) int {
		return cmp.Compare(ring.Distance(mask, l.Self.ID, a.ID), ring.Distance(mask, l.Self.ID, b.ID))
	})
	for _, d := range l.Detours {
		keep = append(keep, d.Waypoint())
	}
	return table, slices.Concat(keep, l.Hold, l.Stubs)
}

// Successor is the ID of the next member clockwise that is no stub, or the node's own if there
// is none.
func (l *NodeView) Successor() uint64 {
	if len(l.Successors) == 0 {
		return l.Self.ID
	}
	return l.Successors[0].ID
}
