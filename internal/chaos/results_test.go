//go:build linux

package chaos

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// results are the rows for docs/reliability.md.
var results table

type table struct {
	mu       sync.Mutex
	rows     []line
	ledgers  []line
	restarts []line
}

// line is a row of a test. The lines are sorted at the end, since tests run in parallel.
type line struct{ test, text string }

// fault describes a fault for its row.
type fault struct {
	ring, what, promise string
}

func (t *table) add(test string, f fault, recovery, gap time.Duration, rate float64) string {
	recovered := "" // nothing to recover from
	if recovery > 0 {
		recovered = seconds(recovery)
	}
	row := fmt.Sprintf("| %s | %s | %s | %s | %s | %.0f |", f.ring, f.what, f.promise, seconds(gap), recovered, rate)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, line{test, row})
	return row
}

func (t *table) ledger(test string, mean, lowest float64, v *verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ledgers = append(t.ledgers, line{test, fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d | %.0f | %.0f |",
		test, v.accepted, v.received, v.unknown, v.arrived, v.lost, v.duplicates, v.disorder, mean, lowest)})
}

// restart adds a row of a rolling restart.
func (t *table) restart(test, what string, state bool, took, usual, longest time.Duration) string {
	kept := "no"
	if state {
		kept = "yes"
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	row := fmt.Sprintf("| %s | %s | %.1f s | %.2f ms | %.0f ms |", what, kept, took.Seconds(), ms(usual), ms(longest))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.restarts = append(t.restarts, line{test, row})
	return row
}

func (t *table) print() {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	part(&b, "| ring, entries | fault | promised | longest gap | recovered after | messages/s |", t.rows)
	part(&b, "| scenario | accepted | received | undelivered as reported | of these received | lost | twice | out of order | messages/s | lowest second |", t.ledgers)
	part(&b, "| restarted | state kept | took | a request took | the longest |", t.restarts)
	fmt.Print(b.String())
	if *flagReport != "" {
		if err := os.WriteFile(*flagReport, []byte(b.String()), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// part writes a table, unless it has no rows.
func part(b *strings.Builder, head string, rows []line) {
	if len(rows) == 0 {
		return
	}
	slices.SortStableFunc(rows, func(a, b line) int { return cmp.Compare(a.test, b.test) })
	fmt.Fprintf(b, "\n%s\n%s|\n", head, strings.Repeat("|---", strings.Count(head, "|")-1))
	for _, row := range rows {
		b.WriteString(row.text + "\n")
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
