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

// What /events says
//
// Each event is a JSON object of parts. A part that is left out is as it was; the first
// object after a page has connected has them all. Lists are arrays in a fixed order instead
// of objects, since at 1,000 nodes the names of fields would be most of it. IDs and lives are
// strings: JavaScript's numbers end at 2^53. Times are milliseconds since 1970, rates are per
// second.
//
//	t         the time of the snapshot
//	ring      {name, bits, lease, interval, epoch, live, plan, entries, offsets, missing, control}
//	members   [id, address, life, joined, [entries]] for each, by ascending ID; an entry
//	          is an index into this list. Sent when the membership or the tables have
//	          changed, and then all rows are sent too
//	rows      [index, state, sent, delivered, relayed, queued, delivered/s, relayed/s,
//	          [bytes/s over each link]] of each member of whom any of it has changed.
//	          state is an index into the names of states. Links are in the order of
//	          the member's entries; -1 is one that is not up
//	gone      [id, address, life, "dead" or "left", when, why] of who has gone lately
//	degraded  [from, to, why] of the pairs that are led around
//	total     ringdht.Counters, summed up
//	hops      messages delivered by links crossed
//	latency   [durations by bucket of ringdht.Histogram, sum in ns]
//	running   ringdht.Running, or null
//	runs      []status.Run, the oldest first
//	flow      [sent, delivered, relayed] to make rates of: the totals, without what members
//	          had counted before they were first heard of
//	events    [seq, time, kind, epoch, id, address, life, other, why] of those that are new
//	history   [t, and flow as it was then], one for each of the latest intervals; with the
//	          first object only

// The parts that are sent again as a whole when they have changed.
const (
	partRing = iota
	partGone
	partDegraded
	partTotal
	partHops
	partLatency
	partFlow
	partRunning
	partRuns
	parts
)

var partNames = [parts]string{"ring", "gone", "degraded", "total", "hops", "latency", "flow", "running", "runs"}

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
}

// maxMissing is how many of the lines that say what the ring waits for are shown: at
// 1,000 nodes there can be as many.
const maxMissing = 5

func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil { // numbers, strings and times
		panic(err)
	}
	return body
}

// open begins an object, or goes on with it, with a part of this name.
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

// comma separates what follows from what is there, unless a list has just begun.
func comma(b []byte) []byte {
	if len(b) == 0 || b[len(b)-1] == '[' {
		return b
	}
	return append(b, ',')
}

func number(b []byte, n int64) []byte { return strconv.AppendInt(comma(b), n, 10) }

// ident appends a number as a string.
func ident(b []byte, n uint64) []byte {
	b = append(comma(b), '"')
	return append(strconv.AppendUint(b, n, 10), '"')
}

func text(b []byte, s string) []byte { return append(comma(b), encode(s)...) }

// maxText is how many bytes of a verdict or a reason pages are told.
const maxText = 300

// cut shortens a text to that, at a rune.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + " …"
}

// appendMember appends a member's element of members.
func appendMember(b []byte, m *status.Member, index map[ringdht.ID]int) []byte {
	b = append(comma(b), '[')
	b = ident(b, uint64(m.ID))
	b = text(b, m.Addr)
	b = ident(b, m.Incarnation)
	b = number(b, millis(m.Joined))
	b = append(comma(b), '[')
	for _, id := range m.Entries {
		if i, ok := index[id]; ok { // else it died a moment ago
			b = number(b, int64(i))
		}
	}
	return append(b, ']', ']')
}

// states are the names of states, in the order in which rows count them. The page has the same.
var states = []status.State{
	status.StateRegistered, status.StateLinking, status.StateActive, status.StateDoubted, status.StateLeaving,
}

// appendRow appends what a row says of a member behind its index.
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
		// Both are clockwise, so that the link is usually the next.
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

// appendEvent appends an event's element of events.
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

// millis is a time for JavaScript, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
