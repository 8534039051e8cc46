package ringprom

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/x/ringdht"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

const lease = 3 * time.Second

// testRing is a registry and its nodes, on an in-memory network.
type testRing struct {
	t        testing.TB
	network  *memnet.Network
	registry *ringdht.Registry
	nodes    []*ringdht.Node
}

// newTestRing starts a ring. prepare is called with each node before it joins.
func newTestRing(t testing.TB, name string, nodes int, prepare ...func(n *ringdht.Node)) *testRing {
	t.Helper()
	tr := &testRing{t: t, network: memnet.New(1)}
	var err error
	tr.registry, err = ringdht.NewRegistry(ringdht.WithTransport(tr.network.Host("registry")), ringdht.WithLease(lease), ringdht.WithRing(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.close)
	if _, err := tr.registry.Listen(t.Context(), "registry:1"); err != nil {
		t.Fatal(err)
	}
	for range nodes {
		host := tr.network.Host(fmt.Sprintf("host%d", len(tr.nodes)))
		n := ringdht.NewNode(ringdht.WithTransport(host), ringdht.WithTraffic(), ringdht.WithRing(name), ringdht.WithName(fmt.Sprint("n", len(tr.nodes))))
		for _, f := range prepare {
			f(n)
		}
		if err := n.Join(t.Context(), "registry:1"); err != nil {
			t.Fatal(err)
		}
		tr.nodes = append(tr.nodes, n)
	}
	return tr
}

func (tr *testRing) close() {
	for _, n := range tr.nodes {
		n.Close()
	}
	tr.registry.Close()
}

// run sets the ring up and lets each node send messages.
func (tr *testRing) run(entries, messages int) {
	tr.t.Helper()
	ctx := context.Background()
	if _, err := tr.registry.Setup(ctx, entries); err != nil {
		tr.t.Fatal(err)
	}
	tr.traffic(messages)
}

func (tr *testRing) traffic(messages int) {
	tr.t.Helper()
	ctx := context.Background()
	s, err := tr.registry.RunTraffic(ctx, status.Traffic{Messages: messages})
	if err != nil || !s.Exact() {
		tr.t.Fatal(err, s)
	}
}

// drop loses a part of the writes between nodes.
func (tr *testRing) drop(part float64) {
	for a := range tr.nodes {
		for b := range tr.nodes {
			tr.network.Drop(fmt.Sprintf("host%d", a), fmt.Sprintf("host%d", b), part)
		}
	}
}

// rest waits, in virtual time, until all nodes have reported their final counters.
func rest() {
	time.Sleep(lease)
	synctest.Wait()
}

// gatherer is a registry that checks collected metrics against their descriptions.
func gatherer(t testing.TB, collectors ...prometheus.Collector) *prometheus.Registry {
	t.Helper()
	g := prometheus.NewPedanticRegistry()
	for _, c := range collectors {
		if err := g.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// collectors returns all collectors of a ring.
func (tr *testRing) collectors() []prometheus.Collector {
	all := []prometheus.Collector{NewRegistryCollector(tr.registry, WithNodes())}
	for _, n := range tr.nodes {
		all = append(all, NewNodeCollector(n))
	}
	return all
}

func gather(t testing.TB, g prometheus.Gatherer) []*dto.MetricFamily {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// samples holds values by name and labels, as in name{a="b",c="d"} without the quotes.
type samples map[string]float64

// flat turns families into samples; a histogram becomes its sum, count and buckets.
func flat(families []*dto.MetricFamily) samples {
	all := make(samples)
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			put := func(suffix string, v float64, more ...string) {
				all[f.GetName()+suffix+"{"+strings.Join(slices.Concat(labels, more), ",")+"}"] = v
			}
			switch {
			case m.Counter != nil:
				put("", m.Counter.GetValue())
			case m.Gauge != nil:
				put("", m.Gauge.GetValue())
			case m.Histogram != nil:
				put("_sum", m.Histogram.GetSampleSum())
				put("_count", float64(m.Histogram.GetSampleCount()))
				for _, b := range m.Histogram.Bucket {
					put("_bucket", float64(b.GetCumulativeCount()), fmt.Sprintf("le=%g", b.GetUpperBound()))
				}
			}
		}
	}
	return all
}

// want compares a sample with a value.
func (all samples) want(t testing.TB, name string, value float64) {
	t.Helper()
	if v, ok := all[name]; !ok || v != value {
		t.Errorf("%s is %v (there: %v), want %v", name, v, ok, value)
	}
}
