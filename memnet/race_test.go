//go:build race

package memnet

// Under the race detector sync.Pool throws things away at random, so allocations cannot be counted.
const raceEnabled = true
