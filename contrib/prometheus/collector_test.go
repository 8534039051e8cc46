package ringprom

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/x/ringdht/status"
)

// wantFigures compares all samples with a prefix with counters, by their names in JSON.
func wantFigures(t *testing.T, all samples, prefix, labels string, c status.Counters, streams status.Streams) {
	t.Helper()
	with := func(label string) string { // labels are sorted by name
		parts := append(strings.Split(labels, ","), label)
		for i := len(parts) - 1; i > 0 && parts[i] < parts[i-1]; i-- {
			parts[i], parts[i-1] = parts[i-1], parts[i]
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	plain := "{" + labels + "}"
	for name, v := range map[string]int64{
		"messages_sent_total": c.Sent, "messages_delivered_total": c.Delivered, "messages_relayed_total": c.Relayed,
		"messages_cast_total": c.Casts, "messages_retransmitted_total": c.Retransmitted, "messages_duplicate_total": c.Duplicates,
		"messages_unlisted_total": c.Unlisted, "handler_panics_total": c.Panics, "strangers_total": c.Strangers, "links_shed_total": c.LinksShed,
		"frames_received_total": c.FramesIn, "frames_detoured_total": c.Detoured, "frames_requeued_total": c.Requeued,
		"received_bytes_total": c.BytesIn, "reads_total": c.Reads, "sent_bytes_total": c.BytesOut, "writes_total": c.Writes,
		"send_buffer_bytes": c.SendBuffer, "receive_buffer_bytes": c.ReceiveBuffer, "handler_backlog_bytes": c.HandlerBacklog, "queued_bytes": c.Queued,
		"in_flight_bytes": streams.InFlight, "window_bytes": streams.Window,
	} {
		all.want(t, prefix+name+plain, float64(v))
	}
	dropped := reflect.ValueOf(c.Dropped)
	for i := range dropped.NumField() {
		reason := dropped.Type().Field(i).Tag.Get("json")
		all.want(t, prefix+"dropped_frames_total"+with("reason="+reason), float64(dropped.Field(i).Int()))
	}
	all.want(t, prefix+"streams"+with("direction=outgoing"), float64(streams.Outgoing))
	all.want(t, prefix+"streams"+with("direction=incoming"), float64(streams.Incoming))
}

// A scrape agrees with the registry and the nodes, on an idle ring that has had traffic,
// losses and a death.
func TestValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTestRing(t, "r", 6)
		g := gatherer(t, tr.collectors()...)
		tr.run(2, 100)
		tr.drop(0.1)
		tr.traffic(400)
		tr.drop(0)
		rest()
		if err := tr.nodes[5].Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		tr.nodes[4].Close() // it is declared dead
		rest()
		rest()

		all, s := flat(gather(t, g)), tr.registry.Snapshot()
		var streams status.Streams
		var up, down, limits int
		for _, m := range s.Members {
			streams.Outgoing += m.Streams.Outgoing
			streams.Incoming += m.Streams.Incoming
			streams.InFlight += m.Streams.InFlight
			streams.Window += m.Streams.Window
			for _, l := range m.Links {
				if l.Up {
					up++
				} else {
					down++
				}
			}
			limits += m.Limits.SendBuffer
			labels := fmt.Sprintf("addr=%s,node=%s,ring=r", m.Addr, m.ID)
			wantFigures(t, all, "ringdht_member_", labels, m.Counters, m.Streams)
			all.want(t, "ringdht_member_state{"+labels+",state=active}", 1)
			all.want(t, "ringdht_member_incarnation{"+labels+"}", float64(m.Incarnation))
			all.want(t, fmt.Sprintf("ringdht_member_info{addr=%s,name=n%s,node=%s,ring=r}", m.Addr, m.Addr[len("host"):len("host")+1], m.ID), 1)
			all.want(t, "ringdht_member_epoch{"+labels+"}", float64(s.Epoch))
			all.want(t, "ringdht_member_table_entries{"+labels+"}", 2)
			all.want(t, "ringdht_member_heartbeat_age_seconds{"+labels+"}", s.Time.Sub(m.Heard).Seconds())
			all.want(t, "ringdht_member_queue_limit_bytes{"+labels+"}", float64(2*m.Limits.LinkQueue))
		}
		if s.Total.Sent != 6*500 || s.Total.Retransmitted == 0 || len(s.Members) != 4 || up+down != 8 || s.Happened[status.EventDead] != 1 {
			t.Fatalf("not the ring that was meant: %+v", s)
		}
		wantFigures(t, all, "ringdht_", "ring=r", s.Total, streams)
		all.want(t, "ringdht_links{ring=r,state=up}", float64(up))
		all.want(t, "ringdht_links{ring=r,state=down}", float64(down))
		all.want(t, "ringdht_send_buffer_limit_bytes{ring=r}", float64(limits))
		all.want(t, "ringdht_info{bits=16,plan=classic,ring=r}", 1)
		all.want(t, "ringdht_epoch{ring=r}", float64(s.Epoch))
		all.want(t, "ringdht_live{ring=r}", 1)
		all.want(t, "ringdht_ready{ring=r}", 1)
		all.want(t, "ringdht_table_entries{ring=r}", 2)
		all.want(t, "ringdht_lease_seconds{ring=r}", 3)
		all.want(t, "ringdht_members{ring=r,state=active}", 4)
		all.want(t, "ringdht_members{ring=r,state=suspect}", 0)
		all.want(t, "ringdht_degraded_pairs{ring=r}", float64(len(s.Degraded)))
		for kind, n := range s.Happened {
			all.want(t, "ringdht_events_total{kind="+strings.ReplaceAll(string(kind), " ", "_")+",ring=r}", float64(n))
		}
		all.want(t, "ringdht_events_total{kind=rebuilt,ring=r}", 0)
		all.want(t, "ringdht_traffic_runs_total{ring=r,verdict=exact}", 2)
		all.want(t, "ringdht_traffic_runs_total{ring=r,verdict=wrong}", 0)
		all.want(t, "ringdht_traffic_run_active{ring=r}", 0)
		all.want(t, "ringdht_last_traffic_run_messages{ring=r,stage=received}", 2400)
		all.want(t, "ringdht_last_traffic_run_verdict{ring=r,verdict=exact}", 1)
		all.want(t, "ringdht_last_traffic_run_verdict{ring=r,verdict=balanced}", 0)
		all.want(t, "ringdht_last_traffic_run_mean_hops{ring=r}", s.Runs[1].MeanHops)
		wantHistograms(t, all, "ringdht_", "ring=r", s.Hops, s.Latency)

		for i, n := range tr.nodes {
			status := n.Status()
			labels := fmt.Sprintf("addr=%s,node=%s,ring=r", status.Addr, status.ID)
			wantFigures(t, all, "ringdht_node_", labels, status.Counters, status.Streams)
			wantHistograms(t, all, "ringdht_node_", labels, status.Hops, status.Latency)
			all.want(t, "ringdht_node_incarnation{"+labels+"}", float64(status.Incarnation))
			all.want(t, "ringdht_node_epoch{"+labels+"}", float64(status.Epoch))
			all.want(t, "ringdht_node_members{"+labels+"}", float64(status.Members))
			all.want(t, "ringdht_node_registry_connected{"+labels+"}", truth(i < 4))
			for _, l := range status.Links {
				labels := labels + ",to=" + l.To.String()
				all.want(t, "ringdht_node_link_up{"+labels+"}", truth(l.Up))
				all.want(t, "ringdht_node_link_sent_bytes_total{"+labels+"}", float64(l.Bytes))
				all.want(t, "ringdht_node_link_queued_bytes{"+labels+"}", float64(l.Queued))
			}
		}
	})
}

// wantHistograms compares the buckets, which are cumulative, with counts.
func wantHistograms(t *testing.T, all samples, prefix, labels string, hops []int64, latency status.Histogram) {
	t.Helper()
	at := func(row []int64, i int) (n int64) {
		if i < len(row) {
			n = row[i]
		}
		return n
	}
	check := func(name string, row []int64, bounds int, bound func(i int) float64, sum float64) {
		t.Helper()
		bucket := func(i int) string {
			le := fmt.Sprintf("le=%g", bound(i))
			return prefix + name + "_bucket{" + labels + "," + le + "}"
		}
		var below int64
		for i := range bounds {
			below += at(row, i)
			all.want(t, bucket(i), float64(below))
		}
		all.want(t, prefix+name+"_count{"+labels+"}", float64(below+at(row, bounds)))
		all.want(t, prefix+name+"_sum{"+labels+"}", sum)
	}
	var links int64
	for i, n := range hops {
		links += int64(i) * n
	}
	check("message_hops", hops, status.MaxHopCount, func(i int) float64 { return float64(i) }, float64(links))
	check("delivery_latency_seconds", latency.Counts, status.HistogramBuckets-1,
		func(i int) float64 { return math.Ldexp(1, i) / 1e6 }, latency.Sum.Seconds())
}

// Values beyond the last bound are in the total count and in no bucket.
func TestHistogramBeyondBounds(t *testing.T) {
	hops := make([]int64, status.MaxHopCount+1)
	hops[0], hops[30], hops[31] = 1, 2, 4
	latency := status.Histogram{Counts: make([]int64, status.HistogramBuckets), Sum: 1e9}
	latency.Counts[0], latency.Counts[24], latency.Counts[25] = 1, 2, 4
	all := flat(gather(t, gatherer(t, collect(func(s *set) func(chan<- prometheus.Metric) {
		h, l := s.hops(), s.latency()
		return func(ch chan<- prometheus.Metric) { h.sendHops(ch, hops); l.sendLatency(ch, latency) }
	}))))
	all.want(t, "x_message_hops_bucket{a=b,le=0}", 1)
	all.want(t, "x_message_hops_bucket{a=b,le=29}", 1)
	all.want(t, "x_message_hops_bucket{a=b,le=30}", 3)
	all.want(t, "x_message_hops_count{a=b}", 7)
	all.want(t, "x_message_hops_sum{a=b}", 60+124)
	all.want(t, "x_delivery_latency_seconds_bucket{a=b,le=1e-06}", 1)
	all.want(t, "x_delivery_latency_seconds_bucket{a=b,le=16.777216}", 3)
	all.want(t, "x_delivery_latency_seconds_count{a=b}", 7)
	all.want(t, "x_delivery_latency_seconds_sum{a=b}", 1)
	wantHistograms(t, all, "x_", "a=b", hops, latency)
}

// collect is a collector made of a function.
func collect(f func(*set) func(chan<- prometheus.Metric)) prometheus.Collector {
	s := &set{prefix: "x_", constant: prometheus.Labels{"a": "b"}}
	return sender{s, f(s)}
}

type sender struct {
	set  *set
	send func(chan<- prometheus.Metric)
}

func (s sender) Describe(ch chan<- *prometheus.Desc) { s.set.describe(ch) }
func (s sender) Collect(ch chan<- prometheus.Metric) { s.send(ch) }

// Each counter of a node is shown, and once: a new counter must not be forgotten here.
func TestNothingForgotten(t *testing.T) {
	var f figures
	var told status.Node
	next, fields := int64(1), 0
	var number func(v reflect.Value)
	number = func(v reflect.Value) {
		for _, field := range v.Fields() {
			if field.Kind() == reflect.Struct {
				number(field)
				continue
			}
			field.SetInt(next)
			next, fields = 2*next, fields+1
		}
	}
	number(reflect.ValueOf(&f.Counters).Elem())
	number(reflect.ValueOf(&told.Streams).Elem())
	number(reflect.ValueOf(&told.Limits).Elem())
	told.Links = []status.Link{{Up: true}}
	f.add(&told)
	all := flat(gather(t, gatherer(t, collect(func(s *set) func(chan<- prometheus.Metric) {
		m := s.figures()
		return func(ch chan<- prometheus.Metric) { m.send(ch, &f) }
	}))))
	delete(all, "x_links{a=b,state=up}")
	delete(all, "x_links{a=b,state=down}")
	seen := make(map[float64]string)
	for name, v := range all {
		if other, twice := seen[v]; twice {
			t.Errorf("%s and %s are the same", name, other)
		}
		seen[v] = name
	}
	for i := range fields {
		if v := math.Ldexp(1, i); seen[v] == "" {
			t.Errorf("field %d of counters, streams and limits is in no metric", i)
		}
	}
}

// Each state of a member, each kind of event and each cause of a refusal has a series from the start. Those that are gone
// are counted as events.
func TestWordsAreAll(t *testing.T) {
	found := make(map[string][]string) // constants, by type
	for _, name := range []string{"../../status/ring.go", "../../status/security.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if c, ok := n.(*ast.ValueSpec); ok && len(c.Values) == 1 {
				if of, ok := c.Type.(*ast.Ident); ok {
					value, err := strconv.Unquote(c.Values[0].(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					found[of.Name] = append(found[of.Name], value)
				}
			}
			return true
		})
	}
	delete(found, "TokenState") // it labels nothing
	for _, s := range append([]status.State{status.StateDead, status.StateLeft}, states...) {
		found["State"] = slices.DeleteFunc(found["State"], func(v string) bool { return v == string(s) })
	}
	for _, k := range kinds {
		found["EventKind"] = slices.DeleteFunc(found["EventKind"], func(v string) bool { return v == string(k) })
	}
	for _, r := range refusals {
		found["Refusal"] = slices.DeleteFunc(found["Refusal"], func(v string) bool { return v == string(r) })
	}
	if len(found) != 3 || len(found["State"]) != 0 || len(found["EventKind"]) != 0 || len(found["Refusal"]) != 0 {
		t.Errorf("not known here: %v", found)
	}
}

// Names, types, units and help texts follow Prometheus' rules.
func TestLint(t *testing.T) {
	tr := newTestRing(t, "r", 3)
	tr.run(0, 10)
	problems, err := testutil.GatherAndLint(gatherer(t, tr.collectors()...))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Scrapes run at once, during traffic, while nodes come and go, and after everything is
// closed.
func TestConcurrentScrapes(t *testing.T) {
	tr := newTestRing(t, "r", 4)
	all := tr.collectors()
	g := gatherer(t, all...)
	done := make(chan struct{})
	var scrapers sync.WaitGroup
	for range 4 {
		scrapers.Go(func() {
			before := make(samples)
			for {
				families, err := g.Gather()
				if err != nil {
					t.Error(err)
					return
				}
				now := flat(families)
				for name, v := range now {
					if family, _, _ := strings.Cut(name, "{"); strings.HasSuffix(family, "_total") && !strings.Contains(family, "_link_") && v < before[name] {
						t.Errorf("%s went back from %v to %v", name, before[name], v)
					}
				}
				before = now
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	tr.run(2, 2000)
	if err := tr.nodes[3].Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	tr.run(1, 200)
	tr.close()
	close(done)
	scrapers.Wait()

	after := flat(gather(t, g)) // the registry and the nodes are closed
	for _, n := range tr.nodes {
		labels := fmt.Sprintf("{addr=%s,node=%s,ring=r}", n.Peer().Addr, n.ID())
		after.want(t, "ringdht_node_registry_connected"+labels, 0)
		after.want(t, "ringdht_node_messages_sent_total"+labels, float64(n.Status().Counters.Sent))
	}
	for _, c := range all {
		if !g.Unregister(c) {
			t.Error("a collector cannot be unregistered")
		}
	}
	if left := gather(t, g); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// Collectors describe all their metrics: the same collector twice is refused, and similar
// ones are not.
func TestRegistration(t *testing.T) {
	tr := newTestRing(t, "r", 2)
	other := newTestRing(t, "s", 1)
	g := gatherer(t, append(tr.collectors(), other.collectors()...)...)
	gather(t, g)
	var twice prometheus.AlreadyRegisteredError
	if err := g.Register(NewNodeCollector(tr.nodes[0])); !errors.As(err, &twice) {
		t.Errorf("a node, again: %v", err)
	}
	if err := g.Register(NewRegistryCollector(tr.registry, WithNodes())); !errors.As(err, &twice) {
		t.Errorf("a registry, again: %v", err)
	}
	if err := g.Register(NewRegistryCollector(tr.registry)); err == nil {
		t.Error("a registry, again and without its members, is taken")
	}
}

// Series that are not requested are not sent.
func TestOptions(t *testing.T) {
	tr := newTestRing(t, "r", 3)
	tr.run(2, 10)
	families := gather(t, gatherer(t, NewRegistryCollector(tr.registry), NewNodeCollector(tr.nodes[0], WithoutLinks())))
	for _, f := range families {
		if name := f.GetName(); strings.HasPrefix(name, "ringdht_member_") || strings.HasPrefix(name, "ringdht_node_link_") {
			t.Errorf("%s is there", name)
		}
	}
}

// A node's address is the node's own claim. One that is not UTF-8 must not break all scrapes.
func TestAddressOfAnyBytes(t *testing.T) {
	var s status.Snapshot
	s.Members = make([]status.Member, 1)
	s.Members[0].Addr, s.Members[0].Heard = "evil\xff:80", time.Unix(1, 0)
	ch := make(chan prometheus.Metric, 1000)
	newMemberMetrics(nil).collect(ch, &s)
	close(ch)
	for m := range ch {
		var d dto.Metric
		if err := m.Write(&d); err != nil {
			t.Error(err)
		}
		for _, l := range d.Label {
			if l.GetName() == "addr" && l.GetValue() != "evil\ufffd:80" {
				t.Errorf("the address is %q", l.GetValue())
			}
		}
	}
}
