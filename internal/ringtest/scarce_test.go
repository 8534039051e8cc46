//go:build linux

package ringtest_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/ringtest"
)

// scarceEnv makes the test binary run as the process that runs out of file descriptors.
const scarceEnv = "RINGDHT_TEST_SCARCE"

// Running out of file descriptors slows accepting down. No link ends.
func TestFileDescriptorsRunOut(t *testing.T) {
	if os.Getenv(scarceEnv) != "" {
		scarceProcess(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFileDescriptorsRunOut$", "-test.v")
	cmd.Env = append(os.Environ(), scarceEnv+"=1")
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	lines := bufio.NewScanner(stdout)
	expect := func(prefix string) string {
		t.Helper()
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
				return strings.TrimSpace(rest)
			}
			if strings.Contains(lines.Text(), "FAIL") {
				break
			}
		}
		var rest strings.Builder
		rest.WriteString(lines.Text())
		for lines.Scan() {
			rest.WriteString("\n" + lines.Text())
		}
		t.Fatalf("no line %q: %s", prefix, rest.String())
		return ""
	}
	addr := expect("listening on ")
	var conns []net.Conn
	for range 300 { // far more than it has descriptors
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			break // its queue is full too
		}
		conns = append(conns, conn)
	}
	io.WriteString(stdin, "flood\n")
	expect("short of descriptors")
	expect("ring works")
	for _, c := range conns {
		c.Close()
	}
	io.WriteString(stdin, "ebb\n")
	expect("newcomer ready")
	expect("--- PASS")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func scarceProcess(t *testing.T) {
	log := ringtest.NewLog()
	tr := ringtest.New(t, nil, log.Option())
	for range 4 {
		tr.Join(nil)
	}
	tr.Setup(0)
	tr.Exchange(tr.Nodes...)
	fds, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip("cannot count file descriptors:", err)
	}
	limit := syscall.Rlimit{Cur: uint64(len(fds) + 20), Max: uint64(len(fds) + 20)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	fmt.Println("listening on", tr.Addr)
	in := bufio.NewScanner(os.Stdin)
	in.Scan()
	log.WaitFor(t, "cannot accept connections")
	fmt.Println("short of descriptors")
	epoch := tr.Registry.Epoch()
	for range 20 {
		tr.Exchange(tr.Nodes...)
	}
	for _, n := range tr.Nodes {
		if c := n.Status().Counters; c.Dropped.LinkDown > 0 {
			t.Errorf("node %d lost a link: %+v", n.ID(), c.Dropped)
		}
	}
	if tr.Registry.Epoch() != epoch || len(tr.Registry.Members()) != 4 {
		t.Errorf("epoch %d, was %d; members %v", tr.Registry.Epoch(), epoch, tr.Registry.Members())
	}
	fmt.Println("ring works")
	in.Scan()
	newcomer, err := tr.TryJoin(nil)
	for err != nil && dial.IsShortage(err) { // until the flood has drained
		time.Sleep(time.Millisecond)
		newcomer, err = tr.TryJoin(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := newcomer.Ready(tr.Ctx()); err != nil {
		t.Error(err)
	}
	fmt.Println("newcomer ready")
}
