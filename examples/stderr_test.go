package examples_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// fullPipe returns a full pipe without a reader.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	for len := 4096; len > 0; len /= 2 {
		for {
			w.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			if _, err := w.Write(make([]byte, len)); err != nil {
				break
			}
		}
	}
	return w
}

// Programs go on if their standard error is a full pipe: neither logs nor errors stop the
// ring or the console.
func TestStandardErrorStandsStill(t *testing.T) {
	bin := build(t)
	registry := startWith(t, fullPipe(t), "registry", filepath.Join(bin, "registry"), "-log", "debug", "localhost:0")
	_, at := registry.expect(`^Registry listening on (\S+)$`)
	var nodes []*process
	for range 3 {
		p := startWith(t, fullPipe(t), "messenger", filepath.Join(bin, "messenger"), "-log", "debug", at[1])
		p.expect(`^This is node \d+`)
		nodes = append(nodes, p)
	}
	registry.enter("no-such-command") // the error goes to standard error
	registry.enter("setup-overlay")
	registry.expect(`^Registry now ready`)
	registry.enter("start 1000")
	registry.expect(`^Verdict: exact`)
	nodes[0].enter("no-such-command")
	nodes[0].enter("exit-overlay")
	nodes[0].expect(`^exited overlay`)
	nodes[0].exits()
	registry.enter("wait 2")
	registry.expect(`^2 nodes are registered`)
	registry.enter("start 1000")
	registry.expect(`^Verdict: exact`)
	registry.enter("quit")
	registry.exits()
}
