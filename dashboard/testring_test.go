package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/leaks"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

func TestMain(m *testing.M) { leaks.Main(m) }

// testRing is a registry and its nodes over an in-memory network.
type testRing struct {
	t        testing.TB
	net      *memnet.Network
	registry *ringdht.Registry
	addr     string
	nodes    []*ringtest.Node
}

func newTestRing(t testing.TB, size int, opts ...ringdht.RegistryOption) *testRing {
	t.Helper()
	tr := &testRing{t: t, net: memnet.New(1)}
	opts = append([]ringdht.RegistryOption{ringdht.WithLease(30 * time.Second), ringdht.WithTransport(tr.net.Host("registry"))}, opts...)
	r, err := ringdht.NewRegistry(opts...)
	if err != nil {
		t.Fatal(err)
	}
	tr.registry = r
	t.Cleanup(tr.close)
	addr, err := r.Listen(tr.ctx(), "registry:0")
	if err != nil {
		t.Fatal(err)
	}
	tr.addr = addr.String()
	for range size {
		tr.join()
	}
	return tr
}

func (tr *testRing) close() {
	for _, n := range tr.nodes {
		n.Close()
	}
	tr.registry.Close()
}

func (tr *testRing) join(opts ...ringdht.NodeOption) *ringtest.Node {
	tr.t.Helper()
	opts = append([]ringdht.NodeOption{ringdht.WithTraffic(), ringdht.WithTransport(tr.net.Host(fmt.Sprint("n", len(tr.nodes))))}, opts...)
	n, err := ringtest.Join(tr.ctx(), tr.addr, nil, opts...)
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.nodes = append(tr.nodes, n)
	return n
}

func (tr *testRing) setup(k int) status.Audit {
	tr.t.Helper()
	a, err := tr.registry.Setup(tr.ctx(), k)
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

// ctx returns a context with a timeout that only a broken test reaches.
func (tr *testRing) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	tr.t.Cleanup(cancel)
	return ctx
}

// ask sends a request to a handler and decodes the answer, unless answer is nil.
func ask(t testing.TB, h http.Handler, r *http.Request, answer any) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if answer != nil {
		if err := json.Unmarshal(w.Body.Bytes(), answer); err != nil {
			t.Fatalf("%s %s: %d %s: %v", r.Method, r.URL, w.Code, w.Body, err)
		}
	}
	return w
}

func get(path string) *http.Request { return httptest.NewRequest("GET", "http://localhost"+path, nil) }

func post(path, body string) *http.Request {
	return httptest.NewRequest("POST", "http://localhost"+path, strings.NewReader(body))
}

type failure struct{ Error string }
