package ringprom

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/x/ringdht/status"
)

// The cost of a scrape, from the request to the page, on an idle ring.
func BenchmarkScrape(b *testing.B) {
	for _, members := range []int{10, 1000} {
		tr := newTestRing(b, "r", members)
		tr.run(0, 10)
		for slices.ContainsFunc(tr.registry.Snapshot().Members, func(m status.Member) bool { return m.Counters.Sent == 0 }) {
			time.Sleep(10 * time.Millisecond) // until the heartbeats have come
		}
		for name, c := range map[string]prometheus.Collector{
			"registry":           NewRegistryCollector(tr.registry),
			"registry+WithNodes": NewRegistryCollector(tr.registry, WithNodes()),
			"node":               NewNodeCollector(tr.nodes[0]),
		} {
			g := prometheus.NewRegistry()
			g.MustRegister(c)
			handler := promhttp.HandlerFor(g, promhttp.HandlerOpts{DisableCompression: true})
			b.Run(fmt.Sprintf("%s/members=%d", name, members), func(b *testing.B) {
				b.ReportAllocs()
				page := 0
				for b.Loop() {
					w := httptest.NewRecorder()
					handler.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
					if w.Code != 200 {
						b.Fatal(w.Code, w.Body)
					}
					page = w.Body.Len()
				}
				b.ReportMetric(float64(page), "page-bytes")
			})
		}
		b.Run(fmt.Sprintf("only the snapshot/members=%d", members), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tr.registry.Snapshot()
			}
		})
		tr.close()
	}
}
