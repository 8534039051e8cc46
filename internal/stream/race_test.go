//go:build race

package stream

// Under the race detector sync.Pool drops items at random, so allocations cannot be counted.
const raceEnabled = true
