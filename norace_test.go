//go:build !race

package ringdht

const raceEnabled = false
