// Package status has what nodes and registries show of themselves, as plain data: what
// Node.Status and Registry.Snapshot return, the account of a traffic run, events. All types
// can be copied, compared where Go allows it, and encoded as JSON. Counters count
// since the start of a node's incarnation; gauges and the rest are of the moment.
package status

import (
	"fmt"
	"log/slog"
	"strconv"
)

// ID is a point on the ring, below 2^bits, where bits is the size of the ring's ID space.
// The registry draws a node's ID when it joins.
type ID uint64

// String returns the ID in decimal.
func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// Peer is a node as others know it: its ID, and the address at which others dial it.
type Peer struct {
	ID   ID     `json:"id"`
	Addr string `json:"addr"`
}

// String returns "ID (address)".
func (p Peer) String() string { return fmt.Sprintf("%d (%s)", p.ID, p.Addr) }

// LogValue makes a peer a group of two attributes in logs.
func (p Peer) LogValue() slog.Value {
	return slog.GroupValue(slog.Uint64("id", uint64(p.ID)), slog.String("addr", p.Addr))
}
