// Package leaks fails a package's tests if they leave goroutines or open files behind. Each
// package that starts goroutines has it in its TestMain; internal/house looks for that.
package leaks

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// module is in the stack of each goroutine that this module's code runs or has started.
const module = "github.com/x/ringdht"

// tries bounds how often [await] looks, once in 10 ms.
const tries = 300

// Main runs the tests of a package and exits, as [Run] says.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run runs the tests of a package and returns the exit status. It is 1 if they passed and a
// goroutine of this module, or a file that they opened, is left. A TestMain with work of its
// own calls it in the place of m.Run. What all tests of a package share, end ends.
func Run(m *testing.M, end ...func()) int {
	files, started := openFiles(), goroutines()
	code := m.Run()
	for _, f := range end {
		f()
	}
	if code != 0 || fuzzing() {
		return code
	}
	markLeaked()
	if left := await(tries, func() string { return without(started, goroutines()) }); left != "" {
		fmt.Fprintf(os.Stderr, "FAIL: the tests left goroutines behind; close what started them:\n%s", left)
		code = 1
	}
	if left := await(tries, func() string { return opened(files) }); left != "" {
		fmt.Fprintf(os.Stderr, "FAIL: the tests left files open; close them:\n%s", left)
		code = 1
	}
	return code
}

// fuzzing reports whether inputs are made up. Then package testing has goroutines and pipes
// of its own to the end.
func fuzzing() bool {
	for _, name := range []string{"test.fuzz", "test.fuzzworker"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" && f.Value.String() != "false" {
			return true
		}
	}
	return false
}

// await calls left until it returns nothing. What is about to end gets that long.
func await(tries int, left func() string) (last string) {
	for range tries {
		if last = left(); last == "" {
			break
		}
		time.Sleep(10 * time.Millisecond) // polling for the end, not for an outcome
	}
	return last
}

// markLeaked marks goroutines that nothing can wake, of any package, if the binary was
// built with GOEXPERIMENT=goroutineleakprofile.
func markLeaked() {
	if p := pprof.Lookup("goroutineleak"); p != nil {
		p.WriteTo(io.Discard, 0)
	}
}

// Goroutines returns the stacks of all goroutines of this module, and of those marked as
// leaked, but for the caller's and those that run tests. Those about to end get a while.
func Goroutines() string { return await(tries, goroutines) }

func goroutines() (left string) {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	_, others, _ := strings.Cut(string(buf), "\n\n") // the first is the caller's
	for g := range strings.SplitSeq(others, "\n\n") {
		test := strings.Contains(g, "created by testing.") || strings.Contains(g, "TestMain")
		if strings.Contains(g, module) && !test || strings.Contains(g, "(leaked)") {
			left += strings.TrimSpace(g) + "\n\n"
		}
	}
	return left
}

// without leaves out the stacks of goroutines that were there before: an init started them.
func without(before, stacks string) (left string) {
	for g := range strings.SplitSeq(strings.TrimSpace(stacks), "\n\n") {
		id, _, _ := strings.Cut(g, "[") // "goroutine 7 "
		if g != "" && !strings.Contains("\n"+before, "\n"+id) {
			left += g + "\n\n"
		}
	}
	return left
}

// openFiles returns what each file descriptor of the process leads to. It is empty on
// systems that do not tell.
func openFiles() map[string]string {
	const dir = "/proc/self/fd"
	entries, _ := os.ReadDir(dir)
	all := make(map[string]string)
	for _, e := range entries {
		target, err := os.Readlink(dir + "/" + e.Name())
		if err == nil && !strings.HasPrefix(target, "anon_inode:") { // of the runtime's poller
			all[e.Name()] = target
		}
	}
	return all
}

// opened lists the files that are open now and were not before.
func opened(before map[string]string) (left string) {
	for fd, target := range openFiles() {
		if before[fd] != target {
			left += fmt.Sprintf("  %s: %s\n", fd, target)
		}
	}
	return left
}
