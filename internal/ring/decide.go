package ring

// Way is what is to be done with a frame that is for somebody else.
type Way uint8

const (
	Drop       Way = iota // nothing can be said about it: its stream asks again
	Forward               // to the peer Up[i]
	Around                // to the waypoint Detours[i], marked as going around
	NoSuchNode            // nobody has this ID: tell the source
)

// Outlook is what a node decides by. It is immutable.
type Outlook struct {
	Mask, Self uint64
	Up         []uint64 // the peers to route by whose link is up, in clockwise order
	Detours    []uint64 // the IDs for which there is a detour whose first link is up

	// Successor is the member right behind the node, whether its link is up or not,
	// or the node itself if it is alone.
	Successor uint64

	// Sure says that what the node believes of its successor may be passed on as the
	// truth: it was announced, it does not leave, and the registry has not lost sight
	// of it. A member that was declared dead, or is about to be, is not told of
	// newcomers behind it, while frames still come its way.
	Sure bool
}

// Next decides about a frame for dst, which is not the node itself, and returns an
// index into Up or Detours.
//
// An ID that lies before the successor is nobody's, also when the successor is
// dead; what lies at it or beyond is not for this node to judge.
func (o *Outlook) Next(dst uint64) (Way, int) {
	if i := ClosestPreceding(o.Mask, o.Self, dst, o.Up); i >= 0 {
		return Forward, i
	}
	if o.Successor == o.Self || Distance(o.Mask, o.Self, dst) < Distance(o.Mask, o.Self, o.Successor) {
		if o.Sure {
			return NoSuchNode, 0
		}
		return Drop, 0
	}
	for i, to := range o.Detours {
		if to == dst {
			return Around, i
		}
	}
	return Drop, 0
}

// Overshot says that a frame passed its sink on the link from a peer to the node:
// the peer's table is wrong, and to route it on would take it around the ring again.
func (o *Outlook) Overshot(from, dst uint64) bool {
	return Distance(o.Mask, from, o.Self) > Distance(o.Mask, from, dst)
}
