package ringprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/x/ringdht/status"
)

// histogram is a metric with buckets, of which only the last has no bound. All buckets are
// sent at all times, even if empty: series that come and go distort quantiles.
type histogram struct {
	desc   *prometheus.Desc
	bounds []float64
}

// hops has a bucket for each number of links, up to the last that nodes count separately.
func (s *set) hops() histogram {
	h := histogram{desc: s.desc("message_hops", "Links that delivered messages have crossed.", nil)}
	for i := range status.MaxHopCount {
		h.bounds = append(h.bounds, float64(i))
	}
	return h
}

func (h histogram) sendHops(ch chan<- prometheus.Metric, hops []int64, labels ...string) {
	var sum int64
	for i, n := range hops {
		sum += int64(i) * n
	}
	h.send(ch, hops, float64(sum), labels...)
}

func (s *set) latency() histogram {
	return s.durations("delivery_latency_seconds",
		"Delivery time: from a source's request for confirmation to the answer that the sink's handler has had all messages.")
}

func (s *set) durations(name, help string, labels ...string) histogram {
	h := histogram{desc: s.desc(name, help, labels)}
	for i := range status.HistogramBuckets - 1 {
		h.bounds = append(h.bounds, status.Histogram{}.Bound(i).Seconds())
	}
	return h
}

func (h histogram) sendLatency(ch chan<- prometheus.Metric, l status.Histogram, labels ...string) {
	h.send(ch, l.Counts, l.Sum.Seconds(), labels...)
}

// send makes the counts cumulative, as Prometheus' buckets are. Counts beyond the last bound
// are only in the total.
func (h histogram) send(ch chan<- prometheus.Metric, counts []int64, sum float64, labels ...string) {
	buckets := make(map[float64]uint64, len(h.bounds))
	var all uint64
	for i, bound := range h.bounds {
		if i < len(counts) {
			all += uint64(counts[i])
		}
		buckets[bound] = all
	}
	for i := len(h.bounds); i < len(counts); i++ {
		all += uint64(counts[i])
	}
	ch <- prometheus.MustNewConstHistogram(h.desc, all, sum, buckets, labels...)
}
