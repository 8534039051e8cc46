//go:build !race

package ringtest

// RaceEnabled says whether the race detector is on.
const RaceEnabled = false
