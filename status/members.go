package status

import "fmt"

// MemberEvent is a change among the members of a ring, as one of its nodes has heard of it. It is
// about one incarnation: a node that is declared dead and joins again is another one.
type MemberEvent struct {
	Change MemberChange `json:"change"`
	MemberInfo
	Self bool `json:"self"` // it is the node that tells the event
	// Epoch is that of the list of members by which the node tells the event: it grows with each
	// change, and members with the same one have the same list. It is 0 if the registry tells none.
	Epoch uint64 `json:"epoch"`
}

// String returns "node 5 joined", "node 5, worker-1, joined", or "this node, 5, joined".
func (e MemberEvent) String() string {
	name := ""
	if e.Name != "" {
		name = fmt.Sprintf(", %s,", e.Name)
	}
	switch {
	case e.Self && name == "":
		return fmt.Sprintf("this node, %d, %s", e.ID, e.Change.verb())
	case e.Self:
		return fmt.Sprintf("this node, %d%s %s", e.ID, name, e.Change.verb())
	}
	return fmt.Sprintf("node %d%s %s", e.ID, name, e.Change.verb())
}

// MemberChange is the kind of a [MemberEvent].
type MemberChange string

const (
	MemberPresent MemberChange = "present" // it was a member when the loop began
	MemberJoined  MemberChange = "joined"  // it is a member now
	// MemberLeft: it is off the lists, since it leaves in good order. It takes no new work, and what was
	// sent to it is handled and answered still.
	MemberLeft MemberChange = "left"
	MemberDied MemberChange = "died" // it was declared dead; of Self also: it has given up its ring, see ringdht.ErrOtherRing
	// MemberEnded: the registry does not list it any more, and the node has not heard why. It ended
	// while the node had no connection to the registry, or did not come back to a new registry
	// within its grace. If it comes back to the next registry, it has joined again.
	MemberEnded MemberChange = "ended"
)

// Over reports whether the change is the end of a member: it left, died or ended.
func (c MemberChange) Over() bool { return c != MemberPresent && c != MemberJoined }

func (c MemberChange) verb() string {
	switch c {
	case MemberPresent:
		return "is present"
	case MemberEnded:
		return "has ended"
	}
	return string(c)
}
