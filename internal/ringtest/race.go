//go:build race

package ringtest

// Under the race detector sync.Pool throws things away at random, so allocations cannot be counted.
const RaceEnabled = true
