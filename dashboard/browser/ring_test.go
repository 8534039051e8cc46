package browser

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/dashboard"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// ring is a registry with its page and its nodes. Everything ends with the test.
type ring struct {
	t        *testing.T
	registry *ringdht.Registry
	addr     string
	net      *memnet.Network // nil over TCP
	shared   []ringdht.NodeOption
	nodes    []*ringtest.Node
	handled  atomic.Int64 // messages handled by the nodes of this process
}

// ctx returns a context with a timeout that only a broken test reaches.
func ctx(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func newRing(t *testing.T, net *memnet.Network, opts ...ringdht.RegistryOption) *ring {
	t.Helper()
	addr := "127.0.0.1:0"
	if net != nil {
		addr = "registry:0"
		opts = append(opts, ringdht.WithTransport(net.Host("registry")))
	}
	registry, err := ringdht.NewRegistry(opts...)
	if err != nil {
		t.Fatal(err)
	}
	r := &ring{t: t, registry: registry, net: net}
	t.Cleanup(func() {
		var wg sync.WaitGroup
		for _, n := range r.nodes {
			wg.Go(func() { n.Close() })
		}
		wg.Wait()
		registry.Close()
	})
	at, err := registry.Listen(ctx(t), addr)
	if err != nil {
		t.Fatal(err)
	}
	r.addr = at.String()
	return r
}

// grow adds nodes to this process.
func (r *ring) grow(n int) {
	r.t.Helper()
	nodes := make([]*ringtest.Node, n)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 64)
	for i := range n {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			opts := []ringdht.NodeOption{ringdht.WithTraffic(), ringdht.WithListen("127.0.0.1:0")}
			if r.net != nil {
				opts = []ringdht.NodeOption{ringdht.WithTraffic(), ringdht.WithTransport(r.net.Host(fmt.Sprintf("n%d", len(r.nodes)+i)))}
			}
			node, err := ringtest.Join(ctx(r.t), r.addr, func(context.Context, ringdht.Message) { r.handled.Add(1) }, append(opts, r.shared...)...)
			if err != nil {
				r.t.Error(err)
				return
			}
			nodes[i] = node
		})
	}
	wg.Wait()
	if r.t.Failed() {
		r.t.FailNow()
	}
	r.nodes = append(r.nodes, nodes...)
}

// join adds nodes with these IDs to this process, over the in-memory network: the first at the
// host n0.
func (r *ring) join(ids ...ringdht.ID) {
	r.t.Helper()
	for _, id := range ids {
		r.shared = []ringdht.NodeOption{ringdht.WithID(id)}
		r.grow(1)
	}
	r.shared = nil
}

// detour cuts the link between two nodes of the in-memory network, one of which has the other
// as an entry, and waits until the page shows the detour.
func (r *ring) detour(p *page, i, j int) {
	r.t.Helper()
	r.net.Cut(fmt.Sprint("n", i), fmt.Sprint("n", j))
	wait[bool](p, "the detour", `window.ringdht.store.degraded.length > 0`)
}

// trouble makes one node each of a large ring dead, suspect and left, and leads a pair around.
func (r *ring) trouble(p *page) {
	r.t.Helper()
	index := make(map[ringdht.ID]int)
	for i, n := range r.nodes {
		index[n.ID()] = i
	}
	s := r.registry.Snapshot()
	if err := r.nodes[index[s.Members[80].ID]].Leave(ctx(r.t)); err != nil { // beside a suspect it takes a lease: that confirms no list
		r.t.Error(err)
	}
	a, b := s.Members[120], s.Members[122]
	r.net.Cut(fmt.Sprint("n", index[a.ID]), fmt.Sprint("n", index[b.ID]))
	suspect := fmt.Sprint("n", index[s.Members[50].ID]) // its connection ends, and the registry's dials to it hang
	r.net.Hold("registry", suspect)
	r.net.Hold(suspect, "registry")
	r.net.Cut(suspect, "registry")
	r.net.Mend(suspect, "registry")
	r.nodes[index[s.Members[160].ID]].Close()
	r.nodes[index[s.Members[10].ID]].Close()
	wait[bool](p, "two deaths, a leave, a suspect and a detour", `["dead", "left", "suspect"].every((s) => document.querySelector("#nodes tr[data-state=" + s + "]")) && window.ringdht.store.degraded.length > 0`)
}

// setup sets the overlay up and waits until all nodes are ready.
func (r *ring) setup(k int) {
	r.t.Helper()
	if _, err := r.registry.Setup(ctx(r.t), k); err != nil {
		r.t.Fatal(err)
	}
	for _, n := range r.nodes {
		if err := n.Ready(ctx(r.t)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// run lets every node send so many messages, and demands an exact account.
func (r *ring) run(messages int) *status.Summary {
	r.t.Helper()
	s, err := r.registry.RunTraffic(ctx(r.t), status.Traffic{Messages: messages})
	if err != nil {
		r.t.Fatal(err)
	}
	if !s.Exact() {
		r.t.Fatalf("verdict: %s", s.Verdict())
	}
	return s
}

// serve serves the ring's page below a path, and returns its address.
func (r *ring) serve(path string, opts ...dashboard.Option) string {
	r.t.Helper()
	return r.serveWith(path, func(h http.Handler) http.Handler { return h }, opts...).URL + path
}

// serveWith serves it behind another handler.
func (r *ring) serveWith(path string, wrap func(http.Handler) http.Handler, opts ...dashboard.Option) *httptest.Server {
	r.t.Helper()
	h := http.StripPrefix(strings.TrimSuffix(path, "/"), dashboard.Handler(r.registry, opts...))
	s := httptest.NewServer(wrap(h))
	r.t.Cleanup(func() {
		s.CloseClientConnections() // the streams of pages would keep it open
		s.Close()
	})
	return s
}

// find returns a member of a snapshot.
func find(s *status.Snapshot, id ringdht.ID) *status.Member {
	for i := range s.Members {
		if s.Members[i].ID == id {
			return &s.Members[i]
		}
	}
	return nil
}

// nodeRole names the environment variable that makes the test binary a node of the registry
// in its value, and nodeID the variable with the ID to ask for.
const (
	nodeRole = "RINGDHT_BROWSER_NODE"
	nodeID   = "RINGDHT_BROWSER_ID"
)

// nodeProcess runs a node: it prints its ID, and leaves the ring when its input says so.
func nodeProcess(addr string) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	opts := []ringdht.NodeOption{ringdht.WithTraffic(), ringdht.WithListen("127.0.0.1:0")}
	if id, err := strconv.ParseUint(os.Getenv(nodeID), 10, 64); err == nil {
		opts = append(opts, ringdht.WithID(ringdht.ID(id)))
	}
	n, err := ringtest.Join(ctx, addr, func(context.Context, ringdht.Message) {}, opts...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(n.ID())
	if line, _ := bufio.NewReader(os.Stdin).ReadString('\n'); line == "leave\n" {
		if err := n.Leave(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	n.Close() // the test has ended
}

// process is a node in a process of its own.
type process struct {
	*exec.Cmd
	id    ringdht.ID
	stdin io.WriteCloser
}

// spawn starts nodes in processes of their own, with these IDs or any.
func (r *ring) spawn(n int, ids ...ringdht.ID) []*process {
	r.t.Helper()
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	all := make([]*process, n)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			p := &process{Cmd: exec.Command(self)}
			p.Env = append(os.Environ(), nodeRole+"="+r.addr)
			if i < len(ids) {
				p.Env = append(p.Env, nodeID+"="+fmt.Sprint(ids[i]))
			}
			p.Stderr = os.Stderr
			p.stdin, _ = p.StdinPipe()
			out, err := p.StdoutPipe()
			if err == nil {
				err = p.Start()
			}
			if err != nil {
				r.t.Error(err)
				return
			}
			r.t.Cleanup(func() {
				p.Process.Kill()
				p.Wait()
			})
			line, _ := bufio.NewReader(out).ReadString('\n')
			id, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
			if err != nil {
				r.t.Errorf("a node's process says %q", line)
				return
			}
			p.id = ringdht.ID(id)
			all[i] = p
		})
	}
	wg.Wait()
	if r.t.Failed() {
		r.t.FailNow()
	}
	return all
}
