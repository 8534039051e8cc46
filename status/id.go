// Package status has what nodes and registries show of themselves, as plain data.
//
//   - [Node] is a node's own view: what ringdht.Node.Status returns. It has the [Counters],
//     the [Link] to each entry of the routing table, and the [Streams].
//   - [Snapshot] is a registry's view of the ring: what ringdht.Registry.Snapshot returns.
//     It has a [Member] for each node, the latest [Event] and [Run] records, and the
//     [Degraded] pairs.
//   - [Summary] is the account of a traffic run: what ringdht.Registry.RunTraffic returns.
//   - [Audit] is what Setup and Audit of a registry return, and [Hop] what a trace returns.
//
// Counters count since the start of a node's incarnation; fields marked as gauges are of the
// moment. Sizes are in bytes. In JSON durations are in nanoseconds, and times as in RFC 3339.
// All of it is plain data without locks: goroutines may share a value that none of them
// changes.
package status

import (
	"fmt"
	"log/slog"
	"strconv"
)

// ID is a point on the ring, below 2^bits, where bits is the size of the ring's ID space, 16
// by default. The registry draws a node's ID when it joins. In JSON it is a number; some
// readers of JSON keep 53 bits only.
type ID uint64

// String returns the ID in decimal.
func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// Peer is a node as others know it: its ID, and the address at which others dial it.
type Peer struct {
	ID   ID     `json:"id"`
	Addr string `json:"addr"` // "host:port"
}

// String returns "ID (address)".
func (p Peer) String() string { return fmt.Sprintf("%d (%s)", p.ID, p.Addr) }

// LogValue makes a peer a group of two attributes in logs.
func (p Peer) LogValue() slog.Value {
	return slog.GroupValue(slog.Uint64("id", uint64(p.ID)), slog.String("addr", p.Addr))
}
