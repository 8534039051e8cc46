package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/drive"
)

// Four programs that send to each other end in any order, by their command or by a signal.
// Each message is printed by its sink, and the program exits without an error; or the sink
// had left before, and the program reports that the message was not handled. No outcome is
// unknown.
func TestShutdownsOfFour(t *testing.T) {
	for round := range 4 {
		r, addr := newRegistry(t)
		var all [4]*drive.Program
		var ids [4]ringdht.ID
		for i := range all {
			all[i], ids[i] = start(t, i+1, addr)
		}
		if _, err := r.Setup(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		const messages = 20
		for n := range messages {
			for i, p := range all {
				p.Type(fmt.Sprintf("send %d message %d of %d", ids[(i+1+n%3)%4], n, i))
			}
		}
		for _, p := range all {
			for range messages { // these are accepted, and on their way
				p.Expect(`^Sent to \d+\.$`)
			}
		}
		for _, i := range rand.Perm(len(all)) {
			if rand.IntN(2) == 0 {
				all[i].Type("exit-overlay")
			} else {
				all[i].Interrupt()
			}
		}
		for i, p := range all {
			status := p.Status()
			missing := 0
			for n := range messages {
				to := all[(i+1+n%3)%4]
				to.Status() // it has ended
				if !strings.Contains(to.Stdout(), fmt.Sprintf("message %d of %d\n", n, i)) {
					missing++
				}
			}
			switch {
			case missing == 0:
				if status != 0 || p.Complaints() != "" {
					t.Errorf("round %d: all of program %d was printed, it ends with status %d and says %q", round, i, status, p.Stderr())
				}
				p.Expect(`^exited overlay$`)
			case status != 1 || !strings.Contains(p.Stderr(), " not handled to node ") || strings.Contains(p.Stderr(), "unknown outcome"):
				t.Errorf("round %d: %d messages of program %d were not printed, it ends with status %d and says %q", round, missing, i, status, p.Stderr())
			}
		}
		r.Close()
	}
}
