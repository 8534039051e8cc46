//go:build race

package ringtest

// RaceEnabled says whether the race detector is on. If so, allocations cannot be counted:
// sync.Pool drops objects at random.
const RaceEnabled = true
