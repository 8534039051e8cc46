package control

import "github.com/x/ringdht/status"

// KeyFigures are a node's figures of a service with keys.
type KeyFigures struct {
	Service string  `json:"service"`
	Figures []int64 `json:"figures"` // see PROTOCOL.md
}

// keyRow is a row of keyTable.
type keyRow struct {
	name string // its key in JSON
	kind counterKind
	of   func(*status.KeyCounters) *int64
}

// keyTable lists the figures of a service with keys once, as counterTable does those of a node.
var keyTable = []keyRow{
	{"arcs", gauge, func(c *status.KeyCounters) *int64 { return &c.Arcs }},
	{"keys", gauge, func(c *status.KeyCounters) *int64 { return &c.Keys }},
	{"queued", gauge, func(c *status.KeyCounters) *int64 { return &c.Queued }},
	{"sent", counter, func(c *status.KeyCounters) *int64 { return &c.Sent }},
	{"unknown", counter, func(c *status.KeyCounters) *int64 { return &c.Unknown }},
	{"repeats", counter, func(c *status.KeyCounters) *int64 { return &c.Repeats }},
	{"asks", counter, func(c *status.KeyCounters) *int64 { return &c.Asks }},
	{"refused", counter, func(c *status.KeyCounters) *int64 { return &c.Refused }},
	{"handled", counter, func(c *status.KeyCounters) *int64 { return &c.Handled }},
	{"refusals", counter, func(c *status.KeyCounters) *int64 { return &c.Refusals }},
	{"given", counter, func(c *status.KeyCounters) *int64 { return &c.Given }},
	{"given_bytes", counter, func(c *status.KeyCounters) *int64 { return &c.GivenBytes }},
	{"taken", counter, func(c *status.KeyCounters) *int64 { return &c.Taken }},
	{"taken_bytes", counter, func(c *status.KeyCounters) *int64 { return &c.TakenBytes }},
	{"failed_moves", counter, func(c *status.KeyCounters) *int64 { return &c.FailedMoves }},
}

// AddKeyCounters adds the figures of a node to a sum, and its gauges if the node is present.
func AddKeyCounters(to, from *status.KeyCounters, present bool) {
	for _, t := range keyTable {
		if t.kind == counter || present {
			*t.of(to) = SaturatingAdd(*t.of(to), *t.of(from))
		}
	}
}

func packKeys(all []status.NodeKeys) (rows []KeyFigures) {
	for i := range all {
		row := KeyFigures{Service: all[i].Service, Figures: make([]int64, len(keyTable))}
		for j, t := range keyTable {
			row.Figures[j] = *t.of(&all[i].KeyCounters)
		}
		rows = append(rows, row)
	}
	return rows
}

// unpackKeys trusts no number. The registry drops the services that the node does not open.
func unpackKeys(rows []KeyFigures) (all []status.NodeKeys) {
	for _, row := range rows[:min(len(rows), MaxKeys)] {
		k := status.NodeKeys{Service: row.Service}
		for i, t := range keyTable {
			*t.of(&k.KeyCounters) = valueAt(row.Figures, i)
		}
		all = append(all, k)
	}
	return all
}
