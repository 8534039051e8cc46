//go:build race

package sim

// raceEnabled makes the simulation run fewer worlds, since the race detector is slow.
const raceEnabled = true
