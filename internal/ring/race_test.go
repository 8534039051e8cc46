//go:build race

package ring

// raceEnabled makes rings smaller and runs shorter, since the race detector is ten times slower.
const raceEnabled = true
