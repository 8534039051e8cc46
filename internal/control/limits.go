package control

import (
	"fmt"
	"reflect"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// What a message may cost, before it is believed: its frame by [FrameLimit], its lists by maxLists.

// MaxFirst is the longest frame that a registry takes from a node that has not registered, but for
// Register.
const MaxFirst = 4 << 10

// MaxRegister is the longest Register. One in which the node says nothing of itself is no longer than
// [MaxFirst], which earlier registries take.
const MaxRegister = 8 << 10

// maxReports has the longest frames that a registry takes from a member, by type. Other types have
// [MaxFirst].
var maxReports = map[wire.Type]int{
	TypeRegister: MaxRegister,
	TypeLinked:   8 << 10, // with a text of up to 500 bytes, each of which may be escaped
	TypeTrouble:  8 << 10,
	TypeFinished: 8 << 10,
	TypeBeat:     128 << 10, // with a table of ring.MaxTable entries
	TypeNote:     128 << 10, // with a body of MaxNote bytes
	TypeTraced:   2 << 20,   // with as many hops as an ID space allows
	TypePairs:    2 << 20,   // with two lists of all members of a large ring
}

// MaxReport is the longest frame that a registry takes at all.
const MaxReport = 2 << 20

// FrameLimit is the longest frame of a type that a registry takes from a node.
func FrameLimit(t wire.Type, registered bool) int {
	if most, ok := maxReports[t]; ok && (registered || t == TypeRegister) {
		return most
	}
	return MaxFirst
}

// Limits of lists that no other package has.
const (
	maxRow   = 256     // numbers of a heartbeat: more than there are, for those of later versions
	maxHops  = 1 << 16 // of a trace
	maxPairs = 1 << 16 // the members of a ring that can report pairs
	maxGone  = 1 << 17 // nodes that are gone: as many as fit into a frame
	maxHold  = 4 * ring.MaxTable
)

// maxLists has the most elements of each list in each message: by the type, and by the name of the
// field on the wire.
var maxLists = map[reflect.Type]map[string]int{
	reflect.TypeFor[Register](): {"over": MaxOver, "tags": MaxTags, "services": MaxServices, "uses": MaxServices, "keys": MaxKeys, "back_with": MaxBackWith},
	reflect.TypeFor[Found]():    {"tags": MaxTags, "services": MaxServices},
	reflect.TypeFor[Profile]():  {"tags": MaxTags, "services": MaxServices},
	reflect.TypeFor[Beat]():     {"status": 1},
	reflect.TypeFor[Status](): {
		"counters": maxRow, "hops": 2 * (status.MaxHopCount + 1), "latency": 2 * status.HistogramBuckets,
		"links": 4 * ring.MaxTable, "streams": 16, "limits": 16, "keys": MaxKeys,
	},
	reflect.TypeFor[KeyFigures](): {"figures": maxRow},
	reflect.TypeFor[Traced]():     {"hops": maxHops},
	reflect.TypeFor[Pairs]():      {"sent": maxPairs, "received": maxPairs},
	reflect.TypeFor[Manifest](): {
		"entries": ring.MaxTable, "successors": ring.MaxTable, "detours": ring.MaxTable, "hold": maxHold, "stubs": ring.MaxTable,
		"others": MaxOthers, "incs": MaxOthers, "idle": MaxOthers, "names": MaxOthers, "profile_of": MaxOthers, "profiles": MaxOthers, "leaving": MaxOthers,
	},
	reflect.TypeFor[Update](): {
		"slots": ring.MaxTable, "successors": ring.MaxTable, "detours": ring.MaxTable, "hold": maxHold, "gone": maxGone, "sigs": maxGone, "stubs": ring.MaxTable,
	},
	reflect.TypeFor[Announce](): {
		"added": MaxOthers, "incs": MaxOthers, "idle": MaxOthers, "names": MaxOthers, "profile_of": MaxOthers, "profiles": MaxOthers,
		"left": maxGone, "gone": maxGone, "sigs": maxGone, "leaving": maxGone,
	},
	reflect.TypeFor[Handlers](): {
		"gone": maxGone, "added": MaxOthers, "incs": MaxOthers, "names": MaxOthers, "profile_of": MaxOthers, "profiles": MaxOthers,
	},
	reflect.TypeFor[Follow](): {"services": MaxServices},
	reflect.TypeFor[Stuck]():  {"answered": MaxStuckHops},
	reflect.TypeFor[Trust]():  {"keys": secure.MaxKeys, "revoked": secure.MaxRevoked},
}

// listLimit is how many elements a list may have, or -1 if it has no limit.
func listLimit(in reflect.Type, field string) int {
	if most, ok := maxLists[in][field]; ok {
		return most
	}
	return -1
}

// limitChecker is a codec that checks lists in its data. A program's own codec cannot; there the
// lengths of frames are the bound.
type limitChecker interface {
	CheckLimits(data []byte, t reflect.Type, most func(in reflect.Type, field string) int) error
}

// checkLists returns an error if a body has a list that is longer than a message of v's type may have.
func checkLists(codec Codec, body []byte, v any) error {
	t := reflect.TypeOf(v)
	if checker, ok := codec.(limitChecker); ok && t.Kind() == reflect.Pointer && maxLists[t.Elem()] != nil {
		return checker.CheckLimits(body, t.Elem(), listLimit)
	}
	return nil
}

// scanNode finds whole frames of a node, each within the limit of its type. It is a link.Scan.
func (c *Conn) scanNode(b []byte, _ int) (whole, need int, err error) {
	registered := c.registered.Load()
	for len(b)-whole >= wire.PrefixSize {
		rest := b[whole:]
		limit := FrameLimit(wire.Type(rest[0]), registered)
		n, need, err := wire.ScanControl(rest[:min(len(rest), wire.Size(rest))], limit)
		if n == 0 || err != nil {
			return whole, need, err
		}
		whole += n
	}
	return whole, 0, nil
}

// Registered says that the node at the other end is a member from now on: it may send all frames.
// Call it before the node is told.
func (c *Conn) Registered() { c.registered.Store(true) }

// SendRegister queues a Register, see [EncodeRegister].
func (c *Conn) SendRegister(r Register) error {
	b, err := EncodeRegister(c.codec, r)
	if err != nil {
		return err
	}
	return c.Pass(b)
}

// EncodeRegister makes the frame of a Register. Of the incarnations that are over it leaves out the
// oldest ones, if an earlier registry does not take the frame otherwise. A node that says so much of
// itself that no earlier registry takes it has more room.
func EncodeRegister(codec Codec, r Register) (b []byte, err error) {
	over := r.Over
	for _, most := range []int{MaxFirst, MaxRegister} {
		for r.Over = over; ; r.Over = r.Over[(len(r.Over)+7)/8:] {
			b, err = Encode(codec, TypeRegister, r)
			if err != nil || len(b) <= most {
				return b, err
			}
			if len(r.Over) <= 1 { // the latest is worth more than an earlier registry
				break
			}
		}
	}
	r.Over = nil
	if b, err = Encode(codec, TypeRegister, r); err != nil || len(b) <= MaxRegister {
		return b, err
	}
	return nil, fmt.Errorf("encoding %T: %w: %d bytes, a registry takes %d: the node says too much of itself", r, wire.ErrTooLong, len(b), MaxRegister)
}
