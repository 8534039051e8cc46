//go:build race

package ring

// Rings are smaller and runs shorter under the race detector, which is ten times slower.
const raceEnabled = true
