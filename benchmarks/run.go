package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/load"
	"github.com/x/ringdht/benchmarks/internal/process"
	"github.com/x/ringdht/benchmarks/internal/report"
	"github.com/x/ringdht/benchmarks/internal/systems/reference"
)

// runner measures.
type runner struct {
	systems  []bench.System
	only     *regexp.Regexp // of row names
	which    *regexp.Regexp // of systems
	rounds   int
	progress io.Writer
}

// list writes the rows, and the systems of each.
func (r *runner) list(w io.Writer, sections []*section) {
	for _, s := range sections {
		for _, row := range s.rows {
			if name := s.rowName(row); r.only.MatchString(name) {
				fmt.Fprintf(w, "%s:", name)
				for _, e := range r.of(s, row) {
					fmt.Fprintf(w, " %q", e.name)
				}
				fmt.Fprintln(w)
			}
		}
	}
}

// check returns an error if there is nothing to measure.
func (r *runner) check(sections []*section) error {
	rows, systems := 0, r.which.String() == ""
	for _, s := range sections {
		for _, row := range s.rows {
			if !r.only.MatchString(s.rowName(row)) {
				continue
			}
			rows++
			for _, e := range r.of(s, row) {
				systems = systems || r.which.MatchString(e.name)
			}
		}
	}
	switch {
	case rows == 0:
		return fmt.Errorf("-only %q matches no row; -list shows their names", r.only)
	case !systems:
		return fmt.Errorf("-systems %q matches no system of these rows; -list shows their names", r.which)
	}
	return nil
}

// rowName is the name that -only matches.
func (s *section) rowName(r row) string { return s.title + ": " + r.name }

func (s *section) loadOf(r row) load.Load {
	if r.load != nil {
		return r.load
	}
	return s.load
}

// of returns what takes part in a row. The reference comes first.
func (r *runner) of(s *section, row row) (of []entrant) {
	if row.entrants != nil {
		return row.entrants
	}
	_, processes := s.loadOf(row).(process.Closed)
	for _, sys := range r.systems {
		oneWay := sys.Name() == reference.OneWay().Name()
		if oneWay && !s.delays { // it differs from the others in delays only
			continue
		}
		if row.topology.Nodes > largest && small.MatchString(sys.Name()) {
			continue
		}
		if _, ok := sys.(bench.Distributed); sys.Supports(row.topology) && (ok || !processes) {
			if len(of) == 0 || oneWay || r.which.MatchString(sys.Name()) { // the reference is always in
				of = append(of, entrant{sys.Name(), sys, row.topology})
			}
		}
	}
	return of
}

// style is 0 for references, and the same colour dashed for those with stretches: no two of
// either are in one plot. Other systems have styles of their own.
func (r *runner) style(name string) int {
	at := slices.IndexFunc(r.systems, func(other bench.System) bool { return other.Name() == name })
	switch style := at - references + 1; {
	case style <= 0 && strings.HasSuffix(name, ", stretches"):
		return report.Colours
	case style < report.Colours:
		return max(0, style)
	default:
		return style + 1
	}
}

// run measures the sections. When ctx ends it stops early, with the results so far. It
// reports whether everything succeeded.
func (r *runner) run(ctx context.Context, sections []*section) (done []*report.Section, ok bool) {
	ok = true
	for _, s := range sections {
		table := &report.Section{Title: s.title, Note: s.note, X: s.x}
		for _, row := range s.rows {
			entrants := r.of(s, row)
			if ctx.Err() != nil || len(entrants) == 0 || !r.only.MatchString(s.rowName(row)) {
				continue
			}
			l := s.loadOf(row)
			table.Metrics = l.Metrics()
			result := &report.Row{Name: row.name, Reference: entrants[0].name, Group: row.group, X: row.x}
			for _, e := range entrants {
				result.Series = append(result.Series, &report.Series{System: e.name, Style: r.style(e.name)})
			}
			for round := range r.rounds {
				for turn := range entrants {
					i := (turn + round) % len(entrants) // no system always follows the same one
					e := entrants[i]
					values, err := l.Run(ctx, e.system, e.topology)
					if ctx.Err() != nil {
						break
					}
					result.Series[i].Add(values, err)
					fmt.Fprintf(r.progress, "%s: round %d: %s: ", s.rowName(row), round+1, e.name)
					if err != nil {
						ok = false
						fmt.Fprintln(r.progress, err)
					} else {
						fmt.Fprintln(r.progress, report.Brief(l.Metrics(), values))
					}
				}
			}
			table.Rows = append(table.Rows, result)
		}
		if len(table.Rows) > 0 {
			done = append(done, table)
		}
	}
	return done, ok && ctx.Err() == nil
}
