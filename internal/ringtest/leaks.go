package ringtest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Main runs the tests of a package and exits. It fails if they left a goroutine of this
// module behind.
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := goroutinesLeft(); left != "" {
			fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", left)
			code = 1
		}
	}
	os.Exit(code)
}

// goroutinesLeft returns the stacks of goroutines that run code of this module. Those that
// are about to end get two seconds.
func goroutinesLeft() (left string) {
	for range 200 {
		left = ""
		buf := make([]byte, 1<<20)
		buf = buf[:runtime.Stack(buf, true)]
		_, others, _ := strings.Cut(string(buf), "\n\n") // the first is this one
		for g := range strings.SplitSeq(others, "\n\n") {
			if strings.Contains(g, "ringdht") && !strings.Contains(g, "created by testing.") && !strings.Contains(g, "TestMain") {
				left += g + "\n\n"
			}
		}
		if left == "" {
			return ""
		}
		time.Sleep(10 * time.Millisecond) // polling for the end, not for an outcome
	}
	return left
}
