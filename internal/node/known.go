package node

import "github.com/x/ringdht/internal/ring"

// maxUntold is how far an incarnation may lie beyond those that the registry has told of, and
// beyond this node's clock. The registry makes them from its clock, or counts on by steps of at
// most 2^30. So there is room for 65,536 newcomers that this node has not heard of, or for a clock
// that is 19 hours ahead. One farther ahead is refused for as long as the registry has not told of
// it: a sink that remembers it would take nothing from the node whose ID it has.
const maxUntold = 1 << 46

// mayExist reports whether a registry can have given an incarnation that it has not told of yet.
func (inc *incarnation) mayExist(number uint64) bool {
	known := max(inc.n.toldMax.Load(), uint64(max(0, inc.n.cfg.Now().UnixNano())))
	return number <= known || number-known <= maxUntold
}

// isMember reports whether an incarnation of another node is a member, as far as this node knows: one
// that the registry has told of. In a secure ring each peer has proven that it was admitted, so it
// counts as a member until the list is whole and does not have it: then it is over.
func (inc *incarnation) isMember(id, number uint64) bool {
	return inc.local.Load().Has(ring.Ref{ID: id, Incarnation: number}) || inc.n.security != nil && !inc.knowsMembers()
}

// knowsMembers reports whether the list of members is whole, and the registry would have told of
// newcomers.
func (inc *incarnation) knowsMembers() bool {
	return inc.authoritative() && inc.local.Load().KnowsAll()
}
