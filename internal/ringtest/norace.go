//go:build !race

package ringtest

const RaceEnabled = false
