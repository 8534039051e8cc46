package health_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/health"
	"github.com/x/ringdht/memnet"
)

// A service answers probes before it has joined: it is healthy and not ready.
func ExampleHandler() {
	ctx, ring := context.Background(), memnet.New(1)
	n := ringdht.NewNode(ringdht.WithTransport(ring.Host("a")), ringdht.WithRetry())
	defer n.Close()
	probes := httptest.NewServer(health.Handler(n.ReadyNow))
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

	registry, err := ringdht.NewRegistry(ringdht.WithTransport(ring.Host("registry")), ringdht.WithSelfSetup(0), ringdht.WithGrace(time.Millisecond))
	if err != nil {
		panic(err)
	}
	defer registry.Close()
	if _, err := registry.Listen(ctx, "registry:1"); err != nil {
		panic(err)
	}
	if err := n.Join(ctx, "registry:1"); err != nil {
		panic(err)
	}
	if err := n.Ready(ctx); err != nil {
		panic(err)
	}
	ask("/readyz")
	// Output:
	// 200 ok
	// 503 ringdht: new node: the overlay is not ready: it has not joined a ring yet: call Join, or wait for it
	// 200 ready
}
