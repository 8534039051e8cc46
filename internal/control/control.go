// Package control is the conversation between a node and its registry: the
// messages, and a connection that carries them encoded by the codec on which the
// two agreed.
//
// Times are in milliseconds and IDs are integers, so that every codec can carry
// them. PROTOCOL.md says who sends what when.
package control

import "github.com/x/ringdht/internal/wire"

// The control frames, in the order in which a node meets them. N marks those a
// node sends, R those the registry sends.
const (
	TypeRegister     = wire.FirstControl + iota // N first
	TypeRegistered                              // R the answer
	TypeRefused                                 // R or this one; also answers Deregister
	TypeDeregister                              // N
	TypeDeregistered                            // R
	TypeManifest                                // R at every set-up
	TypeLinked                                  // N its links are up, or which is not
	TypeReady                                   // R everybody's links are up
	TypeBeat                                    // N every third of a lease
	TypeBeatAnswer                              // R
	TypeTask                                    // R a traffic run starts
	TypeFinished                                // N its flush returned
	TypeCollect                                 // R everybody has finished, or somebody died: stop, report, start from zero
	TypeSummary                                 // N
	TypeExplain                                 // R the sums are off: between whom?
	TypePairs                                   // N
	TypeTrace                                   // R
	TypeTraced                                  // N
	TypeBye                                     // R it is closing
)

// Register asks for admission.
type Register struct {
	Addr    string `json:"addr"`    // where peers can dial the node
	Other   bool   `json:"other"`   // Addr is deliberately not where the connection comes from
	Traffic bool   `json:"traffic"` // the program takes part in traffic runs
	Token   uint64 `json:"token"`   // what the node answers to a probe
}

// Registered admits a node and states what holds for the whole ring.
type Registered struct {
	ID         uint64 `json:"id"`
	Life       uint64 `json:"life"` // incarnation
	Members    int    `json:"members"`
	Bits       int    `json:"bits"`
	MaxPayload int    `json:"max_payload"` // bytes
	HopLimit   int    `json:"hop_limit"`
	Lease      int64  `json:"lease_ms"`
	Epoch      uint64 `json:"epoch"`
}

// Code tells refusals apart for programs.
type Code uint8

// The reasons for a refusal.
const (
	CodeFull        Code = 1 // no free ID
	CodeAddrTaken   Code = 2
	CodeHost        Code = 3 // advertised another host than the connection comes from
	CodeUnreachable Code = 4 // nobody, or somebody else, answers at the address
	CodeNotMember   Code = 5 // deregistered already, or never registered
	CodeNotYours    Code = 6 // another node's ID
	CodeProtocol    Code = 7 // a message that makes no sense now
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

// Manifest is a node's view of the ring.
type Manifest struct {
	Epoch      uint64   `json:"epoch"`
	Members    int      `json:"members"`
	Entries    []Peer   `json:"entries"`    // clockwise
	Successors []Peer   `json:"successors"` // clockwise, the first is the first entry
	Others     []uint64 `json:"others"`     // the other members, or a sample of [MaxOthers]
	Idle       []uint64 `json:"idle"`       // of them, those that take no part in traffic runs
}

// MaxOthers is how many members a manifest lists at most. Without a limit the
// manifests of a ring would grow with the square of its nodes.
const MaxOthers = 4096

// Linked reports on the links of an epoch; Error is empty when all are up.
type Linked struct {
	Epoch uint64 `json:"epoch"`
	Error string `json:"error"`
}

// Ready says that every node's links of the epoch are up.
type Ready struct {
	Epoch uint64 `json:"epoch"`
}

// Beat says that the node lives, and how far its run is.
type Beat struct {
	Sent     int64 `json:"sent"`
	Received int64 `json:"received"`
}

// BeatAnswer says that the registry lives.
type BeatAnswer struct{}

// Task starts a run.
type Task struct {
	Run      uint64 `json:"run"`
	Messages int    `json:"messages"`
	Payload  int    `json:"payload"` // bytes, 4 or more
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
	SumSent     int64  `json:"sum_sent"`
	SumReceived int64  `json:"sum_received"`
	Hops        int64  `json:"hops"` // of the received, added up
	MaxHops     int    `json:"max_hops"`
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
