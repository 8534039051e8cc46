//go:build !race

package office

const mostRuns = 1 << 30
