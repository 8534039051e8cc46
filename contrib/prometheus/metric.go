package ringprom

import "github.com/prometheus/client_golang/prometheus"

// set makes metrics that have a prefix and labels in common, and describes them.
type set struct {
	prefix   string
	constant prometheus.Labels
	labels   []string // that all of them have besides
	descs    []*prometheus.Desc
}

// metric is one of a set.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func (s *set) desc(name, help string, labels []string) *prometheus.Desc {
	all := append(s.labels[:len(s.labels):len(s.labels)], labels...)
	d := prometheus.NewDesc(s.prefix+name, help, all, s.constant)
	s.descs = append(s.descs, d)
	return d
}

func (s *set) gauge(name, help string, labels ...string) metric {
	return metric{s.desc(name, help, labels), prometheus.GaugeValue}
}

func (s *set) counter(name, help string, labels ...string) metric {
	return metric{s.desc(name, help, labels), prometheus.CounterValue}
}

func (s *set) describe(ch chan<- *prometheus.Desc) {
	for _, d := range s.descs {
		ch <- d
	}
}

func (m metric) send(ch chan<- prometheus.Metric, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
