package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/table"
)

// columns are the columns of the table, each with its value for a row. Columns with lived are
// empty for a ring that was not simulated.
var columns = []struct {
	heading, name string // for people, for programs
	cell          func(r *row) string
	lived         func(l *lived) string
}{
	{heading: "nodes", name: "nodes", cell: func(r *row) string { return fmt.Sprint(r.nodes) }},
	{heading: "entries", name: "entries", cell: func(r *row) string { return fmt.Sprint(len(r.offsets)) }},
	{heading: "plan", name: "plan", cell: func(r *row) string { return r.plan }},
	{heading: "hops: mean", name: "mean_hops", cell: func(r *row) string { return hops(r.mean) }},
	{heading: "most", name: "max_hops", cell: func(r *row) string { return fmt.Sprint(r.most()) }},
	{heading: "if lagging", name: "max_hops_lagging", cell: func(r *row) string { return fmt.Sprint(r.lagging) }},
	{heading: "relayed", name: "relayed", cell: func(r *row) string { return hops(r.mean - 1) }},
	{heading: "live: mean", name: "live_mean_hops", lived: func(l *lived) string { return hops(l.mean) }},
	{heading: "most", name: "live_max_hops", lived: func(l *lived) string { return fmt.Sprint(l.most) }},
	{heading: "relayed: least", name: "live_relayed_min", lived: func(l *lived) string { return l.relays(0) }},
	{heading: "median", name: "live_relayed_median", lived: func(l *lived) string { return l.relays(1) }},
	{heading: "most", name: "live_relayed_max", lived: func(l *lived) string { return l.relays(2) }},
	{heading: "told: join", name: "told_join", lived: func(l *lived) string { return fmt.Sprintf("%.1f", l.join) }},
	{heading: "death", name: "told_death", lived: func(l *lived) string { return fmt.Sprintf("%.1f", l.death) }},
	{heading: "growing", name: "told_growing", lived: func(l *lived) string { return fmt.Sprintf("%.1f", l.new) }},
}

func hops(mean float64) string { return fmt.Sprintf("%.3f", mean) }

func (l *lived) relays(i int) string {
	if !l.all {
		return ""
	}
	return fmt.Sprintf("%.2f", l.relayed[i])
}

// cells returns the cells of a row. Programs get all columns; people get no columns of a
// simulation that was not made.
func (r *row) cells() (cells []string) {
	for _, c := range columns {
		text := ""
		if c.cell != nil {
			text = c.cell(r)
		} else if r.lived != nil {
			text = c.lived(r.lived)
		}
		cells = append(cells, text)
	}
	return cells
}

// tableOf formats the rows as a table.
func tableOf(rows []row) string {
	simulated := false
	for i := range rows {
		simulated = simulated || rows[i].lived != nil
	}
	var headings []table.Column
	for _, c := range columns {
		switch {
		case c.lived != nil && !simulated:
		case c.name == "plan":
			headings = append(headings, table.Left(c.heading))
		default:
			headings = append(headings, table.Right(c.heading))
		}
	}
	t := table.New(headings...)
	for i := range rows {
		var cells []any
		for _, cell := range rows[i].cells()[:len(headings)] {
			cells = append(cells, cell)
		}
		t.Row(cells...)
	}
	return t.String()
}

// valuesOf formats the rows as comma-separated values.
func valuesOf(rows []row) string {
	var names []string
	for _, c := range columns {
		names = append(names, c.name)
	}
	lines := []string{strings.Join(append(names, "offsets"), ",")}
	for i := range rows {
		lines = append(lines, strings.Join(append(rows[i].cells(), offsets(&rows[i])), ","))
	}
	return strings.Join(lines, "\n") + "\n"
}

// documentsOf formats the rows as JSON objects, with the names of the columns as keys.
// Unknown values, as for rings that were not simulated, are null.
func documentsOf(rows []row) string {
	var b strings.Builder
	for i := range rows {
		document := map[string]any{"offsets": rows[i].offsets}
		for j, cell := range rows[i].cells() {
			var value any
			switch {
			case columns[j].name == "plan":
				value = cell
			case cell != "":
				value = json.Number(cell)
			}
			document[columns[j].name] = value
		}
		b.WriteString(console.Document(document) + "\n")
	}
	return b.String()
}

func offsets(r *row) string { return strings.Trim(fmt.Sprint([]int(r.offsets)), "[]") }

// detailsOf formats the details of one ring: the offsets of each plan, and the share of
// routes at each number of hops.
func detailsOf(rows []row) string {
	places, shares := table.New(table.Left("plan"), table.Left("positions ahead")), []table.Column{table.Right("hops")}
	longest := 0
	for i := range rows {
		places.Row(rows[i].plan, offsets(&rows[i]))
		shares = append(shares, table.Right(rows[i].plan))
		longest = max(longest, rows[i].most())
	}
	const most = 40 // lines; more would show little
	t := table.New(shares...)
	for h := 1; h <= min(longest, most); h++ {
		cells := []any{h}
		for i := range rows {
			share := ""
			if h < len(rows[i].hops) {
				share = fmt.Sprintf("%.1f %%", 100*float64(rows[i].hops[h])/float64(rows[i].nodes-1))
			}
			cells = append(cells, share)
		}
		t.Row(cells...)
	}
	text := places.String() + "\n" + t.String()
	if longest > most {
		text += fmt.Sprintf("and so on, up to %d hops\n", longest)
	}
	return text
}
