package dashboard

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// The format of /events
//
// Each server-sent event is a JSON object of parts. A missing part is unchanged. The first
// object of a connection has all parts. Records are arrays in a fixed order and not objects,
// since at 1,000 nodes the field names would be most of the bytes. IDs and incarnations
// are strings, since JavaScript's numbers are exact up to 2^53 only. Times are milliseconds
// since 1970. Rates are per second.
//
//	t         the time of the snapshot
//	ring      {name, bits, lease, interval, epoch, live, plan, entries, offsets, missing,
//	          control, join, others, other}: how many members of other rings of this
//	          name ask to come back here, and the identity of one of these rings
//	members   [id, address, incarnation, joined, [entries], name if it has one] of each member,
//	          by ascending ID; an entry is an index into this list. Sent when the membership or the
//	          tables have changed; then all rows are sent as well
//	rows      [index, state, sent, delivered, relayed, queued, delivered/s, relayed/s,
//	          [bytes/s over each link]] of each member for which any value has changed.
//	          state is an index into the names of states. Links are in the order of
//	          the member's entries; -1 means that the link is not up
//	gone      [id, address, incarnation, "dead" or "left", when, why, heard, sent, delivered,
//	          relayed] of nodes that have gone lately, with the last figures they
//	          reported, and when; see Snapshot.Gone. Those that left stay for a minute
//	degraded  [from, to, why] of the pairs whose messages take a detour
//	sidelined [id, why] of the members that routes lead around
//	security  of a secure ring, otherwise null: {key, kept, old_key, refused: by all causes,
//	          strangers: [from, cause, times, last] of the latest sources that were refused,
//	          expelled: [id, when] of the latest nodes, expelled_all: how many}
//	keys      a keyPart of each service with keys, at most 8: {service, recovering, sources, arcs, free,
//	          moving, moved, void, half, most, longest: times of moves in ns, keys, handled,
//	          refused, unknown, owners: [id, name, share, arcs, keys, handled] of the first,
//	          owners_all: how many, moves: [from, to, moves, share, since the oldest]}
//	arcs      {owners: IDs, sectors: [owner, receiver, length, ...]} of the same services: the ring
//	          of keys, clockwise from 0, as sectors of 1/720. Owner and receiver are
//	          indices of owners; -1 for none
//	total     status.Counters, summed over all members
//	hops      messages delivered, by the number of links crossed
//	latency   [durations by bucket of status.Histogram, sum in ns]
//	running   status.Running, or null
//	runs      []status.Run, the oldest first
//	flow      [sent, delivered, relayed, dropped] to compute rates from: the totals without
//	          what members had counted before their first report here
//	events    [seq, time, kind, epoch, id, address, incarnation, other, why] of each new event
//	history   [t, flow at that time, members] of the time before, from Snapshot.History; in
//	          the first object only

// The parts that are sent whole when they have changed.
const (
	partRing = iota
	partGone
	partDegraded
	partSidelined
	partSecurity
	partKeys
	partArcs
	partTotal
	partHops
	partLatency
	partFlow
	partRunning
	partRuns
	parts
)

var partNames = [parts]string{"ring", "gone", "degraded", "sidelined", "security", "keys", "arcs", "total", "hops", "latency", "flow", "running", "runs"}

// ringPart is the part ring.
type ringPart struct {
	Name     string   `json:"name"`
	Bits     int      `json:"bits"`
	Lease    int64    `json:"lease"`
	Interval int64    `json:"interval"`
	Epoch    uint64   `json:"epoch"`
	Live     bool     `json:"live"`
	Plan     string   `json:"plan"`
	Entries  int      `json:"entries"`
	Offsets  []int    `json:"offsets"`
	Missing  []string `json:"missing"`
	Control  bool     `json:"control"`
	Join     string   `json:"join"`
	Others   int      `json:"others"`
	Other    string   `json:"other"`
}

// maxMissing bounds the lines that say what the ring waits for: with 1,000 nodes there can be
// 1,000 of them.
const maxMissing = 5

func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil { // impossible: numbers, strings and times only
		panic(err)
	}
	return body
}

// open appends the name of a part. It begins the object if b is empty.
func open(b []byte, name string) []byte {
	if len(b) == 0 {
		b = append(b, '{')
	} else {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

// comma appends a comma, unless a list has just begun.
func comma(b []byte) []byte {
	if len(b) == 0 || b[len(b)-1] == '[' {
		return b
	}
	return append(b, ',')
}

func number(b []byte, n int64) []byte { return strconv.AppendInt(comma(b), n, 10) }

// ident appends a 64-bit number as a string.
func ident(b []byte, n uint64) []byte {
	b = append(comma(b), '"')
	return append(strconv.AppendUint(b, n, 10), '"')
}

func text(b []byte, s string) []byte { return append(comma(b), encode(s)...) }

// maxText bounds the bytes of a verdict or a reason.
const maxText = 300

// cut shortens a text to maxText, at a rune boundary.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + " …"
}

// appendMember appends a member's record to the part members.
func appendMember(b []byte, m *status.Member, index map[ringdht.ID]int) []byte {
	b = append(comma(b), '[')
	b = ident(b, uint64(m.ID))
	b = text(b, m.Addr)
	b = ident(b, m.Incarnation)
	b = number(b, millis(m.Joined))
	b = append(comma(b), '[')
	for _, id := range m.Entries {
		if i, ok := index[id]; ok { // else it has just died
			b = number(b, int64(i))
		}
	}
	b = append(b, ']')
	if m.Name != "" {
		b = text(b, m.Name)
	}
	return append(b, ']')
}

// states lists the states in the order of their numbers in rows. The page has the same list.
var states = []status.State{
	status.StateRegistered, status.StateLinking, status.StateActive, status.StateSuspect, status.StateLeaving, status.StateStuck,
}

// appendRow appends a member's row after its index.
func appendRow(b []byte, m *status.Member, r *rates, index map[ringdht.ID]int) []byte {
	c := &m.Counters
	for _, n := range [...]int64{int64(slices.Index(states, m.State)), c.Sent, c.Delivered, c.Relayed, c.Queued, r.delivered, r.relayed} {
		b = strconv.AppendInt(append(b, ','), n, 10)
	}
	b = append(b, ',', '[')
	next := 0
	for _, id := range m.Entries {
		if _, ok := index[id]; !ok {
			continue
		}
		// Entries and links are both in clockwise order, so usually the next link matches.
		rate := int64(-1)
		for i := range m.Links {
			at := (next + i) % len(m.Links)
			if m.Links[at].To == id {
				if m.Links[at].Up {
					rate = r.link(at)
				}
				next = at + 1
				break
			}
		}
		b = number(b, rate)
	}
	return append(b, ']')
}

// appendEvent appends an event's record to the part events.
func appendEvent(b []byte, e *status.Event) []byte {
	b = append(comma(b), '[')
	b = number(b, int64(e.Seq))
	b = number(b, millis(e.Time))
	b = text(b, string(e.Kind))
	b = number(b, int64(e.Epoch))
	b = ident(b, uint64(e.Node.ID))
	b = text(b, e.Node.Addr)
	b = ident(b, e.Incarnation)
	b = ident(b, uint64(e.Other.ID))
	b = text(b, cut(e.Why))
	return append(b, ']')
}

// millis returns a time for JavaScript, in milliseconds since 1970; 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
