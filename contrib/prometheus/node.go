package ringprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/x/ringdht"
)

// nodeCollector collects one node.
//
// It describes all of its metrics, so that it can be unregistered, and so that the same node
// is not registered twice. For that the nodes of one process need constant labels that
// differ. The address is one. The ID is not, since it may change when the node joins again.
type nodeCollector struct {
	n   *ringdht.Node
	cfg nodeConfig
	set set

	figures     figureMetrics
	hops        histogram
	latency     histogram
	info        metric
	epoch       metric
	incarnation metric
	members     metric
	entries     metric
	connected   metric
	keys        keyMetrics

	linkUp, linkSent, linkQueued metric
}

// NewNodeCollector returns a collector of a node's own status. The constant labels are ring and
// addr; the label node is its ID.
func NewNodeCollector(n *ringdht.Node, opts ...NodeOption) prometheus.Collector {
	c := &nodeCollector{n: n}
	for _, o := range opts {
		o(&c.cfg)
	}
	c.set = set{
		prefix: "ringdht_node_", labels: []string{"node"},
		constant: prometheus.Labels{"ring": n.Ring(), "addr": n.Peer().Addr},
	}
	s := &c.set
	c.figures, c.hops, c.latency = s.figures(), s.hops(), s.latency()
	c.info = s.gauge("info", "Always 1; the name of the node, if it has one.", "name")
	c.epoch = s.gauge("epoch", "Version of the routing table in use, 0 before the overlay is set up.")
	c.incarnation = s.gauge("incarnation", "Incarnation. It changes when the node was declared dead and has joined again.")
	c.members = s.gauge("members", "Members of the ring, as far as the node has heard.")
	c.entries = s.gauge("table_entries", "Entries of the routing table.")
	c.connected = s.gauge("registry_connected", "Whether the node is connected to the registry.")
	c.keys = s.keys()
	if !c.cfg.noLinks {
		c.linkUp = s.gauge("link_up", "Whether the link to an entry is up.", "to")
		c.linkSent = s.counter("link_sent_bytes_total", "Bytes written to the link to an entry since it was opened.", "to")
		c.linkQueued = s.gauge("link_queued_bytes", "Bytes that wait for the link to an entry.", "to")
	}
	return c
}

// Describe implements [prometheus.Collector].
func (c *nodeCollector) Describe(ch chan<- *prometheus.Desc) { c.set.describe(ch) }

// Collect implements [prometheus.Collector].
func (c *nodeCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.n.Status()
	id := s.ID.String()
	f := figures{Counters: s.Counters}
	f.add(&s)
	c.figures.send(ch, &f, id)
	c.hops.sendHops(ch, s.Hops, id)
	c.latency.sendLatency(ch, s.Latency, id)
	if s.Name != "" {
		c.info.send(ch, 1, id, s.Name)
	}
	c.epoch.send(ch, float64(s.Epoch), id)
	c.incarnation.send(ch, float64(s.Incarnation), id)
	c.members.send(ch, float64(s.Members), id)
	c.entries.send(ch, float64(len(s.Links)), id)
	connected := true
	select {
	case <-c.n.Disconnected():
		connected = false
	default:
	}
	c.connected.send(ch, truth(connected), id)
	for i := range s.Keys {
		c.keys.send(ch, &s.Keys[i].KeyCounters, id, label(s.Keys[i].Service))
	}
	if c.cfg.noLinks {
		return
	}
	for _, l := range s.Links {
		to := l.To.String()
		c.linkUp.send(ch, truth(l.Up), id, to)
		c.linkSent.send(ch, float64(l.Bytes), id, to)
		c.linkQueued.send(ch, float64(l.Queued), id, to)
	}
}
