package health_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/health"
	"github.com/x/ringdht/memnet"
)

// A service answers probes before it has joined: it is healthy and not ready.
func ExampleHandler() {
	var node atomic.Pointer[ringdht.Node]
	probes := httptest.NewServer(health.Handler(func() error {
		if n := node.Load(); n != nil {
			return n.ReadyNow()
		}
		return errors.New("it has not joined yet")
	}))
	defer probes.Close()
	ask := func(path string) {
		resp, err := http.Get(probes.URL + path)
		if err != nil {
			panic(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		fmt.Println(resp.StatusCode, strings.TrimSpace(string(body)))
	}
	ask("/healthz")
	ask("/readyz")

	ctx, ring := context.Background(), memnet.New(1)
	registry, err := ringdht.NewRegistry(ringdht.WithTransport(ring.Host("registry")), ringdht.WithSelfSetup(0), ringdht.WithGrace(time.Millisecond))
	if err != nil {
		panic(err)
	}
	defer registry.Close()
	if _, err := registry.Listen(ctx, "registry:1"); err != nil {
		panic(err)
	}
	n, err := ringdht.Join(ctx, "registry:1", nil, ringdht.WithTransport(ring.Host("a")), ringdht.WithRetry())
	if err != nil {
		panic(err)
	}
	defer n.Close()
	if err := n.Ready(ctx); err != nil {
		panic(err)
	}
	node.Store(n)
	ask("/readyz")
	// Output:
	// 200 ok
	// 503 it has not joined yet
	// 200 ready
}
