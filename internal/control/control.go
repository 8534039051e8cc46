// Package control is the conversation between a node and its registry: the
// messages, and a connection that carries them encoded by the codec on which the
// two agreed.
//
// Times are in milliseconds and IDs are integers, so that every codec can carry
// them. PROTOCOL.md says who sends what when.
package control

import (
	"math"

	"github.com/x/ringdht/internal/wire"
)

// Int is a number of a message as an int, cut to what that holds. Messages have no int:
// what a member of 64 bits sends, one of 32 bits must be able to read.
func Int(n int64) int { return int(max(math.MinInt, min(n, math.MaxInt))) }

// The control frames, in the order in which a node meets them. N marks those a
// node sends, R those the registry sends.
const (
	TypeRegister     = wire.FirstControl + iota // N first
	TypeRegistered                              // R the answer
	TypeRefused                                 // R or this one; also answers Deregister
	TypeDeregister                              // N
	TypeDeregistered                            // R its peers have let go of it
	TypeManifest                                // R all that a node is to know
	TypeLinked                                  // N what it was told is in use
	TypeReady                                   // R everybody's tables lead to this node
	TypeBeat                                    // N every third of a lease, or every so many
	TypeBeatAnswer                              // R
	TypeTask                                    // R a traffic run starts
	TypeFinished                                // N its flush returned
	TypeCollect                                 // R everybody has finished: report, start from zero
	TypeSummary                                 // N
	TypeExplain                                 // R the sums are off, or somebody died: between whom?
	TypePairs                                   // N
	TypeTrace                                   // R
	TypeTraced                                  // N
	TypeBye                                     // R it is closing
	TypeUpdate                                  // R what has changed for one node
	TypeAnnounce                                // R who has come and gone, to all
	TypeTrouble                                 // N a link cannot be had, or can again
	TypePing                                    // R answer with a Beat, at once
)

// Register asks for admission.
type Register struct {
	Addr    string `json:"addr"`    // where peers can dial the node
	Other   bool   `json:"other"`   // Addr is deliberately not where the connection comes from
	Traffic bool   `json:"traffic"` // the program takes part in traffic runs
	Token   uint64 `json:"token"`   // what the node answers to a probe
	Seen    uint64 `json:"seen"`    // the greatest life of any node that it knows of, see MaxLife
	Want    bool   `json:"want"`    // it asks for the ID
	ID      uint64 `json:"id"`

	// A member whose connection ended goes on with its life: the registry has lost
	// sight of it, or is a new one that has to learn of it. 0 for a new life.
	Life  uint64 `json:"life"`
	Epoch uint64 `json:"epoch"` // of what it was told last, 0 for nothing
	Size  int64  `json:"size"`  // the entries asked for at the set-up, 0 for ceil(log2) of the members
	Plan  Plan   `json:"plan"`  // of the tables
	Ready bool   `json:"ready"` // it was told that everybody's tables lead to it
	Run   uint64 `json:"run"`   // the latest traffic run that it knows of
	Over  []Over `json:"over"`  // lives that it was told are over, the latest few
	Every int64  `json:"every"` // see Beat
}

// MaxLife is the greatest life that a node tells of, and that a registry is told of without
// proof: one greater than that, which comes from a clock in the year 2189 or from nowhere,
// is not counted on from. So there are always lives left above.
const MaxLife = 3 << 61

// Registered admits a node and states what holds for the whole ring.
type Registered struct {
	ID         uint64 `json:"id"`
	Life       uint64 `json:"life"` // incarnation
	Members    int64  `json:"members"`
	Bits       int64  `json:"bits"`
	MaxPayload int64  `json:"max_payload"` // bytes
	HopLimit   int64  `json:"hop_limit"`
	Lease      int64  `json:"lease_ms"`
	Epoch      uint64 `json:"epoch"`
}

// Code tells refusals apart for programs.
type Code uint8

// The reasons for a refusal.
const (
	CodeFull        Code = 1 // no free ID
	CodeAddrTaken   Code = 2
	CodeHost        Code = 3  // advertised another host than the connection comes from
	CodeUnreachable Code = 4  // nobody, or somebody else, answers at the address
	CodeNotMember   Code = 5  // deregistered already, or never registered
	CodeNotYours    Code = 6  // another node's ID
	CodeProtocol    Code = 7  // a message that makes no sense now
	CodeEvicted     Code = 8  // this life was declared dead: join again, as a new one
	CodeIDTaken     Code = 9  // the ID asked for is another's
	CodeWait        Code = 10 // it cannot be told yet: ask again
)

// Refused says no.
type Refused struct {
	Code   Code   `json:"code"`
	Reason string `json:"reason"`
}

// Deregister asks to leave. ID and Addr say who is meant.
type Deregister struct {
	ID   uint64 `json:"id"`
	Addr string `json:"addr"`
}

// Deregistered confirms it.
type Deregistered struct {
	ID uint64 `json:"id"`
}

// Peer is a member that can be dialled.
type Peer struct {
	ID   uint64 `json:"id"`
	Life uint64 `json:"life"`
	Addr string `json:"addr"`
}

// Ref is one life of a node.
type Ref struct {
	ID   uint64 `json:"id"`
	Life uint64 `json:"life"`
}

// MaxOver is how many of those a member reports, and a registry listens to.
const MaxOver = 64

// Over is a life that was declared dead, and the epoch in which that was said: a life
// that has heard of a later one was taken back since.
type Over struct {
	ID    uint64 `json:"id"`
	Life  uint64 `json:"life"`
	Epoch uint64 `json:"epoch"`
}

// Plan says by which rule a ring's tables are made. It makes no difference to nodes.
type Plan int64

const (
	Classic    Plan = iota // entry i is 2^i positions ahead
	FewestHops             // offsets that were looked for
)

// Manifest is a node's view of the ring, all of it.
type Manifest struct {
	Epoch      uint64   `json:"epoch"`
	Life       uint64   `json:"life"` // the latest that was admitted, of any member
	Size       int64    `json:"size"` // the entries asked for at the set-up, 0 for ceil(log2) of the members
	Plan       Plan     `json:"plan"` // of the tables, for a registry to come
	Members    int64    `json:"members"`
	Entries    []Peer   `json:"entries"`    // clockwise
	Successors []Peer   `json:"successors"` // clockwise, the first is the first entry
	Detours    []Detour `json:"detours"`
	Hold       []Peer   `json:"hold"`   // links to keep besides, for others' detours
	Others     []uint64 `json:"others"` // the other members, or a sample of [MaxOthers]
	Idle       []uint64 `json:"idle"`   // of them, those that take no part in traffic runs
}

// MaxOthers is how many members a manifest or an announcement lists at most. Without a
// limit they would grow with the square of the nodes, and so would what the nodes
// remember. A member that is not on a node's list costs it one wait, at its first
// message there; nothing else depends on the list.
const MaxOthers = 1024

// Detour says by way of whom a successor is reached that the node cannot dial.
type Detour struct {
	To   uint64 `json:"to"`
	ID   uint64 `json:"id"` // of the node that has a link to it
	Life uint64 `json:"life"`
	Addr string `json:"addr"`
}

// Slot is one entry of a table.
type Slot struct {
	At   int64  `json:"at"`
	ID   uint64 `json:"id"`
	Life uint64 `json:"life"`
	Addr string `json:"addr"`
}

// Update changes a node's view. Lists that it replaces come with a flag, because
// not every codec tells an empty list from none.
type Update struct {
	Epoch         uint64   `json:"epoch"`
	Members       int64    `json:"members"`
	Entries       int64    `json:"entries"` // that the table has from now on
	Slots         []Slot   `json:"slots"`   // those that changed
	NewSuccessors bool     `json:"new_successors"`
	Successors    []Peer   `json:"successors"`
	NewDetours    bool     `json:"new_detours"`
	Detours       []Detour `json:"detours"`
	Hold          []Peer   `json:"hold"` // replaced together with the detours
	Gone          []Ref    `json:"gone"` // lives that are over, of whom this node had a link to or from
}

// Announce tells everybody who can be sent to, and who cannot any more. Of many
// newcomers it lists a sample of [MaxOthers], not the same for all; of those that are gone
// all.
type Announce struct {
	Epoch   uint64   `json:"epoch"` // the ring's, which need not concern this node
	Members int64    `json:"members"`
	Added   []uint64 `json:"added"`
	Lives   []uint64 `json:"lives"` // theirs, in the same order: every earlier one is over
	Idle    []uint64 `json:"idle"`  // of them, those that take no part in traffic runs
	Left    []Ref    `json:"left"`  // in good order: streams to them end, those from them are forgotten
	Gone    []Ref    `json:"gone"`  // dead: nothing is taken from them or sent to them any more
}

// Linked says that what was told with an epoch, and all before, is in use. Error
// says which links could not be had.
type Linked struct {
	Epoch uint64 `json:"epoch"`
	Error string `json:"error"`
}

// Trouble says that a node cannot reach a peer that it should have a link to, or,
// with an empty error, that it can again.
type Trouble struct {
	ID    uint64 `json:"id"`
	Life  uint64 `json:"life"`
	Error string `json:"error"`
}

// Ping asks for a Beat.
type Ping struct{}

// Ready says that everybody's tables lead to the node that gets it.
type Ready struct {
	Epoch uint64 `json:"epoch"`
}

// Beat says that the node lives, how far its run is, and, if anything of it is new since
// the last beat over the same connection, how the node is.
type Beat struct {
	Every    int64    `json:"every"` // the pace that the node goes by, see BeatAnswer
	Sent     int64    `json:"sent"`
	Received int64    `json:"received"`
	Late     int64    `json:"late_ms"` // since the last beat, how long the node should have run and did not
	Status   []Status `json:"status"`  // one, or none
}

// Status is how a node is. Numbers stand in rows without names, of which zeros at the end
// are left out: with names, a registry would spend more on reading them than on all
// else.
type Status struct {
	Epoch    uint64   `json:"epoch"` // of the table in use
	Members  int64    `json:"members"`
	Counters []int64  `json:"counters"` // see PROTOCOL.md
	Hops     []int64  `json:"hops"`     // messages delivered, by links crossed
	Latency  []int64  `json:"latency"`  // deliveries that took up to 1, 2, 4 ... microseconds
	Took     int64    `json:"took"`     // all of these together, in nanoseconds
	Links    []uint64 `json:"links"`    // of each entry of the table: its ID, 1 if the link is up, bytes, bytes queued
	Streams  []int64  `json:"streams"`
	Limits   []int64  `json:"limits"`
}

// BeatAnswer says that the registry lives, and how often it wants to hear that the node
// does: every so many thirds of the lease, and each may take the other for dead after so
// many leases. It is 1 but in large rings, see membership.MaxBeats.
type BeatAnswer struct {
	Every int64 `json:"every"`
}

// Task starts a run.
type Task struct {
	Run      uint64 `json:"run"`
	Messages int64  `json:"messages"`
	Payload  int64  `json:"payload"` // bytes, 4 or more
}

// Finished says that every message of the run was delivered, or why not.
type Finished struct {
	Run   uint64 `json:"run"`
	Error string `json:"error"`
}

// Collect asks for the summary of a run.
type Collect struct {
	Run uint64 `json:"run"`
}

// Summary is one node's part in a run.
type Summary struct {
	Run         uint64 `json:"run"`
	Sent        int64  `json:"sent"`
	Received    int64  `json:"received"`
	Relayed     int64  `json:"relayed"`
	Wasted      int64  `json:"wasted"` // relays of frames that ended here and were not handed over
	SumSent     int64  `json:"sum_sent"`
	SumReceived int64  `json:"sum_received"`
	Unknown     int64  `json:"unknown"` // of the sent, those of unknown outcome
	SumUnknown  int64  `json:"sum_unknown"`
	Hops        int64  `json:"hops"` // of the received, added up
	MaxHops     int64  `json:"max_hops"`
}

// Explain asks for the pairs of the run that was collected last.
type Explain struct {
	Run uint64 `json:"run"`
}

// Pair counts what went to, or came from, one other node.
type Pair struct {
	ID  uint64 `json:"id"`
	N   int64  `json:"n"`
	Sum int64  `json:"sum"`
	// Of those sent, the ones of unknown outcome.
	Unknown    int64 `json:"unknown"`
	SumUnknown int64 `json:"sum_unknown"`
}

// Pairs is one node's part in a run, by the node at the other end.
type Pairs struct {
	Run      uint64 `json:"run"`
	Sent     []Pair `json:"sent"`
	Received []Pair `json:"received"`
}

// Trace asks a node to trace the route to another.
type Trace struct {
	Ask uint64 `json:"ask"`
	To  uint64 `json:"to"`
}

// Hop is one answer on a route.
type Hop struct {
	ID      uint64 `json:"id"`
	Elapsed int64  `json:"elapsed_ns"`
}

// Traced is the node's answer.
type Traced struct {
	Ask   uint64 `json:"ask"`
	Hops  []Hop  `json:"hops"`
	Error string `json:"error"`
	// NoSuchNode tells the one error apart that programs act on.
	NoSuchNode bool `json:"no_such_node"`
}

// Bye is the registry's last word.
type Bye struct {
	Reason string `json:"reason"`
}
