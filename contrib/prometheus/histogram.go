package ringprom

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/x/ringdht/status"
)

// histogram is a metric whose buckets all have bounds but for the last. All of them are
// sent at all times, the empty ones as well: series that come and go spoil quantiles.
type histogram struct {
	desc   *prometheus.Desc
	bounds []float64
}

// hops has a bucket for each number of links, up to what nodes tell apart.
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
	h := histogram{desc: s.desc("delivery_latency_seconds",
		"Time from a source's question how far its sink is to the answer that the handler has had all of it.", nil)}
	for i := range status.HistogramBuckets - 1 {
		h.bounds = append(h.bounds, status.Histogram{}.Bound(i).Seconds())
	}
	return h
}

func (h histogram) sendLatency(ch chan<- prometheus.Metric, l status.Histogram, labels ...string) {
	h.send(ch, l.Counts, l.Sum.Seconds(), labels...)
}

// send adds the counts up, since Prometheus' buckets have those of the ones before, too.
// What is beyond the bounds is only in the number of all.
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
