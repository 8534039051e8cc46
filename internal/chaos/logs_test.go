//go:build linux

package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

var logLine = regexp.MustCompile(`^time=\S+ level=(WARN|ERROR) msg=("(?:[^"\\]|\\.)*"|\S+)`)

// needed is the warnings that an operator needs when a registry restarts, and those of a
// machine that has too much to do.
var needed = []string{
	"lost the connection to the registry, messages still flow",
	"the registry cannot be reached, trying to reconnect",
	"cannot join yet, trying again",
	"this process did not get the processor for a while, or was stopped; members get as much more time to answer",
	"this process got no CPU time for a while, or was stopped; the registry is told, and allows it more time",
	"the node was paused, asking the registry whether it is still a member",
	"link ended", // without an answer for two thirds of a lease
	"degraded",   // likewise
}

// warnings counts the warnings in the logs of all processes, by message. An error fails the
// test, and so does a warning that is not needed.
func (r *ring) warnings() (counts map[string]int) {
	r.t.Helper()
	counts = make(map[string]int)
	for _, p := range r.processes {
		log, err := os.ReadFile(p.log)
		if err != nil {
			r.t.Fatal(err)
		}
		for line := range strings.Lines(string(log)) {
			found := logLine.FindStringSubmatch(line)
			if found == nil {
				continue
			}
			what := strings.Trim(found[2], `"`)
			counts[what]++
			if found[1] == "ERROR" || !slices.Contains(needed, what) {
				r.t.Errorf("%s: %s", p.name, line)
			}
		}
	}
	return counts
}

// tally lists counts, the greatest first.
func tally(counts map[string]int) string {
	var b strings.Builder
	byCount := func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) }
	for _, what := range slices.SortedFunc(maps.Keys(counts), byCount) {
		fmt.Fprintf(&b, "\n%6d %s", counts[what], what)
	}
	return b.String()
}
