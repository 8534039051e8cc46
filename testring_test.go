package ringdht

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht/status"
)

// TestMain fails the run if a test left a goroutine of this module behind.
func TestMain(m *testing.M) {
	if lease := os.Getenv(registryRole); lease != "" {
		registryProcess(lease)
		return
	}
	code := m.Run()
	if code == 0 {
		if left := goroutinesLeft(); left != "" {
			fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", left)
			code = 1
		}
	}
	os.Exit(code)
}

// hold is what a handler does that waits until a test lets it go on.
func hold(ctx context.Context, release <-chan struct{}) {
	select {
	case <-release:
	case <-ctx.Done():
	}
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

// testRing is a registry and its nodes.
type testRing struct {
	t        testing.TB
	name     string         // of its nodes' hosts, with a number
	net      *MemoryNetwork // nil over TCP
	shared   []Option       // of all members
	registry *Registry
	addr     string
	nodes    []*Node // in the order of joining
}

var openRings atomic.Int32

// newTestRing starts a registry, on TCP if net is nil. Everything is closed when
// the test ends, and no goroutine may be left then.
func newTestRing(t testing.TB, net *MemoryNetwork, opts ...RegistryOption) *testRing {
	t.Helper()
	tr := &testRing{t: t, net: net, name: "n"}
	for _, o := range opts {
		if both, ok := o.(Option); ok {
			tr.shared = append(tr.shared, both)
		}
	}
	addr := "127.0.0.1:0"
	if net != nil {
		opts = append(opts, WithTransport(net.Host("registry")))
		addr = "registry:0"
	}
	// A loaded machine must not look like a dead node; tests of the lease set it.
	opts = append([]RegistryOption{WithLease(30 * time.Second)}, opts...)
	r, err := NewRegistry(opts...)
	if err != nil {
		t.Fatal(err)
	}
	tr.registry = r
	openRings.Add(1)
	t.Cleanup(func() {
		tr.close()
		if openRings.Add(-1) > 0 { // the test has others
			return
		}
		if left := goroutinesLeft(); left != "" {
			t.Errorf("goroutines left behind:\n%s", left)
		}
	})
	a, err := r.Listen(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	tr.addr = a.String()
	return tr
}

func (tr *testRing) close() {
	var wg sync.WaitGroup
	for _, n := range tr.nodes {
		wg.Go(func() { n.Close() })
	}
	wg.Wait()
	tr.registry.Close()
}

func (tr *testRing) options(opts []NodeOption) []NodeOption {
	var all []NodeOption
	for _, o := range tr.shared {
		all = append(all, o)
	}
	if tr.net != nil {
		all = append(all, WithTransport(tr.net.Host(fmt.Sprintf("%s%d", tr.name, len(tr.nodes)))))
	}
	return append(all, opts...)
}

func (tr *testRing) tryJoin(h Handler, opts ...NodeOption) (*Node, error) {
	n, err := Join(tr.ctx(), tr.addr, h, tr.options(opts)...)
	if err == nil {
		tr.nodes = append(tr.nodes, n)
	}
	return n, err
}

// join adds a node.
func (tr *testRing) join(h Handler, opts ...NodeOption) *Node {
	tr.t.Helper()
	n, err := tr.tryJoin(h, opts...)
	if err != nil {
		tr.t.Fatal(err)
	}
	return n
}

// ctx is long enough for anything that is not broken.
func (tr *testRing) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	tr.t.Cleanup(cancel)
	return ctx
}

func (tr *testRing) setup(k int, opts ...SetupOption) status.Audit {
	tr.t.Helper()
	a, err := tr.registry.Setup(tr.ctx(), k, opts...)
	if err != nil {
		tr.t.Fatal(err)
	}
	for _, n := range tr.nodes {
		if err := n.Ready(tr.ctx()); err != nil {
			tr.t.Fatal(err)
		}
	}
	return a
}

// run starts a traffic run and demands that it is exact.
func (tr *testRing) run(tf Traffic) *status.Summary {
	tr.t.Helper()
	s, err := tr.registry.RunTraffic(tr.ctx(), tf)
	if err != nil {
		tr.t.Fatal(err)
	}
	var want int64
	for _, n := range tr.nodes {
		if n.cfg.traffic {
			want += int64(tf.Messages)
		}
	}
	if !s.Exact() || s.Sum.Sent != want || s.Sum.Received != want || s.Sum.SumSent != s.Sum.SumReceived {
		tr.t.Fatalf("verdict %s, sum %+v, want %d messages", s.Verdict(), s.Sum, want)
	}
	return s
}

// position finds where in the ring each node is.
func (tr *testRing) position() map[ID]int {
	at := make(map[ID]int)
	for i, p := range tr.registry.Members() {
		at[p.ID] = i
	}
	return at
}

// testLog logs to the test, for the tests that read it.
type testLog struct {
	mu sync.Mutex
	b  strings.Builder
	ch chan struct{}
}

func newTestLog() *testLog { return &testLog{ch: make(chan struct{}, 1)} }

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.b.Write(p)
	l.mu.Unlock()
	select {
	case l.ch <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (l *testLog) option() Option { return WithLogger(slog.New(slog.NewTextHandler(l, nil))) }

// waitFor waits until a line contains all the words.
func (l *testLog) waitFor(t *testing.T, words ...string) {
	t.Helper()
	for deadline := time.After(time.Minute); ; {
		l.mu.Lock()
		text := l.b.String()
		l.mu.Unlock()
	lines:
		for line := range strings.Lines(text) {
			for _, w := range words {
				if !strings.Contains(line, w) {
					continue lines
				}
			}
			return
		}
		select {
		case <-l.ch:
		case <-deadline:
			t.Fatalf("no line with %q in the log:\n%s", words, text)
		}
	}
}
