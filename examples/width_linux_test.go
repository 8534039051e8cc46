package examples_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/drive"
	"github.com/x/ringdht/examples/internal/table"
)

// onTerminalOf starts a program on a terminal of a size.
func onTerminalOf(t *testing.T, columns, rows int, binary string, args ...string) *drive.Terminal {
	t.Helper()
	return onTerminalNamed(t, "xterm", columns, rows, binary, args...)
}

// onTerminalNamed starts a program on a terminal of a kind.
func onTerminalNamed(t *testing.T, term string, columns, rows int, binary string, args ...string) *drive.Terminal {
	t.Helper()
	x := drive.OpenTerminal(t, columns, rows)
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "TERM="+term)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = x.Program, x.Program, x.Program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return x
}

// command types a command and waits for the next prompt. It returns what was printed meanwhile,
// without what was typed.
func command(x *drive.Terminal, line, last string) string {
	before := len(x.Text())
	x.Type(line + "\r")
	x.Expect(last)
	x.Shows(`^> ▁$`)
	return x.Text()[before:]
}

var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

// fits demands that each line of output takes at most the columns of a terminal. What a line
// editor draws over a line counts by itself.
func fits(t *testing.T, columns int, command, output string) {
	t.Helper()
	for line := range strings.SplitSeq(output, "\n") {
		for part := range strings.SplitSeq(escapes.ReplaceAllString(line, "\r"), "\r") {
			if n := table.Cells(part); n > columns {
				t.Errorf("%s: %d of %d columns: %q", command, n, columns, part)
			}
		}
	}
}

// All commands print lines that fit the terminal, of 80 by 24 or 40 by 10 characters, with ten
// nodes whose IDs have 16 or 64 bits.
func TestCommandsFitTheTerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	bin := build(t)
	for _, c := range []struct{ columns, rows, bits int }{{80, 24, 16}, {80, 24, 64}, {40, 10, 16}, {40, 10, 64}} {
		t.Run(fmt.Sprintf("%d by %d, %d bits", c.columns, c.rows, c.bits), func(t *testing.T) {
			t.Parallel() // half of the time it watches
			x := onTerminalOf(t, c.columns, c.rows, filepath.Join(bin, "registry"), "-bits", fmt.Sprint(c.bits), "127.0.0.1:0")
			addr := x.Expect(`listening on[ \r\n]+(127\.0\.0\.1:\d+)`)[1]
			x.Shows(`^> ▁$`)
			m := onTerminalOf(t, c.columns, c.rows, filepath.Join(bin, "messenger"), addr)
			m.Expect(`This is node`)
			m.Shows(`^> ▁$`)
			var nodes []*ringdht.Node
			for range 9 {
				n := ringdht.NewNode(ringdht.WithTraffic())
				n.Service("text").Handle(func(context.Context, ringdht.Message) {})
				if err := n.Join(t.Context(), addr); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { n.Close() })
				nodes = append(nodes, n)
			}
			a, b := nodes[0].ID(), nodes[5].ID()
			for _, line := range []struct{ typed, last string }{
				{"wait 10", `10 nodes`}, {"list", "ID|port"}, {"setup 3", `ready to initiate[ \r\n]+tasks`}, {"route", `Node`},
				{"start 25000", `Time:`}, {"summary", `Time:`}, {"nodes", `active`}, {fmt.Sprintf("show-node %d", a), `writes`},
				{"runs", "exact"}, {"events", "run ended"}, {"degraded", "All links"}, {"audit", "relays"},
				{fmt.Sprintf("trace %d %d", a, b), " ms"}, {"help", `quit`}, {"help start", "start 25000"}, {"watch 1", `delivered`},
				{"stop", "no run to"}, {"foo", "unknown"}, {"strat 5", "did you mean"},
			} {
				fits(t, c.columns, line.typed, command(x, line.typed, line.last))
			}
			for _, line := range []struct{ typed, last string }{
				{"print", `queues of links`}, {"table", `Node`}, {fmt.Sprintf("send %d hello", a), `Sent`}, {fmt.Sprintf("trace %d", b), ` ms`},
				{"nodes", `port`}, {"wait 10", `10 nodes`}, {"help", `exit`}, {"watch 1", `delivered`}, {"send 5 x", `usage|no node|no such`},
			} {
				fits(t, c.columns, line.typed, command(m, line.typed, line.last))
			}
			fits(t, c.columns, "messenger", m.Text())
		})
	}
}

// A messenger that was itself stopped, and was declared dead meanwhile, says so. It does not say
// that the registry cannot be reached.
func TestPausedMessenger(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	bin := build(t)
	r := start(t, "registry", filepath.Join(bin, "registry"), "-log", "error", "127.0.0.1:0")
	_, groups := r.expect(`listening on (127\.0\.0\.1:\d+)`)
	p := start(t, "messenger", filepath.Join(bin, "messenger"), groups[1])
	p.expect(`This is node`)
	r.enter("setup")
	r.expect(`^Registry now ready`)
	p.cmd.Process.Signal(syscall.SIGSTOP)
	stopped := time.Now()
	// The lease is 3 seconds. On a busy machine the messenger may count as dead before it is stopped: a
	// shorter pause would not be told.
	for dead := false; !dead || time.Since(stopped) < 3*time.Second; {
		r.enter("watch 1")
		lines, _ := r.expect(`delivered`)
		dead = strings.Contains(lines[len(lines)-1], "no nodes")
	}
	p.cmd.Process.Signal(syscall.SIGCONT)
	lines, _ := p.expect(`^This process did not run for \d.* s, and lost its connection to the registry at \S+\. It reconnects\.$`)
	lines2, _ := p.expect(`^Node \d+ was declared dead\. It has joined again,`)
	if text := strings.Join(append(lines, lines2...), "\n"); strings.Contains(text, "cannot be reached") {
		t.Errorf("it says\n%s", text)
	}
}
