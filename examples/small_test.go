package examples_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
)

// buildSmall builds one of the small examples and returns where it is.
func buildSmall(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	binary := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-o", binary, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build ./%s: %v\n%s", name, err, out)
	}
	return binary
}

// freeAddr returns a loopback address that is not in use.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestSendProgram(t *testing.T) {
	t.Parallel()
	p := start(t, "send", buildSmall(t, "send"))
	p.expect(`^received "hello" from node \d+$`)
	p.expect(`^node \d+ has handled it$`)
	p.exits()
}

func TestMetricsProgram(t *testing.T) {
	t.Parallel()
	p := start(t, "metrics", buildSmall(t, "metrics"), "-http", "127.0.0.1:0")
	_, groups := p.expect(`^metrics at (http://127\.0\.0\.1:\d+/debug/vars)$`)
	resp, err := http.Get(groups[1])
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var vars struct {
		Ring struct{ Sent *int64 }
		Node struct {
			ID       uint64
			Counters struct{ Sent *int64 }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&vars); err != nil || vars.Ring.Sent == nil || vars.Node.Counters.Sent == nil {
		t.Errorf("%v: %+v", err, vars)
	}
}
