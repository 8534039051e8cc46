package ringprom

import (
	"context"
	"math"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/x/ringdht"
	"github.com/x/ringdht/keys"
	"github.com/x/ringdht/status"
)

const add = keys.Method[int64, int64, int64]("add")

// openKeys makes a node an owner of counters.
func openKeys(n *ringdht.Node) *keys.Space[int64] {
	s := keys.New[int64](n, "counter")
	add.Handle(s, func(_ context.Context, _ string, count *int64, by int64) (int64, error) {
		*count += by
		return *count, nil
	})
	return s
}

// Metrics of keys agree with the registry and the nodes. They come with the first service, for each of
// them.
func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var spaces []*keys.Space[int64]
		tr := newTestRing(t, "r", 3, func(n *ringdht.Node) { spaces = append(spaces, openKeys(n)) })
		g := gatherer(t, tr.collectors()...)
		if _, err := tr.registry.Setup(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"a", "b", "c", "d"} {
			if _, err := add.Call(t.Context(), spaces[0], key, 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := tr.nodes[2].Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		rest()
		all, s := flat(gather(t, g)), tr.registry.Snapshot()
		v := s.Keys[0]
		const labels = "{ring=r,service=counter}"
		if v.Moved == 0 || v.Total.Handled != 4 || v.Total.Given == 0 {
			t.Fatalf("not the ring that was meant: %+v", v)
		}
		for name, value := range map[string]float64{
			"owners": 2, "sources": 0, "arcs": float64(v.ArcCount), "free_ratio": 0, "moves_active": 0, "oldest_move_seconds": 0, "recovering": 0,
			"moves_void_total": float64(v.Void), "merges_total": float64(v.Merges), "move_seconds_count": float64(v.Moved), "move_seconds_sum": v.MoveTimes.Sum.Seconds(),
			"messages_handled_total": 4, "messages_sent_total": 4, "states": 4, "given_arcs_total": float64(v.Total.Given), "messages_unknown_total": 0,
		} {
			all.want(t, "ringdht_keys_"+name+labels, value)
		}
		for i, n := range tr.nodes[:2] {
			own, labels := n.Status(), "{addr="+n.Peer().Addr+",node="+n.ID().String()+",ring=r,service=counter}"
			all.want(t, "ringdht_node_keys_messages_handled_total"+labels, float64(own.Keys[0].Handled))
			all.want(t, "ringdht_member_keys_held_arcs"+labels, float64(own.Keys[0].Arcs))
			if own.Keys[0].Arcs == 0 {
				t.Errorf("node %d holds nothing", i)
			}
		}
	})
}

// The oldest move is shown with its age, and the free part of the ring.
func TestKeyMovesUnderWay(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := &status.Snapshot{Time: now, Keys: []status.KeyService{{
		Service: "\xff", Recovering: true, Moving: 2, Free: 0.25,
		Moves: []status.KeyMove{{Since: now.Add(-90 * time.Second)}, {Since: now}},
	}}}
	all := flat(gather(t, gatherer(t, collect(func(s2 *set) func(chan<- prometheus.Metric) {
		m := s2.keyRing()
		return func(ch chan<- prometheus.Metric) { m.send(ch, s) }
	}))))
	for name, value := range map[string]float64{"oldest_move_seconds": 90, "free_ratio": 0.25, "recovering": 1, "moves_active": 2} {
		all.want(t, "x_keys_"+name+"{a=b,service=\ufffd}", value)
	}
}

// Each figure of a service with keys is shown, and once.
func TestNoKeyFigureForgotten(t *testing.T) {
	var c status.KeyCounters
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		v.Field(i).SetInt(1 << i)
	}
	all := flat(gather(t, gatherer(t, collect(func(s *set) func(chan<- prometheus.Metric) {
		m := s.keys()
		return func(ch chan<- prometheus.Metric) { m.send(ch, &c, "s") }
	}))))
	seen := make(map[float64]bool)
	for _, value := range all {
		seen[value] = true
	}
	for i := range v.NumField() {
		if !seen[math.Ldexp(1, i)] || len(all) != v.NumField() {
			t.Errorf("%s is in no metric of its own", v.Type().Field(i).Name)
		}
	}
}
