// Package control has the messages between a node and its registry, and a connection that
// carries them in the codec that the two agreed on.
//
// Times are in milliseconds and IDs are integers, so that every codec can carry them. For
// the same reason no message embeds a struct: not every codec makes one flat list of fields
// from it. PROTOCOL.md says which side sends which message when.
package control

import (
	"math"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// Int converts a number of a message to an int, cut to the range of int. Messages have no
// int fields: a machine of 32 bits must be able to read what one of 64 bits sends.
func Int(n int64) int { return int(max(math.MinInt, min(n, math.MaxInt))) }

// The types of the control frames. N marks those that a node sends, R those that the
// registry sends.
const (
	TypeRegister     = wire.FirstControl + iota // N the first message
	TypeRegistered                              // R the answer: admitted
	TypeRefused                                 // R the answer: not admitted; also to Deregister
	TypeDeregister                              // N
	TypeDeregistered                            // R all members have dropped their links to it
	TypeManifest                                // R all that a node must know
	TypeLinked                                  // N it uses what it was told
	TypeReady                                   // R all tables lead to this node
	TypeBeat                                    // N a heartbeat, every so many thirds of a lease
	TypeBeatAnswer                              // R
	TypeTask                                    // R a traffic run starts, or stops
	TypeFinished                                // N its flush has returned
	TypeCollect                                 // R all have finished: report, and count from zero
	TypeSummary                                 // N
	TypeExplain                                 // R the sums differ, or a member died: report each pair
	TypePairs                                   // N
	TypeTrace                                   // R
	TypeTraced                                  // N
	TypeBye                                     // R the registry closes
	TypeUpdate                                  // R what changed for one node
	TypeAnnounce                                // R to all members: which nodes came and went
	TypeTrouble                                 // N it cannot open a link, or can again
	TypePing                                    // R answer with a Beat at once
	TypeAdmission                               // R a new admission for the one that it has
	TypeTrust                                   // R the ring's keys, and the revoked ones
	TypeViolation                               // N and R the other side broke a rule, see Accuse
	TypeStuck                                   // N nothing comes through to a sink, or it does again

	nextType // the first that is unknown
)

// Register asks for admission, or to go on with an incarnation.
type Register struct {
	Addr    string `json:"addr"`    // where peers can dial the node
	Other   bool   `json:"other"`   // Addr is deliberately another host than the connection comes from, or a name
	Traffic bool   `json:"traffic"` // the program takes part in traffic runs
	Token   uint64 `json:"token"`   // the node's answer to a probe
	Seen    uint64 `json:"seen"`    // the greatest incarnation of any node that it knows of, see MaxIncarnation
	Want    bool   `json:"want"`    // it asks for ID
	ID      uint64 `json:"id"`
	Proof   string `json:"proof"` // of a secure ring's secret, see secure.JoinProof and secure.Text; empty if it has an admission

	// For a member whose connection ended, and which goes on with its incarnation: the
	// registry suspects it, or is a new one that does not know it. 0 for a new incarnation.
	Incarnation uint64 `json:"inc"`
	Identity    string `json:"identity"`   // of its ring, empty if it has no table
	Epoch       uint64 `json:"epoch"`      // the latest that it was told, 0 for none
	Size        int64  `json:"size"`       // the entries that the set-up asked for, 0 for ceil(log2) of the members
	Plan        Plan   `json:"plan"`       // of the tables
	Ready       bool   `json:"ready"`      // it was told that all tables lead to it
	Run         uint64 `json:"run"`        // the latest traffic run that it knows of
	Over        []Over `json:"over"`       // the latest incarnations that it was told are over
	Every       int64  `json:"every"`      // see Beat
	ListEpoch   uint64 `json:"list_epoch"` // see Announce

	// What the node says of itself, see [CheckInfo]. It is fixed for an incarnation.
	Name     string     `json:"name"`
	Tags     []ring.Tag `json:"tags"`
	Services []string   `json:"services"`
	Uses     []string   `json:"uses"` // services of which it wants to know the members, see [Follow]

	Confirms bool `json:"confirms"` // it answers an Announce with Leaving
	Leaving  bool `json:"leaving"`  // as the message Leaving right behind this

	Keys []string `json:"keys,omitempty"` // the services with keys that it opens, see [Note]
	// For a member with Keys: which recoveries it was part of. Each is 0 for none.
	Recovery uint64   `json:"recovery,omitempty"`  // as in its last Manifest that had one
	ToldBy   uint64   `json:"told_by,omitempty"`   // the Registry that sent that Manifest
	BackWith []uint64 `json:"back_with,omitempty"` // each Registry that has taken it back since, or has admitted it; at most MaxBackWith
}

// MaxIncarnation is the greatest incarnation that a node reports, and that a registry believes.
// The registry does not count on from a greater one, which comes from a clock in the year
// 2189 or from an error. So there are always greater ones left.
const MaxIncarnation = 3 << 61

// Registered admits a node, and states the parameters of the ring.
type Registered struct {
	ID          uint64 `json:"id"`
	Incarnation uint64 `json:"inc"`
	Members     int64  `json:"members"`
	Bits        int64  `json:"bits"`
	MaxPayload  int64  `json:"max_payload"` // bytes
	HopLimit    int64  `json:"hop_limit"`
	Lease       int64  `json:"lease_ms"`
	Identity    string `json:"identity"` // of the ring, empty before it is set up
	Epoch       uint64 `json:"epoch"`
	Admission   string `json:"admission"`          // of a secure ring: see secure.Admission and secure.Text
	Time        int64  `json:"time_ms"`            // the registry's, in milliseconds since 1970
	Unlists     bool   `json:"unlists"`            // it answers Leaving
	Notes       bool   `json:"notes,omitempty"`    // to a node with Keys: it takes a Note
	Registry    uint64 `json:"registry,omitempty"` // to a node with Keys: the registry's own number
}

// Code is the reason for a refusal.
type Code uint8

// The reasons for a refusal.
const (
	CodeFull        Code = 1 // no free ID
	CodeAddrTaken   Code = 2
	CodeHost        Code = 3  // advertised another host than the connection comes from
	CodeUnreachable Code = 4  // the node does not answer at its address, or another process does
	CodeNotMember   Code = 5  // deregistered already, or never registered
	CodeNotYours    Code = 6  // the ID is another node's
	CodeProtocol    Code = 7  // the message makes no sense now
	CodeEvicted     Code = 8  // this incarnation was declared dead: join again as a new one
	CodeIDTaken     Code = 9  // another member has the ID asked for
	CodeWait        Code = 10 // the answer is not known yet: ask again
	CodeOtherRing   Code = 11 // the registry has another ring than the node
	CodeCredentials Code = 12 // of a secure ring: no valid admission, and no valid proof of a secret
	CodeExpelled    Code = 13 // of a secure ring: the operator has expelled the node
	CodeNameTaken   Code = 14 // another member has the name
)

// Refused is the negative answer to Register or Deregister.
type Refused struct {
	Code   Code   `json:"code"`
	Reason string `json:"reason"`
}

// Deregister asks to leave. ID and Addr name the node.
type Deregister struct {
	ID   uint64 `json:"id"`
	Addr string `json:"addr"`
}

// Deregistered confirms a Deregister.
type Deregistered struct {
	ID uint64 `json:"id"`
}

// MaxBackWith is how many registries a member names in BackWith: the latest.
const MaxBackWith = 16

// MaxOver is how many Over a member reports, and a registry reads.
const MaxOver = 64

// Over is an incarnation that was declared dead, and the epoch in which that was
// announced. An incarnation that was told of a later epoch was taken back since.
type Over struct {
	ID          uint64 `json:"id"`
	Incarnation uint64 `json:"inc"`
	Epoch       uint64 `json:"epoch"`
	Signature   string `json:"sig"` // of a secure ring: see secure.Gone and secure.Text
}

// Ref names the incarnation that is over.
func (o Over) Ref() ring.Ref { return ring.Ref{ID: o.ID, Incarnation: o.Incarnation} }

// Plan is the rule for a ring's tables. It makes no difference to nodes.
type Plan int64

const (
	Classic    Plan = iota // entry i is 2^i positions ahead
	FewestHops             // offsets from a search
)

// Manifest is a node's complete view of the ring.
type Manifest struct {
	Identity    string      `json:"identity"` // of the ring
	Epoch       uint64      `json:"epoch"`
	Incarnation uint64      `json:"inc"`  // the latest that the registry has admitted, of any member
	Size        int64       `json:"size"` // the entries that the set-up asked for, 0 for ceil(log2) of the members
	Plan        Plan        `json:"plan"` // of the tables, for a later registry
	Members     int64       `json:"members"`
	Entries     []ring.Peer `json:"entries"`    // clockwise
	Successors  []ring.Peer `json:"successors"` // clockwise, the first is the first entry
	Detours     []Detour    `json:"detours"`
	Hold        []ring.Peer `json:"hold"`   // more links to keep, for detours of other members
	Stubs       []ring.Peer `json:"stubs"`  // clockwise: the stubs before its successor; the node is the last hop to them
	Others      []uint64    `json:"others"` // the other members, or a sample of [MaxOthers]
	Incs        []uint64    `json:"incs"`   // the incarnations of Others, in the same order
	Idle        []uint64    `json:"idle"`   // the Others that take no part in traffic runs
	Names       []string    `json:"names"`  // of Others: these three as in Announce
	ProfileOf   []uint64    `json:"profile_of"`
	Profiles    []Profile   `json:"profiles"`
	ListEpoch   uint64      `json:"list_epoch"`         // of Others, see Announce
	Listed      bool        `json:"listed"`             // the node itself is on that list
	Leaving     []uint64    `json:"leaving"`            // the Others that are about to leave: list them as members that serve nowhere
	Recovery    uint64      `json:"recovery,omitempty"` // to a node with Keys: the number of the registry's recovery, greater than all before
}

// MaxOthers is the most members that a manifest or an announcement lists. Without a limit
// the messages, and the memory of the nodes, would grow with the square of the nodes. A
// node waits once, at its first message to a member that is not on its list. Nothing else
// depends on the list.
const MaxOthers = 1024

// Detour names the waypoint to a successor that the node cannot dial.
type Detour struct {
	To          uint64 `json:"to"`
	ID          uint64 `json:"id"` // of the waypoint, which has a link to To
	Incarnation uint64 `json:"inc"`
	Addr        string `json:"addr"`
}

// Waypoint is the member to send to.
func (d Detour) Waypoint() ring.Peer {
	return ring.Peer{ID: d.ID, Incarnation: d.Incarnation, Addr: d.Addr}
}

// Slot is one entry of a table.
type Slot struct {
	At          int64  `json:"at"`
	ID          uint64 `json:"id"`
	Incarnation uint64 `json:"inc"`
	Addr        string `json:"addr"`
}

// Peer is the member in the entry.
func (s Slot) Peer() ring.Peer { return ring.Peer{ID: s.ID, Incarnation: s.Incarnation, Addr: s.Addr} }

// Update changes a node's view. A list that it replaces comes with a flag, because not
// every codec distinguishes an empty list from none.
type Update struct {
	Epoch         uint64      `json:"epoch"`
	Members       int64       `json:"members"`
	Entries       int64       `json:"entries"` // how many the table has now
	Slots         []Slot      `json:"slots"`   // the entries that changed
	NewSuccessors bool        `json:"new_successors"`
	Successors    []ring.Peer `json:"successors"`
	NewDetours    bool        `json:"new_detours"`
	Detours       []Detour    `json:"detours"`
	Hold          []ring.Peer `json:"hold"` // replaced together with the detours
	NewStubs      bool        `json:"new_stubs"`
	Stubs         []ring.Peer `json:"stubs"`
	Gone          []ring.Ref  `json:"gone"` // incarnations that are over, and to or from which this node had a link
	Signatures    []string    `json:"sigs"` // of a secure ring: that of each in Gone, see secure.Gone
}

// Announce tells all members which nodes can be sent to, and which cannot any more. Of many
// newcomers it lists a sample of [MaxOthers], which differs between members. Of the nodes
// that are gone it lists all.
type Announce struct {
	Epoch        uint64     `json:"epoch"` // the ring's, which need not concern this node
	Members      int64      `json:"members"`
	Added        []uint64   `json:"added"`
	Incarnations []uint64   `json:"incs"`       // incarnations of Added, in the same order: every earlier one is over
	Idle         []uint64   `json:"idle"`       // the Added that take no part in traffic runs
	Names        []string   `json:"names"`      // of Added, in the same order; empty if none has a name
	ProfileOf    []uint64   `json:"profile_of"` // likewise: the place in Profiles, from 1, 0 for none
	Profiles     []Profile  `json:"profiles"`
	Left         []ring.Ref `json:"left"` // left in good order: streams to them end, streams from them are forgotten
	Gone         []ring.Ref `json:"gone"` // dead: take nothing from them, and send nothing to them
	Signatures   []string   `json:"sigs"` // of a secure ring: that of each in Gone, see secure.Gone
	// ListEpoch numbers the lists of members that the announcements lead to: members with the same
	// one have the same list, if it is whole. It is 0 in a message to one member, which does not
	// change that.
	ListEpoch uint64     `json:"list_epoch"`
	Leaving   []ring.Ref `json:"leaving"` // about to leave, and read after Added: answer with Listed
}

// Linked says that the node uses what it was told up to an epoch. Error names the links
// that it could not open.
type Linked struct {
	Epoch uint64 `json:"epoch"`
	Error string `json:"error"`
}

// Trouble says that a node cannot reach a peer to which it should have a link. An empty
// Error says that it can again.
type Trouble struct {
	ID          uint64 `json:"id"`
	Incarnation uint64 `json:"inc"`
	Error       string `json:"error"`
}

// Ref names the peer.
func (t Trouble) Ref() ring.Ref { return ring.Ref{ID: t.ID, Incarnation: t.Incarnation} }

// MaxStuckHops is how many hops of a route a Stuck lists, and a registry reads.
const MaxStuckHops = 64

// Stuck says that a stream from the node makes no progress, and what a trace of its route found.
// Healed takes that back.
type Stuck struct {
	ID       uint64   `json:"id"` // of the sink
	Healed   bool     `json:"healed"`
	Answered []uint64 `json:"answered"`  // the nodes that answered the trace, from the first hop on
	Complete bool     `json:"complete"`  // the sink answered it as well
	Silent   int64    `json:"silent_ms"` // how long nothing has come through
}

// Ping asks for a Beat.
type Ping struct{}

// Ready says that all tables lead to the node that receives it.
type Ready struct {
	Epoch uint64 `json:"epoch"`
}

// Beat is a heartbeat. It says how far the node is in a run, and has the node's status if
// that has changed since the last Beat over the same connection.
type Beat struct {
	Every    int64    `json:"every"` // the pace of the node, see BeatAnswer
	Sent     int64    `json:"sent"`
	Received int64    `json:"received"`
	Late     int64    `json:"late_ms"` // how long the node should have run and did not, since the last Beat
	Status   []Status `json:"status"`  // one, or none
}

// Status is the status of a node. Its numbers stand in rows without names, and zeros at the
// end of a row are left out. With names, a registry would spend more on reading them than
// on everything else.
type Status struct {
	Epoch    uint64   `json:"epoch"` // of the table in use
	Members  int64    `json:"members"`
	Counters []int64  `json:"counters"` // see PROTOCOL.md
	Hops     []int64  `json:"hops"`     // messages delivered, by links crossed
	Latency  []int64  `json:"latency"`  // deliveries that took up to 1, 2, 4 ... microseconds
	Took     int64    `json:"took"`     // the sum of these, in nanoseconds
	Links    []uint64 `json:"links"`    // for each entry of the table: its ID, 1 if the link is up, bytes, bytes queued
	Streams  []int64  `json:"streams"`
	Limits   []int64  `json:"limits"`

	Keys []KeyFigures `json:"keys,omitempty"` // for each service with keys of the node
}

// BeatAnswer answers a Beat. Every is the pace that the registry wants: a Beat every so
// many thirds of a lease, and each side may take the other for dead after so many leases.
// It is 1 except in large rings, see membership.MaxBeats.
type BeatAnswer struct {
	Every int64 `json:"every"`
}

// Task starts a run, or stops it if it has no messages.
type Task struct {
	Run      uint64 `json:"run"`
	Messages int64  `json:"messages"`
	Payload  int64  `json:"payload"` // bytes, 4 or more
}

// Finished says that all messages of the run were delivered, or why not.
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
	Wasted      int64  `json:"wasted"` // relays of frames that ended here and were not delivered
	SumSent     int64  `json:"sum_sent"`
	SumReceived int64  `json:"sum_received"`
	Unknown     int64  `json:"unknown"` // sent messages of unknown outcome
	SumUnknown  int64  `json:"sum_unknown"`
	Hops        int64  `json:"hops"` // the sum over the received messages
	MaxHops     int64  `json:"max_hops"`
}

// Explain asks for the Pairs of the run that was collected last.
type Explain struct {
	Run uint64 `json:"run"`
}

// Pair counts the messages to, or from, one other node.
type Pair struct {
	ID  uint64 `json:"id"`
	N   int64  `json:"n"`
	Sum int64  `json:"sum"`
	// Sent messages of unknown outcome.
	Unknown    int64 `json:"unknown"`
	SumUnknown int64 `json:"sum_unknown"`
}

// Pairs is one node's part in a run, by the node at the other end.
type Pairs struct {
	Run      uint64 `json:"run"`
	Sent     []Pair `json:"sent"`
	Received []Pair `json:"received"`
}

// Bye is the registry's last message.
type Bye struct {
	Reason string `json:"reason"`
}
