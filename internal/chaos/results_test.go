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
	mu      sync.Mutex
	rows    []line
	ledgers []line
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

func (t *table) print() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rows)+len(t.ledgers) == 0 {
		return
	}
	var b strings.Builder
	b.WriteString("\n| ring, entries | fault | promised | longest gap | recovered after | messages/s |\n|---|---|---|---|---|---|\n")
	byTest := func(a, b line) int { return cmp.Compare(a.test, b.test) }
	slices.SortStableFunc(t.rows, byTest)
	slices.SortStableFunc(t.ledgers, byTest)
	for _, row := range t.rows {
		b.WriteString(row.text + "\n")
	}
	b.WriteString("\n| scenario | accepted | received | undelivered as reported | of these received | lost | twice | out of order | messages/s | lowest second |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, row := range t.ledgers {
		b.WriteString(row.text + "\n")
	}
	fmt.Print(b.String())
	if *flagReport != "" {
		if err := os.WriteFile(*flagReport, []byte(b.String()), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
