package status

import (
	"fmt"
	"log/slog"
	"strconv"
)

// ID is a point on the ring. It is below 2^bits, where bits is the ring's
// (see [WithBits]); a node's ID is drawn by its registry when it joins.
type ID uint64

// String returns the ID in decimal.
func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// Peer is a node as others know it: its ID and the address that it can be
// dialled at.
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
