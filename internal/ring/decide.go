package ring

import "slices"

// Action is what a node does with a frame that is for another node.
type Action uint8

const (
	Drop       Action = iota // say nothing: it may pass, and the stream asks again
	Forward                  // send it to the peer Up[i]
	Detour                   // mark it, and send it to the waypoint for Detours[i]
	Direct                   // send it over the link to its sink; drop it if there is none
	NoSuchNode               // no node has its sink's ID: tell its source
	HopLimit                 // it has crossed too many links: tell its source
	Overshoot                // it has passed its sink: drop it
)

// Router decides where frames go. It is immutable. The data plane and the simulation of whole
// rings decide by the same Router, so what is simulated is what runs.
type Router struct {
	Mask, Self uint64
	HopLimit   int      // frames that have crossed so many links go no further
	Epoch      uint64   // of the table in use; 0: there is none yet
	Up         []uint64 // entries of the table whose link is up, in clockwise order
	Detours    []uint64 // IDs with a detour whose first link is up
	Stubs      []uint64 // the stubs between the node and its successor: members to which it is the last hop

	// Successor is the next member clockwise that is no stub, whether its link is up or not, or the
	// node itself if it is alone.
	Successor uint64

	// Authoritative means that the node may tell others that an ID is not taken. It holds while
	// the node is announced, does not leave, and the registry has heard of it lately. A member
	// that was declared dead, or soon will be, still receives frames, but is not told of
	// newcomers behind it.
	Authoritative bool
}

// Relay decides about a frame that came from a peer and is for another node than this one. hops
// is the number of links that it has crossed, detour its flag.
//
// Before the first table the node cannot tell which nodes exist, but others may already route
// by an epoch that includes it. A marked frame has passed its waypoint, so a detour is at most
// two links long and never forms a circle; its sink may lie anywhere, so it cannot overshoot.
func (r *Router) Relay(from, dst uint64, hops int, detour bool) (Action, int) {
	switch {
	case r.Epoch == 0:
		return Drop, 0
	case !detour && r.overshoots(from, dst):
		return Overshoot, 0
	case hops >= r.HopLimit:
		return HopLimit, 0
	case detour:
		return Direct, 0
	}
	return r.Next(dst)
}

// Next decides about a frame of the node's own that is for another node. The index that it returns
// is of Up or of Detours.
//
// An ID before the successor is not taken, even if the successor is dead, unless it is that of a
// stub. An ID at the successor or beyond is not for this node to judge.
//
// A stub is a member that passes on nothing for others, as a stub router of OSPF (RFC 6987). It is
// no entry of a table, so no route leads through it. The nodes before it have a link to it, for what
// is addressed to it.
func (r *Router) Next(dst uint64) (Action, int) {
	if r.Epoch == 0 {
		return Drop, 0
	}
	if i := ClosestPreceding(r.Mask, r.Self, dst, r.Up); i >= 0 {
		return Forward, i
	}
	if slices.Contains(r.Stubs, dst) {
		if i := slices.Index(r.Detours, dst); i >= 0 {
			return Detour, i
		}
		return Direct, 0
	}
	if r.Successor == r.Self || Distance(r.Mask, r.Self, dst) < Distance(r.Mask, r.Self, r.Successor) {
		if r.Authoritative {
			return NoSuchNode, 0
		}
		return Drop, 0
	}
	if i := slices.Index(r.Detours, dst); i >= 0 {
		return Detour, i
	}
	return Drop, 0
}

// overshoots reports whether a frame passed its sink on the link from a peer to the node. Then the
// peer's table is wrong, and another hop would take the frame around the ring again.
func (r *Router) overshoots(from, dst uint64) bool {
	return Distance(r.Mask, from, r.Self) > Distance(r.Mask, from, dst)
}
