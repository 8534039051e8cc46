package ringprom_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/x/ringdht"
	ringprom "github.com/x/ringdht/contrib/prometheus"
	"github.com/x/ringdht/memnet"
)

// A registry and a node in one process, which Prometheus scrapes at /metrics.
func Example() {
	ctx := context.Background()
	network := memnet.New(1) // leave WithTransport out for TCP
	registry, err := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")))
	if err != nil {
		log.Fatal(err)
	}
	defer registry.Close()
	registry.Listen(ctx, "registry:1")
	node := ringdht.NewNode(ringdht.WithTransport(network.Host("a")), ringdht.WithListen("a:7000"))
	defer node.Close()
	if err := node.Join(ctx, "registry:1"); err != nil {
		log.Fatal(err)
	}

	metrics := prometheus.NewRegistry()
	metrics.MustRegister(ringprom.NewRegistryCollector(registry), ringprom.NewNodeCollector(node))
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))

	server := httptest.NewServer(mux) // a program has http.ListenAndServe(":9100", mux)
	defer server.Close()
	answer, err := http.Get(server.URL + "/metrics")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	page, _ := io.ReadAll(answer.Body)
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "ringdht_members") || strings.HasPrefix(line, "ringdht_events_total{kind=\"joined\"") {
			fmt.Print(line)
		}
	}
	// Output:
	// ringdht_events_total{kind="joined",ring="ring"} 1
	// ringdht_members{ring="ring",state="active"} 0
	// ringdht_members{ring="ring",state="leaving"} 0
	// ringdht_members{ring="ring",state="linking"} 0
	// ringdht_members{ring="ring",state="registered"} 1
	// ringdht_members{ring="ring",state="stuck"} 0
	// ringdht_members{ring="ring",state="suspect"} 0
}
