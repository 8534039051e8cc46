package examples_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A messenger whose registry has had another ring for 20 leases joins that one. It does not say that
// it was declared dead.
func TestMessengerGivesUpItsRing(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	bin, dir := build(t), t.TempDir()
	kept := `{"version": 1, "ring": "ring", "identity": "` + strings.Repeat("0f", 16) + `", "bits": 16, "max_payload": 65536, "empty": true}`
	if err := os.WriteFile(filepath.Join(dir, "ring.json"), []byte(kept), 0o600); err != nil {
		t.Fatal(err)
	}
	registry := func(args ...string) (*process, string) {
		args = append(args, "-lease", "200ms", "-log", "error", "-setup", "auto")
		r := start(t, "registry", filepath.Join(bin, "registry"), append(args[1:], args[0])...)
		_, groups := r.expect(`listening on (127\.0\.0\.1:\d+)`)
		return r, groups[1]
	}
	r, addr := registry("127.0.0.1:0")
	m := start(t, "messenger", filepath.Join(bin, "messenger"), addr)
	m.expect(`This is node`)
	m.enter("wait") // a node without a table is of no ring yet, and may become a member of any
	m.enter("list-known-nodes")
	m.expect(`^host +port +ID`)
	r.cmd.Process.Kill()
	r.cmd.Wait()
	registry(addr, "-state", dir)
	m.expect(`^The registry at \S+ refuses this node: .*another ring`)
	m.expect(`^Node \d+ has given up its ring, which this registry does not have\. It has joined again,`)
}
