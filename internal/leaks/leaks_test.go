package leaks

import (
	"net"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

// A goroutine that waits is found, by its function, until it has ended.
func TestGoroutines(t *testing.T) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		<-end
	}()
	if left := goroutines(); !strings.Contains(left, "leaks.TestGoroutines.func1") {
		t.Errorf("a goroutine is not found in %q", left)
	}
	close(end)
	<-ended
	if left := Goroutines(); left != "" {
		t.Errorf("it has ended, and is found: %s", left)
	}
}

// What an init has started is not left by tests, whatever it waits for by now.
func TestWithout(t *testing.T) {
	const one, later, other = "goroutine 1 [running]:\nx\n\n", "goroutine 1 [select]:\ny\n\n", "goroutine 11 [select]:\ny\n\n"
	if got := without(one, later+other); got != other {
		t.Errorf("left is %q", got)
	}
	if got := without("", ""); got != "" {
		t.Errorf("left is %q", got)
	}
}

// A file and a socket are found until they are closed.
func TestOpened(t *testing.T) {
	before := openFiles()
	if len(before) == 0 {
		t.Skip("this system does not tell which files are open")
	}
	f, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if left := opened(before); strings.Count(left, "\n") != 2 || !strings.Contains(left, "socket:") || !strings.Contains(left, os.Args[0]) {
		t.Errorf("a file and a socket are open, found is %q", left)
	}
	f.Close()
	l.Close()
	if left := opened(before); left != "" {
		t.Errorf("they are closed, and found: %q", left)
	}
}
