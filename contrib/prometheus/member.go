package ringprom

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/x/ringdht/status"
)

// memberMetrics are the metrics of single members.
type memberMetrics struct {
	set     set
	figures figureMetrics
	keys    keyMetrics

	state, info, heartbeat, epoch, incarnation, entries metric
}

func newMemberMetrics(ring prometheus.Labels) *memberMetrics {
	e := &memberMetrics{set: set{prefix: "ringdht_member_", constant: ring, labels: []string{"node", "addr"}}}
	s := &e.set
	e.figures, e.keys = s.figures(), s.keys()
	e.state = s.gauge("state", "1 for the state of the member.", "state")
	e.info = s.gauge("info", "Always 1; the name of a member that has one.", "name")
	e.heartbeat = s.gauge("heartbeat_age_seconds", "Time since the member's latest heartbeat.")
	e.epoch = s.gauge("epoch", "Version of the routing table that the member uses.")
	e.incarnation = s.gauge("incarnation", "Incarnation of the member.")
	e.entries = s.gauge("table_entries", "Entries of the routing table that the registry gave the member.")
	return e
}

func (e *memberMetrics) collect(ch chan<- prometheus.Metric, s *status.Snapshot) {
	for i := range s.Members {
		m := &s.Members[i]
		id := m.ID.String()
		addr := label(m.Addr)
		e.state.send(ch, 1, id, addr, word(m.State))
		if m.Name != "" {
			e.info.send(ch, 1, id, addr, m.Name)
		}
		e.heartbeat.send(ch, age(s, m), id, addr)
		e.incarnation.send(ch, float64(m.Incarnation), id, addr)
		e.entries.send(ch, float64(len(m.Entries)), id, addr)
		if m.Heard.IsZero() {
			continue // its counters are unknown; a zero would look like a reset when they come
		}
		e.epoch.send(ch, float64(m.Epoch), id, addr)
		f := figures{Counters: m.Counters}
		f.add(&m.Node)
		e.figures.send(ch, &f, id, addr)
		for j := range m.Keys {
			e.keys.send(ch, &m.Keys[j].KeyCounters, id, addr, label(m.Keys[j].Service))
		}
	}
}

// label makes a text of a member a label's value, else one member could end every scrape.
func label(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
