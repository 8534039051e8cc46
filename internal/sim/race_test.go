//go:build race

package sim

// Under the race detector sync.Pool throws things away at random, so allocations cannot be counted.
const raceEnabled = true
