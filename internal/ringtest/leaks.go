package ringtest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Main runs a package's tests, and fails if one of them left a goroutine of this module behind.
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

// goroutinesLeft lists goroutines that run this module's code. Those that are on
// their way out get a moment.
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
