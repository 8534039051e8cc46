package report

import (
	"slices"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/meter"
	"github.com/x/ringdht/status"
)

// The documents are the output of -json. A list of nodes is an array of [ringdht.Peer], a
// set-up a [status.Audit]. Lists of events and runs are arrays of [status.Event] and
// [status.Run].

// RoutesDocument is a node's routing table.
type RoutesDocument struct {
	ringdht.Peer
	Entries []ringdht.Peer `json:"entries"`
}

// NewRoutesDocument returns the document of a routing table.
func NewRoutesDocument(self ringdht.Peer, t *ringdht.Table) RoutesDocument {
	return RoutesDocument{self, slices.AppendSeq([]ringdht.Peer{}, t.Entries())}
}

// SummaryDocument is the account of a traffic run.
type SummaryDocument struct {
	*status.Summary
	Exact   bool    `json:"exact"`
	Verdict string  `json:"verdict"`
	Rate    float64 `json:"rate"` // messages delivered per second
}

// NewSummaryDocument returns the document of an account.
func NewSummaryDocument(s *status.Summary) SummaryDocument {
	d := SummaryDocument{s, s.Exact(), s.Verdict(), s.Rate()}
	if s.Wrong == nil { // so that JSON has [] and not null
		c := *s
		c.Wrong = []string{}
		d.Summary = &c
	}
	return d
}

// TraceDocument is the route between two nodes.
type TraceDocument struct {
	From ringdht.ID   `json:"from"`
	To   ringdht.ID   `json:"to"`
	Hops []status.Hop `json:"hops"`
}

// MemberDocument is a member with its rates, which are null while they are unknown.
type MemberDocument struct {
	status.Member
	HeardAgo time.Duration `json:"heard_ago_ns"`
	Rates    *meter.Rates  `json:"rates"`
}

// NewMemberDocument returns the document of a member of a snapshot.
func NewMemberDocument(s *status.Snapshot, i int, m *meter.Meter) MemberDocument {
	d := MemberDocument{Member: s.Members[i]}
	if !d.Heard.IsZero() {
		d.HeardAgo = s.Time.Sub(d.Heard)
	}
	if r, ok := m.Of(&s.Members[i]); ok {
		d.Rates = &r
	}
	return d
}

// DegradedDocument has what is wrong between nodes: the pairs of which the first cannot reach the
// second, and the nodes at fault, which routes lead around.
type DegradedDocument struct {
	Pairs     []status.Degraded  `json:"pairs"`
	Sidelined []status.Sidelined `json:"sidelined"`
}

// NewDegradedDocument returns the document. JSON has [] in it and never null.
func NewDegradedDocument(pairs []status.Degraded, sidelined []status.Sidelined) DegradedDocument {
	return DegradedDocument{append([]status.Degraded{}, pairs...), append([]status.Sidelined{}, sidelined...)}
}
