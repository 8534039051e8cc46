//go:build race

package office

// mostRuns bounds the worlds: the race detector makes them ten times as slow, and they have one goroutine.
const mostRuns = 500
