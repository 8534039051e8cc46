// Package ringtest starts rings for this module's tests: a registry and its nodes, over TCP or
// in memory, with what they wrap within reach. Its own tests are those of whole rings.
package ringtest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Main runs a package's tests, and fails if one of them left a goroutine of this module behind.
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := goroutinesLeft(); left != "" {
			fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", left)
			code = 1
		}
	}
	os.Exit(code)
}

// Hold is what a handler does that waits until a test lets it go on.
func Hold(ctx context.Context, release <-chan struct{}) {
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

// Ring is a registry and its nodes.
type Ring struct {
	T        testing.TB
	Name     string           // of its nodes' hosts, with a number
	Net      *memnet.Network  // nil over TCP
	Shared   []ringdht.Option // of all members
	Registry *ringdht.Registry
	Addr     string
	Nodes    []*ringdht.Node // in the order of joining
}

var openRings atomic.Int32

// New starts a registry, on TCP if net is nil. Everything is closed when
// the test ends, and no goroutine may be left then.
func New(t testing.TB, net *memnet.Network, opts ...ringdht.RegistryOption) *Ring {
	t.Helper()
	tr := &Ring{T: t, Net: net, Name: "n"}
	for _, o := range opts {
		if both, ok := o.(ringdht.Option); ok {
			tr.Shared = append(tr.Shared, both)
		}
	}
	addr := "127.0.0.1:0"
	if net != nil {
		opts = append(opts, ringdht.WithTransport(net.Host("registry")))
		addr = "registry:0"
	}
	// A loaded machine must not look like a dead node; tests of the lease set it.
	opts = append([]ringdht.RegistryOption{ringdht.WithLease(30 * time.Second)}, opts...)
	r, err := ringdht.NewRegistry(opts...)
	if err != nil {
		t.Fatal(err)
	}
	tr.Registry = r
	openRings.Add(1)
	t.Cleanup(func() {
		tr.Close()
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
	tr.Addr = a.String()
	return tr
}

func (tr *Ring) Close() {
	var wg sync.WaitGroup
	for _, n := range tr.Nodes {
		wg.Go(func() { n.Close() })
	}
	wg.Wait()
	tr.Registry.Close()
}

func (tr *Ring) Options(opts []ringdht.NodeOption) []ringdht.NodeOption {
	var all []ringdht.NodeOption
	for _, o := range tr.Shared {
		all = append(all, o)
	}
	if tr.Net != nil {
		all = append(all, ringdht.WithTransport(tr.Net.Host(fmt.Sprintf("%s%d", tr.Name, len(tr.Nodes)))))
	}
	return append(all, opts...)
}

func (tr *Ring) TryJoin(h ringdht.Handler, opts ...ringdht.NodeOption) (*ringdht.Node, error) {
	n, err := ringdht.Join(tr.Ctx(), tr.Addr, h, tr.Options(opts)...)
	if err == nil {
		tr.Nodes = append(tr.Nodes, n)
	}
	return n, err
}

// Join adds a node.
func (tr *Ring) Join(h ringdht.Handler, opts ...ringdht.NodeOption) *ringdht.Node {
	tr.T.Helper()
	n, err := tr.TryJoin(h, opts...)
	if err != nil {
		tr.T.Fatal(err)
	}
	return n
}

// Ctx is long enough for anything that is not broken.
func (tr *Ring) Ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	tr.T.Cleanup(cancel)
	return ctx
}

func (tr *Ring) Setup(k int, opts ...ringdht.SetupOption) status.Audit {
	tr.T.Helper()
	a, err := tr.Registry.Setup(tr.Ctx(), k, opts...)
	if err != nil {
		tr.T.Fatal(err)
	}
	for _, n := range tr.Nodes {
		if err := n.Ready(tr.Ctx()); err != nil {
			tr.T.Fatal(err)
		}
	}
	return a
}

// Run starts a traffic run and demands that it is exact.
func (tr *Ring) Run(tf ringdht.Traffic) *status.Summary {
	tr.T.Helper()
	s, err := tr.Registry.RunTraffic(tr.Ctx(), tf)
	if err != nil {
		tr.T.Fatal(err)
	}
	var want int64
	for _, n := range tr.Nodes {
		if Of(n).Config().Traffic {
			want += int64(tf.Messages)
		}
	}
	if !s.Exact() || s.Sum.Sent != want || s.Sum.Received != want || s.Sum.SumSent != s.Sum.SumReceived {
		tr.T.Fatalf("verdict %s, sum %+v, want %d messages", s.Verdict(), s.Sum, want)
	}
	return s
}

// Position finds where in the ring each node is.
func (tr *Ring) Position() map[ringdht.ID]int {
	at := make(map[ringdht.ID]int)
	for i, p := range tr.Registry.Members() {
		at[p.ID] = i
	}
	return at
}

// Log logs to the test, for the tests that read it.
type Log struct {
	Mu sync.Mutex
	B  strings.Builder
	Ch chan struct{}
}

func NewLog() *Log { return &Log{Ch: make(chan struct{}, 1)} }

func (l *Log) Write(p []byte) (int, error) {
	l.Mu.Lock()
	l.B.Write(p)
	l.Mu.Unlock()
	select {
	case l.Ch <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (l *Log) Option() ringdht.Option {
	return ringdht.WithLogger(slog.New(slog.NewTextHandler(l, nil)))
}

// WaitFor waits until a line contains all the words.
func (l *Log) WaitFor(t *testing.T, words ...string) {
	t.Helper()
	for deadline := time.After(time.Minute); ; {
		l.Mu.Lock()
		text := l.B.String()
		l.Mu.Unlock()
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
		case <-l.Ch:
		case <-deadline:
			t.Fatalf("no line with %q in the log:\n%s", words, text)
		}
	}
}

// Until waits for what a node shows of itself.
func Until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(2 * time.Millisecond) { // polling for an event that nobody tells of
		if time.Now().After(deadline) {
			t.Fatal("still not so: ", what)
		}
	}
}

// Settled waits until the registry has everybody where they should be.
func (tr *Ring) Settled() {
	tr.T.Helper()
	if err := tr.Registry.WaitSettled(tr.Ctx()); err != nil {
		tr.T.Fatal(err)
	}
}

// Exchange sends a message from each node to each other and waits until all are
// delivered.
func (tr *Ring) Exchange(nodes ...*ringdht.Node) {
	tr.T.Helper()
	var wg sync.WaitGroup
	for _, from := range nodes {
		wg.Go(func() {
			for _, to := range nodes {
				if to == from {
					continue
				}
				if err := from.Send(tr.Ctx(), to.ID(), []byte("x")); err != nil {
					tr.T.Errorf("from %d to %d: %v", from.ID(), to.ID(), err)
				}
			}
			if err := from.Flush(tr.Ctx()); err != nil {
				tr.T.Errorf("from %d: %v", from.ID(), err)
			}
		})
	}
	wg.Wait()
}

// Drop takes a node out of the test's list.
func (tr *Ring) Drop(n *ringdht.Node) {
	tr.Nodes = slices.DeleteFunc(tr.Nodes, func(x *ringdht.Node) bool { return x == n })
}

// Gone waits until the registry has forgotten a node.
func (tr *Ring) Gone(id ringdht.ID) {
	tr.T.Helper()
	err := In(tr.Registry).Await(tr.Ctx(), func() bool {
		_, there := In(tr.Registry).Authority().Holder(uint64(id))
		return !there
	})
	if err != nil {
		tr.T.Fatal(err)
	}
}

// Restart starts another registry at the address of the one that was closed.
func (tr *Ring) Restart(opts ...ringdht.RegistryOption) {
	tr.T.Helper()
	if tr.Net != nil {
		opts = append(opts, ringdht.WithTransport(tr.Net.Host("registry")))
	}
	r, err := ringdht.NewRegistry(opts...)
	if err != nil {
		tr.T.Fatal(err)
	}
	if _, err := r.Listen(tr.T.Context(), tr.Addr); err != nil {
		tr.T.Fatal(err)
	}
	tr.Registry = r
	tr.T.Cleanup(func() { r.Close() })
}

// EndsBefore is a context that ends before it is first looked at.
type EndsBefore struct {
	context.Context
	End func()
}

func (c EndsBefore) Done() <-chan struct{} {
	c.End()
	return c.Context.Done()
}
