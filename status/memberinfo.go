package status

import (
	"fmt"
	"log/slog"
)

// MemberInfo is one incarnation of a node, and what it says of itself: that is fixed for the
// incarnation. Tags and Services may be shared with other values, and must not be changed.
type MemberInfo struct {
	// Peer has the address only as far as it is known: a node knows those of the peers in its table.
	Peer
	Incarnation uint64            `json:"incarnation"`        // a number that no other incarnation of any node has
	Name        string            `json:"name,omitempty"`     // which no other member has; empty if it has none
	Tags        map[string]string `json:"tags,omitempty"`     // nil if it has none
	Services    []string          `json:"services,omitempty"` // the names of those that it handles, ascending
}

// String returns "5", or "5 (worker-1)".
func (m MemberInfo) String() string {
	if m.Name == "" {
		return m.ID.String()
	}
	return fmt.Sprintf("%d (%s)", m.ID, m.Name)
}

// LogValue makes a member a group of attributes in logs.
func (m MemberInfo) LogValue() slog.Value {
	attrs := []slog.Attr{slog.Uint64("id", uint64(m.ID))}
	if m.Name != "" {
		attrs = append(attrs, slog.String("name", m.Name))
	}
	return slog.GroupValue(attrs...)
}
