package ringprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/x/ringdht/status"
)

// keyTable names the figures of a service with keys. Their label service has its name.
var keyTable = []struct {
	name string
	kind prometheus.ValueType
	help string
	of   func(*status.KeyCounters) int64
}{
	{"keys_held_arcs", gauge, "Arcs of keys that owners hold.", func(c *status.KeyCounters) int64 { return c.Arcs }},
	{"keys_states", gauge, "Keys with a state that the library holds.", func(c *status.KeyCounters) int64 { return c.Keys }},
	{"keys_queued_messages", gauge, "Messages to keys at their owners whose handlers have not returned.", func(c *status.KeyCounters) int64 { return c.Queued }},
	{"keys_messages_sent_total", counter, "Messages sent to keys.", func(c *status.KeyCounters) int64 { return c.Sent }},
	{"keys_messages_unknown_total", counter, "Messages to keys of unknown outcome: their owner has died.", func(c *status.KeyCounters) int64 { return c.Unknown }},
	{"keys_messages_repeated_total", counter, "Messages of unknown outcome that were sent to the next owner, as keys.Again asks for.", func(c *status.KeyCounters) int64 { return c.Repeats }},
	{"keys_messages_handled_total", counter, "Messages to keys whose handlers have returned.", func(c *status.KeyCounters) int64 { return c.Handled }},
	{"keys_messages_refused_total", counter, "Messages to keys that were refused, since their arc has moved. Their sources send them to its owner.", func(c *status.KeyCounters) int64 { return c.Refusals }},
	{"keys_refusals_received_total", counter, "Refusals that sources of messages to keys have got.", func(c *status.KeyCounters) int64 { return c.Refused }},
	{"keys_asks_total", counter, "Questions for the owner of a key.", func(c *status.KeyCounters) int64 { return c.Asks }},
	{"keys_given_arcs_total", counter, "Arcs whose states were given to another owner.", func(c *status.KeyCounters) int64 { return c.Given }},
	{"keys_given_bytes_total", counter, "Bytes of these states.", func(c *status.KeyCounters) int64 { return c.GivenBytes }},
	{"keys_taken_arcs_total", counter, "Arcs whose states were taken over.", func(c *status.KeyCounters) int64 { return c.Taken }},
	{"keys_taken_bytes_total", counter, "Bytes of the states that were taken over.", func(c *status.KeyCounters) int64 { return c.TakenBytes }},
	{"keys_failed_moves_total", counter, "States that could not be given or taken at once.", func(c *status.KeyCounters) int64 { return c.FailedMoves }},
}

// keyMetrics are the metrics of the table, in its order.
type keyMetrics []metric

func (s *set) keys() (all keyMetrics) {
	for _, row := range keyTable {
		all = append(all, metric{s.desc(row.name, row.help, []string{"service"}), row.kind})
	}
	return all
}

func (all keyMetrics) send(ch chan<- prometheus.Metric, c *status.KeyCounters, labels ...string) {
	for i, m := range all {
		m.send(ch, float64(keyTable[i].of(c)), labels...)
	}
}

// keyRingMetrics are what a registry knows of the services with keys. A ring without any sends none.
type keyRingMetrics struct {
	figures keyMetrics
	times   histogram

	owners, sources, arcs, free, moving, oldest, recovering, void, merges metric
}

func (s *set) keyRing() keyRingMetrics {
	return keyRingMetrics{
		figures:    s.keys(),
		times:      s.durations("keys_move_seconds", "Times of the moves that have ended with the state at the receiver: from the registry's decision to the receiver's word that it holds the arc.", "service"),
		owners:     s.gauge("keys_owners", "Members that offer to hold arcs of keys.", "service"),
		sources:    s.gauge("keys_sources", "Members that only send to keys.", "service"),
		arcs:       s.gauge("keys_arcs", "Arcs of keys with an owner, as the registry has decided.", "service"),
		free:       s.gauge("keys_free_ratio", "Part of the ring of keys without an owner, from 0 to 1. Messages to it wait.", "service"),
		moving:     s.gauge("keys_moves_active", "Moves of arcs under way.", "service"),
		oldest:     s.gauge("keys_oldest_move_seconds", "How long the oldest move has been under way; 0 if there is none.", "service"),
		recovering: s.gauge("keys_recovering", "Whether the registry waits for what members of an earlier registry hold, and begins no move.", "service"),
		void:       s.counter("keys_moves_void_total", "Moves that have ended with the death of one of the two owners.", "service"),
		merges:     s.counter("keys_merges_total", "Shares with many terms that have got one new term.", "service"),
	}
}

func (k *keyRingMetrics) send(ch chan<- prometheus.Metric, s *status.Snapshot) {
	for i := range s.Keys {
		v := &s.Keys[i]
		service := label(v.Service)
		k.figures.send(ch, &v.Total, service)
		k.times.send(ch, v.MoveTimes.Counts, v.MoveTimes.Sum.Seconds(), service)
		k.owners.send(ch, float64(len(v.Owners)), service)
		k.sources.send(ch, float64(v.Sources), service)
		k.arcs.send(ch, float64(v.ArcCount), service)
		k.free.send(ch, v.Free, service)
		k.moving.send(ch, float64(v.Moving), service)
		oldest := 0.0
		if len(v.Moves) > 0 {
			oldest = max(0, s.Time.Sub(v.Moves[0].Since).Seconds())
		}
		k.oldest.send(ch, oldest, service)
		k.recovering.send(ch, truth(v.Recovering), service)
		k.void.send(ch, float64(v.Void), service)
		k.merges.send(ch, float64(v.Merges), service)
	}
}
