//go:build linux

package chaos

import "fmt"

// The traffic of the scenarios, in messages per second of the whole ring. It is a fraction of
// what is possible, so that a gap is due to a fault and not to a busy machine. On two cores
// sixteen processes did 2.7 million a second, and 100,000 under the race detector. A run that
// has, in all, fewer messages than a quarter of a second of it is void.
var (
	rateSmall = scaled(60_000)
	rateLarge = scaled(160_000)
	million   = uint64(scaled(1_000_000))
)

func scaled(n int) int {
	if raceEnabled {
		return n / 8
	}
	return n
}

// name is the ring in a table: its nodes, and the entries of each.
func (r *ring) name() string {
	tables := "auto"
	if r.plan.entries > 0 {
		tables = fmt.Sprint(r.plan.entries)
	}
	return fmt.Sprintf("%d nodes, %s", r.plan.nodes, tables)
}
