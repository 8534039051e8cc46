package status

import (
	"fmt"
	"strings"
	"time"
)

// Snapshot is a ring as its registry knows it, all of it read at one moment. The caller may
// keep it and must not change it, since snapshots share parts.
//
// What nodes show of themselves is as old as their latest heartbeat, see [Member].
type Snapshot struct {
	Time time.Time `json:"time"`
	Ring string    `json:"ring"` // its name
	// Identity is that of the ring, which no other ring has: 32 hexadecimal digits. It is empty
	// before there is a ring.
	Identity string `json:"identity"`
	// OtherRings are members of other rings of this name, at most 256, that want to come back to
	// this registry: two registries are in use. They are refused, see ringdht.ErrOtherRing.
	OtherRings []OtherRing   `json:"other_rings"`
	Bits       int           `json:"bits"` // IDs are below 2^Bits
	Lease      time.Duration `json:"lease_ns"`
	Epoch      uint64        `json:"epoch"`   // the version of the membership and the tables
	Live       bool          `json:"live"`    // the overlay was set up
	Plan       string        `json:"plan"`    // of the tables: "classic" or "fewest hops"
	Entries    int           `json:"entries"` // of a full table
	Offsets    []int         `json:"offsets"` // how many positions ahead each entry should be
	// Missing says what the ring waits for, in some lines. It is empty if every member is part
	// of the ring and uses the latest table.
	// LeftOut are members that the ring does not wait for any more: Missing does not name them.
	Missing  []string   `json:"missing"`
	LeftOut  []LeftOut  `json:"left_out"` // by ascending ID
	Members  []Member   `json:"members"`  // by ascending ID
	Degraded []Degraded `json:"degraded"`
	// Sidelined are the members that the others are led around, since they pass nothing on.
	Sidelined []Sidelined `json:"sidelined"`
	// Gone are the latest members that have died or left during the last GoneFor, at most
	// MaxGone, the oldest first. A member with the same ID ends that.
	Gone []Gone `json:"gone"`
	// Total, Hops and Latency are sums over all members, including the last figures of
	// members that are gone, but not their gauges.
	Total   Counters  `json:"total"`
	Hops    []int64   `json:"hops"`
	Latency Histogram `json:"latency"`
	Running *Running  `json:"running"` // the traffic run under way, or nil
	// Runs are the latest traffic runs that have ended, at most MaxRuns, the oldest first.
	// Last is the account of the latest, or nil.
	Runs []Run    `json:"runs"`
	Last *Summary `json:"last"`
	// Verdicts counts all runs that have ended by their verdict: exact, balanced, stopped or
	// WRONG.
	Verdicts map[string]int64 `json:"verdicts"`
	// Events are the latest events, at most MaxEvents, the oldest first.
	Events []Event `json:"events"`
	// Happened counts all events since the registry was made.
	Happened map[EventKind]int64 `json:"happened"`
	// History are the latest steps, at most MaxHistory, the oldest first and without gaps.
	History []Step `json:"history"`
	// Keys are the services with keys, by name; nil, and absent in JSON, if there are none.
	Keys []KeyService `json:"keys,omitempty"`
	// Security is nil in an open ring.
	Security *Security `json:"security,omitempty"`
}

// LeftOut is a member that nothing waits for: it sends heartbeats, and has made no progress for
// [StuckLeases] leases. The ring counts as settled without it, traffic runs give it no task, and
// newcomers do not wait for it. It is still a member, and counts again as soon as it makes progress.
type LeftOut struct {
	Node        Peer      `json:"node"`
	Incarnation uint64    `json:"incarnation"`
	Since       time.Time `json:"since"`
	Why         string    `json:"why"`
}

// String returns "node 5 (address): why".
func (l LeftOut) String() string { return fmt.Sprintf("node %v: %s", l.Node, l.Why) }

// StuckLeases is how many leases a member may make no progress before it is left out. A lease is
// longer in a large ring, see ringdht.WithLease. In a settled ring progress is that a member confirms
// its table; in a traffic run it is a message of the run, or a heartbeat whose figures have changed.
const StuckLeases = 10

// LeftOutError is the error of a wait that has ended without some members: all others are as the
// wait has it.
type LeftOutError struct{ Members []LeftOut }

func (e *LeftOutError) Error() string {
	texts := make([]string, 0, 3)
	for i, m := range e.Members {
		if i == cap(texts) {
			texts = append(texts, fmt.Sprintf("and %d more", len(e.Members)-i))
			break
		}
		texts = append(texts, m.String())
	}
	return "settled without " + strings.Join(texts, "; ")
}

// OtherRing is a member of another ring of the same name.
type OtherRing struct {
	Node        Peer      `json:"node"` // what it was there
	Incarnation uint64    `json:"incarnation"`
	Identity    string    `json:"identity"` // of its ring
	Since       time.Time `json:"since"`    // when it came first
	Heard       time.Time `json:"heard"`    // when it came last
}

// Member is a member as its registry knows it.
type Member struct {
	Node
	State  State     `json:"state"`
	Joined time.Time `json:"joined"` // when this registry took it in
	Heard  time.Time `json:"heard"`  // its latest heartbeat; zero before the first
	// Entries are the entries of its routing table as handed out, clockwise. Links, which the
	// node has reported, may lag behind.
	Entries []ID `json:"entries"`
	// Admission is that of a member of a secure ring, and nil in an open one.
	Admission *Admission `json:"admission,omitempty"`
}

// State is the state of a member.
type State string

const (
	StateRegistered State = "registered" // admitted, and in no table yet
	StateLinking    State = "linking"    // it has a table and opens its links
	StateActive     State = "active"     // part of the ring
	StateSuspect    State = "suspect"    // its connection to the registry has ended; it has a lease to come back, or some in a large ring
	StateStuck      State = "stuck"      // it makes no progress and nothing waits for it, see LeftOut
	StateLeaving    State = "leaving"    // it has asked to leave, and others remove it from their tables
	StateDead       State = "dead"       // only of Snapshot.Gone: it was declared dead
	StateLeft       State = "left"       // only of Snapshot.Gone: it left in good order
)

// Running is a traffic run under way.
type Running struct {
	Number   uint64    `json:"number"` // from 1
	Started  time.Time `json:"started"`
	Messages int       `json:"messages"` // sent by each node that takes part
	Payload  int       `json:"payload"`  // bytes of a message
	Sent     int64     `json:"sent"`     // by all nodes, as of their latest heartbeats
	Received int64     `json:"received"` // likewise
	Total    int64     `json:"total"`    // messages that all nodes were asked to send
	Stopping bool      `json:"stopping"` // the run was stopped, and what was sent is being delivered and counted
}

// Run is the outcome of a traffic run that has ended. [Summary] is the whole account.
type Run struct {
	Number   uint64        `json:"number"` // from 1
	Started  time.Time     `json:"started"`
	Messages int           `json:"messages"`   // asked of each node that takes part
	Payload  int           `json:"payload"`    // bytes of a message
	Sent     int64         `json:"sent"`       // by all nodes
	Received int64         `json:"received"`   // likewise
	Elapsed  time.Duration `json:"elapsed_ns"` // see Summary.Elapsed
	Rate     float64       `json:"rate"`       // messages delivered per second
	MeanHops float64       `json:"mean_hops"`
	MaxHops  int           `json:"max_hops"`
	Stopped  bool          `json:"stopped"` // see Summary.Stopped
	Exact    bool          `json:"exact"`   // see Summary.Exact
	Verdict  string        `json:"verdict"` // see Summary.Verdict
}

// The bounds of what a registry remembers.
const (
	MaxRuns   = 32  // of Snapshot.Runs
	MaxEvents = 512 // of Snapshot.Events
)

// Event is something that happened in the ring.
type Event struct {
	Seq         uint64    `json:"seq"` // from 1, without gaps, for each registry
	Time        time.Time `json:"time"`
	Kind        EventKind `json:"kind"`
	Epoch       uint64    `json:"epoch"`          // of the ring at that time
	Node        Peer      `json:"node"`           // the node that it is about; zero if Incarnation is 0
	Name        string    `json:"name,omitempty"` // of Node, if it has one
	Incarnation uint64    `json:"incarnation"`    // of Node; 0 if the event is about no node
	Other       Peer      `json:"other"`          // the node that Node cannot reach, or can reach again
	Why         string    `json:"why"`            // the reason or the details, for people; may be empty
}

// EventKind is the kind of an [Event].
type EventKind string

const (
	EventJoined    EventKind = "joined"       // a node was admitted
	EventReady     EventKind = "ready"        // all tables lead to it
	EventLeft      EventKind = "left"         // it left in good order
	EventDead      EventKind = "dead"         // it was declared dead
	EventSuspect   EventKind = "suspect"      // its connection to the registry has ended
	EventBack      EventKind = "back"         // it has connected again
	EventDegraded  EventKind = "degraded"     // it cannot reach Other: messages take a detour
	EventHealed    EventKind = "healed"       // it can reach Other again
	EventLeftOut   EventKind = "left out"     // it makes no progress, and nothing waits for it any more
	EventCounts    EventKind = "counts again" // it makes progress again
	EventLedAround EventKind = "led around"   // it passes nothing on, or not all: routes lead around it now
	EventRelays    EventKind = "relays"       // routes lead through it again
	EventRebuilt   EventKind = "rebuilt"      // the members of an earlier registry are back, or their time is over
	EventOtherRing EventKind = "other ring"   // a member of another ring of this name wants to come back, and is refused
	EventState     EventKind = "state"        // what the registry keeps on disk cannot be written, or can again
	EventSetup     EventKind = "set up"       // the overlay was set up, with new tables; or the first member has made it live
	EventRun       EventKind = "run started"  // a traffic run
	EventRunEnded  EventKind = "run ended"    // Why is the verdict
	EventExpelled  EventKind = "expelled"     // the operator has expelled a node of a secure ring
	EventRefused   EventKind = "refused"      // a stranger to a secure ring, see Security.Strangers
	EventSecurity  EventKind = "security"     // a token or the key of a secure ring has changed
)

// Sidelined is a member that other members' routes lead around: streams that it should relay stood
// still, and went on without it. It sends and receives as before. In a ring with security, expel it;
// in another, stop its process. A new incarnation begins without a record.
type Sidelined struct {
	Node        Peer      `json:"node"`
	Incarnation uint64    `json:"incarnation"`
	Since       time.Time `json:"since"`
	Trial       bool      `json:"trial"` // the registry tries out whether the streams go on without it
	Pairs       int       `json:"pairs"` // streams that stood still
	Why         string    `json:"why"`
}

// Degraded is a pair of members of which the first cannot reach the second. Messages from
// the first to the second take a detour, or nothing comes through: Why says which.
type Degraded struct {
	From Peer   `json:"from"`
	To   Peer   `json:"to"`
	Why  string `json:"why"` // what From told of its latest attempt
}
