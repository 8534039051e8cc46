package ringprom

import "github.com/prometheus/client_golang/prometheus"

// set holds metrics with a common prefix and common labels, and describes them.
type set struct {
	prefix   string
	constant prometheus.Labels
	labels   []string // the labels of all metrics, besides the constant ones
	descs    []*prometheus.Desc
}

// metric is a metric of a set.
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
