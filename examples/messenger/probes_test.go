package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/examples/internal/drive"
)

// probe asks a path and returns the status and the text.
func probe(t *testing.T, url, path string) (int, string) {
	t.Helper()
	resp, err := http.Get(url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// awaitProbe asks a path until it has this status and its text this part.
func awaitProbe(t *testing.T, url, path string, status int, part string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		got, text := probe(t, url, path)
		if got == status && strings.Contains(text, part) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d %q, want %d %q", path, got, text, status, part)
		}
	}
}

// gate is a writer that stops at a message until it is opened.
type gate struct {
	io.Writer
	open chan struct{}
}

func (g *gate) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("Message from")) {
		<-g.open
	}
	return g.Writer.Write(b)
}

// A messenger is healthy from its start on. It is ready when the overlay is set up, and not ready
// from the moment it leaves, while it still serves. It stays ready while the registry is away.
func TestProbes(t *testing.T) {
	usual := leaveTimeout
	t.Cleanup(func() { leaveTimeout = usual }) // when the programs have ended
	leaveTimeout = time.Minute                 // the test ends the wait
	r, addr := newRegistry(t)
	a := drive.Start(t, run, "-http", "0", addr)
	url := a.Expect(`^Probes at (\S+)/healthz and /readyz$`)[1]
	a.Expect(`^This is node`)
	if status, text := probe(t, url, "/healthz"); status != http.StatusOK || text != "ok\n" {
		t.Errorf("%d %q", status, text)
	}
	if status, text := probe(t, url, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(text, "run setup-overlay") {
		t.Errorf("%d %q", status, text)
	}
	g := &gate{open: make(chan struct{})}
	b := drive.Start(t, func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
		g.Writer = stdout
		return run(ctx, args, stdin, g, stderr)
	}, "-http", "0", addr)
	other := b.Expect(`^Probes at (\S+)/healthz and /readyz$`)[1]
	sink := b.Expect(`^This is node (\d+)`)[1]
	if _, err := r.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	awaitProbe(t, url, "/readyz", http.StatusOK, "ready")

	a.Type(fmt.Sprintf("send %s hello", sink))
	a.Expect(`^Sent to`)
	a.Interrupt() // it leaves, and waits for the sink to have handled the message
	awaitProbe(t, url, "/readyz", http.StatusServiceUnavailable, "leav")
	if status, _ := probe(t, url, "/healthz"); status != http.StatusOK {
		t.Errorf("healthz while it leaves: %d", status)
	}
	close(g.open)
	if status := a.Status(); status != 0 {
		t.Error(status)
	}
	if _, err := http.Get(url + "/healthz"); err == nil {
		t.Error("it serves after its end")
	}

	r.Close()
	b.Expect(`cannot be reached`)
	if status, text := probe(t, other, "/readyz"); status != http.StatusOK {
		t.Errorf("without a registry: %d %q", status, text)
	}
	leaveTimeout = time.Millisecond // no registry confirms that it leaves
}

// Without a registry there is no membership, but probes are answered during the attempt.
func TestProbesBeforeJoining(t *testing.T) {
	silent := silentListener(t)
	p := drive.Start(t, run, "-http", "0", silent)
	url := p.Expect(`^Probes at (\S+)/healthz and /readyz$`)[1]
	if status, _ := probe(t, url, "/healthz"); status != http.StatusOK {
		t.Error(status)
	}
	if status, text := probe(t, url, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(text, "not joined") {
		t.Errorf("%d %q", status, text)
	}
}

// silentListener accepts connections and says nothing.
func silentListener(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
