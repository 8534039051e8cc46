package membership

import (
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// status is where a member stands, see the states in the package comment.
type status uint8

const (
	waiting status = iota
	linking
	active
	leaving
)

// member is what the registry knows of one incarnation.
type member struct {
	ring.Member
	info    *ring.Info // what it says of itself; nil if nothing
	follows *ring.Info // its services are those whose members it wants to know; nil if there are none
	keys    []string   // the services with keys that it opens
	token   uint64
	status  status

	// What it was told, as epochs.
	sent, acked   uint64 // the latest that was sent, and that it confirmed
	successor     uint64 // when its successors last changed
	resumed       bool   // it came back from an earlier registry
	recoveries    Recoveries
	resumedEpoch  uint64 // the latest that it knew when it came back to a new registry
	resumedLayout ring.Layout
	needsManifest bool // its view is unknown: tell it everything
	owedServices  bool // it has asked for services before there was a list
	sampled       bool // its list may be a sample: the ring was large with its latest manifest, or since
	stalled       bool // it did not confirm in time; left out until it does
	announced     bool
	confirms      bool // it confirms lists, see Listed
	hasList       bool
	listEpoch     uint64    // its list is of this epoch or a later one, if it has one
	manifestEpoch uint64    // of the latest manifest that was sent
	manifestList  uint64    // the list epoch of that manifest
	routable      bool      // during announceable: all tables lead to it
	introView     ring.View // the table of its introduction, until it is active
	detours       []control.Detour
	hold          []ring.Peer
	lastHops      []ring.Peer // stubs to which it is the last hop, as it was told
	stub          *stub       // set while it is a stub
	record        record      // of accusations against it

	// How long it may be silent.
	pace     int           // see MaxBeats; 0 before its first heartbeat
	asked    int           // the pace that it was told last
	granted  int           // the slowest pace that it was told and may still follow
	lateness time.Duration // added to its timeout, see RanLate

	// Whether others wait for it, see [StuckLeases].
	owesBy    deadline // by then it makes progress; zero if it has confirmed all
	owesEpoch uint64   // what it must confirm by then
	owing     bool     // in Authority.owing
	noWay     *cut     // set while it is in Authority.cut
	leftOut   string   // why nothing waits for it, empty if it counts
	leftOutAt Time

	suspicion *suspicion // set while it is a suspect
	displaced bool       // another member took its address
	until     deadline   // of a leaving member: by then it is released

	// On its way out, see unlist.go.
	unlisting  bool     // it is about to leave
	unlistedAt uint64   // the lists from this epoch on do not have it as one that serves
	unlistBy   deadline // by then it is told so
}

// mayBeKnown says whether other members may know this one, so that they must hear of its
// end. They may if it was announced, or has had a table and may have sent.
func (m *member) mayBeKnown() bool { return m.announced || m.sent > 0 }
