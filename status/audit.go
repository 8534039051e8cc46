package status

import "fmt"

// Audit is what a registry found when it walked the routes between its members, through the
// tables that it handed out.
type Audit struct {
	Epoch       uint64  `json:"epoch"`       // of the tables
	Nodes       int     `json:"nodes"`       // that have a table
	Entries     int     `json:"entries"`     // of the largest table
	Offsets     []int   `json:"offsets"`     // how many positions ahead each entry should be
	Pairs       int     `json:"pairs"`       // pairs of source and sink whose route was walked; in large rings, for a sample of the sinks
	Sampled     bool    `json:"sampled"`     // not every pair was walked
	Unreachable int     `json:"unreachable"` // pairs whose route does not arrive
	BadFrom     ID      `json:"bad_from"`    // one such pair
	BadTo       ID      `json:"bad_to"`
	MeanHops    float64 `json:"mean_hops"` // over the pairs whose route arrives
	MaxHops     int     `json:"max_hops"`  // of the longest route
	MaxFrom     ID      `json:"max_from"`  // a pair with MaxHops
	MaxTo       ID      `json:"max_to"`
	MinRelayed  int     `json:"min_relayed"`  // the fewest routes that one node relays
	MeanRelayed float64 `json:"mean_relayed"` // the mean over all nodes
	MaxRelayed  int     `json:"max_relayed"`  // the most routes that one node relays
	MaxRelay    ID      `json:"max_relay"`    // a node that relays MaxRelayed
	// LeftOut are the members that Setup did not wait for, see Snapshot.LeftOut. They may not use their
	// tables.
	LeftOut []LeftOut `json:"left_out,omitempty"`
}

// OK says that every route that was walked arrives.
func (a Audit) OK() bool { return a.Unreachable == 0 }

// String is the audit in one line.
func (a Audit) String() string {
	of := "all"
	if a.Sampled {
		of = "a sample of"
	}
	routes := fmt.Sprintf("%s %d routes arrive", of, a.Pairs)
	if !a.OK() {
		routes = fmt.Sprintf("%d of %d routes DO NOT ARRIVE, from %d to %d for one", a.Unreachable, a.Pairs, a.BadFrom, a.BadTo)
	}
	if a.Pairs == 0 {
		return fmt.Sprintf("epoch %d: 1 node, no routes", a.Epoch)
	}
	entries := "1 entry"
	if a.Entries != 1 {
		entries = fmt.Sprintf("%d entries", a.Entries)
	}
	leftOut := ""
	if len(a.LeftOut) > 0 {
		leftOut = "; " + (&LeftOutError{a.LeftOut}).Error()
	}
	return fmt.Sprintf("epoch %d: %d nodes with %s, %s, hops mean %.3f and at most %d (%d to %d), each node relays %d to %d of them%s",
		a.Epoch, a.Nodes, entries, routes, a.MeanHops, a.MaxHops, a.MaxFrom, a.MaxTo, a.MinRelayed, a.MaxRelayed, leftOut)
}
