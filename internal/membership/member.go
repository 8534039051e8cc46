package membership

import (
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
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

	sent, acked   uint64 // epochs
	successor     uint64 // the epoch in which its successors last changed
	needsManifest bool   // it must be told everything
	stalled       bool   // it did not confirm in time, and is left out until it does
	announced     bool
	routable      bool          // for the time of ripe: everybody's tables lead to it
	resumedEpoch  uint64        // the epoch that it had heard of when it came back to a new registry
	pace          int           // see MaxBeats; 0 before its first beat
	asked         int           // the pace that it was told last
	lateness      time.Duration // what it may be late besides, see HeldUp

	suspicion *suspicion // set while it is out of sight
	displaced bool       // its address is another's

	introView ring.View // what it was told when it was introduced, until it is taken in
	detours   []control.Detour
	hold      []control.Peer

	until deadline // leaving: by then it is let go
}

func (m *member) ref() ring.Ref { return ring.Ref{ID: m.ID, Life: m.Life} }

// known says that others may know the member, so that they must hear of its end: it was
// announced, or it has had a table and may have sent.
func (m *member) mayBeKnown() bool { return m.announced || m.sent > 0 }

func (m *member) peer() control.Peer { return control.Peer{ID: m.ID, Life: m.Life, Addr: m.Addr} }
