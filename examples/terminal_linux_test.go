package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/x/ringdht/examples/internal/drive"
)

const (
	enters = `\x1b\[\?1049h\x1b\[\?25l`
	leaves = `\x1b\[\?25h\x1b\[\?1049l`
)

// onTerminal starts a program on a terminal of its own, which sends signals for keys.
func onTerminal(t *testing.T, binary string, args ...string) (*drive.Terminal, *exec.Cmd) {
	t.Helper()
	x := drive.OpenTerminal(t, 100, 30)
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = x.Program, x.Program, x.Program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return x, cmd
}

// restored demands that a program has ended with the view left, the cursor shown, and marks of
// pastes off: that the last switch of each is this one. A signal ends the view and the marks in
// either order.
func restored(t *testing.T, x *drive.Terminal) {
	t.Helper()
	x.Drain()
	text := x.Text()
	for on, off := range map[string]string{"?1049h": "?1049l", "?25l": "?25h", "?2004h": "?2004l"} {
		if strings.LastIndex(text, "\x1b["+on) > strings.LastIndex(text, "\x1b["+off) {
			t.Errorf("the terminal is not what it was, %s was the last: %q", on, text)
		}
	}
}

// A program's view on a terminal, and its handling of signals.
func TestWatchOnTerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	bin := build(t)
	x, registry := onTerminal(t, filepath.Join(bin, "registry"), "127.0.0.1:0")
	addr := x.Expect(`listening on (127\.0\.0\.1:\d+)`)[1]
	var nodes []*drive.Terminal
	var messenger *exec.Cmd
	for range 3 {
		var n *drive.Terminal
		n, messenger = onTerminal(t, filepath.Join(bin, "messenger"), addr)
		n.Expect(`This is node (\d+)`)
		nodes = append(nodes, n)
	}
	x.Type("setup\n")
	x.Expect(`ready to initiate tasks\.\r\n> `)
	x.Type("start 1000\n")
	x.Expect(`Verdict: exact`)
	x.Type("watch\n")
	x.Expect(enters + `\x1b\[Hring: 3 active · epoch 1 · `)
	x.Expect(`run 1 +\S+/s exact · 3000 messages`)
	x.Expect(`run ended .*run 1: exact`)

	x.Resize(50, 12) // the terminal notifies the program, which redraws at once
	x.Expect(`\x1b\[Hring: 3 active`)
	x.Type("\x03") // Ctrl-C ends the view and not the program
	x.Expect(leaves + `> `)
	x.Type("watch\n")
	x.Expect(enters)
	x.Type("\x1a") // Ctrl-Z
	x.Expect(leaves)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(registry.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("not stopped: %v, %#x", err, status)
	}
	registry.Process.Signal(syscall.SIGCONT)
	x.Expect(enters)
	x.Type("list\n")
	x.Expect(leaves + `> list\r+\nhost +port +ID\r\n`)
	x.Type("watch\n")
	x.Expect(enters)
	registry.Process.Signal(syscall.SIGTERM)
	x.Expect(leaves + `(\x1b\[\?2004l)?Interrupted: watch`)
	if err := registry.Wait(); err != nil {
		t.Error(err)
	}
	restored(t, x)

	// A messenger that cannot reach its registry, and its view then.
	m := nodes[2]
	m.Expect(`The registry at \S+ cannot be reached`)
	m.Type("watch\n")
	m.Expect(enters + `\x1b\[Hnode \d+ at 127\.0\.0\.1:\d+ · \S+ · epoch 1, 3 nodes.*\r+\nThe registry at \S+ cannot be reached\.`)
	m.Expect(`delivered +\S+/s +1\d\d\d|delivered +\S+/s +\d+`)
	m.Type("\x1c") // Ctrl-\ ends a Go program with the stacks of all goroutines, which must be readable
	m.Expect(leaves + `\x1b\[\?2004lSIGQUIT`)
	messenger.Wait()
	restored(t, m)
}
