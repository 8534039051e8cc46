package status

import (
	"slices"
	"time"
)

// KeyService is a service with keys, see package keys, as its registry knows it. The registry decides
// which owner holds which arc of the ring of keys.
type KeyService struct {
	Service string `json:"service"`
	// Recovering says that the registry is new, and begins no move before all members of an earlier
	// one have said what they hold.
	Recovering bool       `json:"recovering"`
	Owners     []KeyOwner `json:"owners"`  // by ascending ID
	Sources    int        `json:"sources"` // members that only send
	// Arcs are all arcs that an owner holds, clockwise. Neighbours differ in their terms. JSON has
	// only their number, since there may be 100,000.
	Arcs     []KeyArc `json:"-"`
	ArcCount int      `json:"arcs"`
	Free     float64  `json:"free"`   // the part of the ring without an owner, from 0 to 1
	Moving   int      `json:"moving"` // moves under way
	// Moves are those under way, at most MaxKeyMoves, the oldest first.
	Moves []KeyMove `json:"moves"`
	// Moved is the number of moves that have ended with the state at the receiver, and MoveTimes is
	// how long they took: from the registry's decision to the receiver's word that it holds the arc.
	// Void moves have ended otherwise, with the death of one of the two.
	Moved       int64         `json:"moved"`
	Void        int64         `json:"void"`
	MoveTimes   Histogram     `json:"move_times"`
	LongestMove time.Duration `json:"longest_move_ns"`
	// Merges counts the shares with many terms that have got one new term.
	Merges int64 `json:"merges"`
	// Total is the sum over all members, including the last figures of members that are gone, but
	// not their gauges.
	Total KeyCounters `json:"total"`
}

// MaxKeyMoves bounds [KeyService].Moves.
const MaxKeyMoves = 100

// KeyOwner is a member that offers to hold arcs of a service with keys. Its Tags and Services are
// not filled in.
type KeyOwner struct {
	MemberInfo
	Arcs  int     `json:"arcs"`  // that it holds, also those that move away
	Share float64 `json:"share"` // of the ring, from 0 to 1: what these arcs are
}

// KeyArc is an arc of the ring of keys: the points from First to Last, with both. Owner holds it under
// the term Term. If it moves, Receiver gets it.
type KeyArc struct {
	First    uint64 `json:"first"`
	Last     uint64 `json:"last"`
	Term     uint64 `json:"term"`
	Owner    int    `json:"owner"`    // an index into Owners
	Receiver int    `json:"receiver"` // likewise; -1 if the arc does not move
}

// KeyMove is a move under way. The state goes from one member to the other.
type KeyMove struct {
	From  MemberInfo `json:"from"`
	To    MemberInfo `json:"to"`
	Share float64    `json:"share"` // of the ring, that has not moved yet
	Since time.Time  `json:"since"` // when the registry decided it
}

// Arc returns the arc that has a point, see keys.Point. It is false if no owner holds the point.
func (s *KeyService) Arc(point uint64) (KeyArc, bool) {
	i, found := slices.BinarySearchFunc(s.Arcs, point, func(a KeyArc, p uint64) int {
		switch {
		case a.Last < p:
			return -1
		case a.First > p:
			return 1
		}
		return 0
	})
	if !found {
		return KeyArc{}, false
	}
	return s.Arcs[i], true
}

// NodeKeys is a node's part in a service with keys.
type NodeKeys struct {
	Service string `json:"service"`
	KeyCounters
}

// KeyCounters are what a node has done for a service with keys in its present incarnation.
type KeyCounters struct {
	Arcs   int64 `json:"arcs"`   // gauge: arcs that it holds
	Keys   int64 `json:"keys"`   // gauge: keys with a state here; 0 if the program keeps the states itself
	Queued int64 `json:"queued"` // gauge: messages here whose handlers have not returned

	Sent    int64 `json:"sent"`    // messages to keys that this node has sent
	Unknown int64 `json:"unknown"` // of these, those of unknown outcome: an owner has died
	Repeats int64 `json:"repeats"` // of these, those sent to the next owner instead, see keys.Again
	Asks    int64 `json:"asks"`    // questions for owners
	Refused int64 `json:"refused"` // refusals that this node got

	Handled  int64 `json:"handled"`  // messages whose handlers have returned
	Refusals int64 `json:"refusals"` // messages refused here, since their arcs have moved

	Given       int64 `json:"given"`        // arcs whose states were given to another owner
	GivenBytes  int64 `json:"given_bytes"`  //
	Taken       int64 `json:"taken"`        // arcs whose states were taken over
	TakenBytes  int64 `json:"taken_bytes"`  //
	FailedMoves int64 `json:"failed_moves"` // states that could not be given or taken at once
}
