package drive

import (
	"context"
	"fmt"
	"io"
	"testing"
)

// A machine that is busy is no complaint, and all else is one.
func TestComplaints(t *testing.T) {
	p := Start(t, func(_ context.Context, _ []string, _ io.Reader, _, stderr io.Writer) int {
		for _, l := range late {
			fmt.Fprintf(stderr, "time=x level=WARN msg=%q late=1s\n", l+"; and so on")
		}
		fmt.Fprintln(stderr, "cannot write")
		return 0
	})
	p.Status()
	if got := p.Complaints(); got != "cannot write\n" {
		t.Errorf("%q", got)
	}
}
