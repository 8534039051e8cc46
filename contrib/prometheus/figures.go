package ringprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/x/ringdht/status"
)

// figures are the numbers of a node, or their sums over a ring.
type figures struct {
	status.Counters
	streams  status.Streams
	up, down int64 // links
	limits   limits
}

// limits are status.Limits as int64: a ring's sum may overflow an int.
type limits struct{ sendBuffer, receiveBuffer, handlerBacklog, queues, handlers, streams int64 }

// add adds the gauges and limits of a node. It does not add counters, since a snapshot has
// their sums.
func (f *figures) add(s *status.Node) {
	f.streams.Outgoing += s.Streams.Outgoing
	f.streams.Incoming += s.Streams.Incoming
	f.streams.InFlight += s.Streams.InFlight
	f.streams.Window += s.Streams.Window
	for _, l := range s.Links {
		if l.Up {
			f.up++
		} else {
			f.down++
		}
	}
	f.limits.sendBuffer += int64(s.Limits.SendBuffer)
	f.limits.receiveBuffer += int64(s.Limits.ReceiveBuffer)
	f.limits.handlerBacklog += int64(s.Limits.HandlerBacklog)
	f.limits.queues += int64(s.Limits.LinkQueue) * int64(len(s.Links))
	f.limits.handlers += int64(s.Limits.Handlers)
	f.limits.streams += int64(s.Limits.Streams)
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// table names the figures. Rows with the same name are next to each other, and differ in the
// value of a label.
var table = []struct {
	name         string
	kind         prometheus.ValueType
	help         string
	label, value string
	of           func(*figures) int64
}{
	{"messages_sent_total", counter, "Messages accepted by Send and Cast.", "", "", func(f *figures) int64 { return f.Sent }},
	{"messages_delivered_total", counter, "Messages that the sink's handler has taken.", "", "", func(f *figures) int64 { return f.Delivered }},
	{"messages_relayed_total", counter, "Messages passed on for others.", "", "", func(f *figures) int64 { return f.Relayed }},
	{"messages_cast_total", counter, "Of the messages sent, those without a stream.", "", "", func(f *figures) int64 { return f.Casts }},
	{"messages_retransmitted_total", counter, "Messages retransmitted by their source.", "", "", func(f *figures) int64 { return f.Retransmitted }},
	{"messages_duplicate_total", counter, "Messages that arrived twice and were dropped.", "", "", func(f *figures) int64 { return f.Duplicates }},
	{"messages_unlisted_total", counter, "Messages of unknown outcome that are only counted, since they were too many to list.", "", "", func(f *figures) int64 { return f.Unlisted }},
	{"strangers_total", counter, "Connections that nodes of a secure ring refused: the other end was not of this ring, or not what it said.", "", "", func(f *figures) int64 { return f.Strangers }},
	{"handler_panics_total", counter, "Handler calls that panicked.", "", "", func(f *figures) int64 { return f.Panics }},

	{"frames_received_total", counter, "Frames read from links.", "", "", func(f *figures) int64 { return f.FramesIn }},
	{"frames_detoured_total", counter, "Frames sent by a detour, since a link could not be opened.", "", "", func(f *figures) int64 { return f.Detoured }},
	{"links_shed_total", counter, "Links from others that a bound has ended: too many, of no member, or with half a frame.", "", "", func(f *figures) int64 { return f.LinksShed }},
	{"frames_requeued_total", counter, "Frames that waited for a link when it ended, and took another route.", "", "", func(f *figures) int64 { return f.Requeued }},
	{dropped, counter, droppedHelp, "reason", "queue_full", func(f *figures) int64 { return f.Dropped.QueueFull }},
	{dropped, counter, droppedHelp, "reason", "link_down", func(f *figures) int64 { return f.Dropped.LinkDown }},
	{dropped, counter, droppedHelp, "reason", "no_route", func(f *figures) int64 { return f.Dropped.NoRoute }},
	{dropped, counter, droppedHelp, "reason", "hop_limit", func(f *figures) int64 { return f.Dropped.HopLimit }},
	{dropped, counter, droppedHelp, "reason", "overshoot", func(f *figures) int64 { return f.Dropped.Overshoot }},
	{dropped, counter, droppedHelp, "reason", "inbox_full", func(f *figures) int64 { return f.Dropped.InboxFull }},
	{dropped, counter, droppedHelp, "reason", "stale", func(f *figures) int64 { return f.Dropped.Stale }},
	{dropped, counter, droppedHelp, "reason", "malformed", func(f *figures) int64 { return f.Dropped.Malformed }},
	{dropped, counter, droppedHelp, "reason", "refused", func(f *figures) int64 { return f.Dropped.Refused }},
	{dropped, counter, droppedHelp, "reason", "unknown", func(f *figures) int64 { return f.Dropped.Unknown }},

	{"received_bytes_total", counter, "Bytes read from links.", "", "", func(f *figures) int64 { return f.BytesIn }},
	{"reads_total", counter, "System calls that read from links.", "", "", func(f *figures) int64 { return f.Reads }},
	{"sent_bytes_total", counter, "Bytes written to links.", "", "", func(f *figures) int64 { return f.BytesOut }},
	{"writes_total", counter, "System calls that wrote to links.", "", "", func(f *figures) int64 { return f.Writes }},

	{"send_buffer_bytes", gauge, "Bytes accepted and not yet confirmed.", "", "", func(f *figures) int64 { return f.SendBuffer }},
	{"send_buffer_limit_bytes", gauge, "Bound of the send buffer, at which Send waits.", "", "", func(f *figures) int64 { return f.limits.sendBuffer }},
	{"receive_buffer_bytes", gauge, "Bytes received and not yet taken by the handler.", "", "", func(f *figures) int64 { return f.ReceiveBuffer }},
	{"receive_buffer_limit_bytes", gauge, "Bound of the receive buffer, beyond which frames are dropped.", "", "", func(f *figures) int64 { return f.limits.receiveBuffer }},
	{"handler_backlog_bytes", gauge, "Bytes sent by handlers and not yet admitted by windows.", "", "", func(f *figures) int64 { return f.HandlerBacklog }},
	{"handler_backlog_limit_bytes", gauge, "Bound of the handlers' backlog, at which their Send returns an error.", "", "", func(f *figures) int64 { return f.limits.handlerBacklog }},
	{"queued_bytes", gauge, "Bytes that wait for links.", "", "", func(f *figures) int64 { return f.Queued }},
	{"queue_limit_bytes", gauge, "Sum of the bounds of the links' queues, beyond which frames are dropped.", "", "", func(f *figures) int64 { return f.limits.queues }},
	{"handlers_limit", gauge, "Handler calls that may run at once.", "", "", func(f *figures) int64 { return f.limits.handlers }},
	{"streams", gauge, "Streams to sinks (outgoing) and from sources (incoming).", "direction", "outgoing", func(f *figures) int64 { return int64(f.streams.Outgoing) }},
	{"streams", gauge, "Streams to sinks (outgoing) and from sources (incoming).", "direction", "incoming", func(f *figures) int64 { return int64(f.streams.Incoming) }},
	{"streams_limit", gauge, "Bound of incoming streams; more are refused.", "", "", func(f *figures) int64 { return f.limits.streams }},
	{"in_flight_bytes", gauge, "Bytes sent to sinks and not yet confirmed.", "", "", func(f *figures) int64 { return f.streams.InFlight }},
	{"window_bytes", gauge, "Bytes that may be in flight, as granted by sinks.", "", "", func(f *figures) int64 { return f.streams.Window }},
	{"links", gauge, "Links to the entries of the routing table, up and down.", "state", "up", func(f *figures) int64 { return f.up }},
	{"links", gauge, "Links to the entries of the routing table, up and down.", "state", "down", func(f *figures) int64 { return f.down }},
}

const (
	dropped     = "dropped_frames_total"
	droppedHelp = "Frames dropped, by reason. Streams retransmit them."
)

// figureMetrics are the metrics of the table, in its order.
type figureMetrics []metric

func (s *set) figures() (all figureMetrics) {
	for i, row := range table {
		switch {
		case i > 0 && table[i-1].name == row.name:
			all = append(all, all[i-1])
		case row.label == "":
			all = append(all, metric{s.desc(row.name, row.help, nil), row.kind})
		default:
			all = append(all, metric{s.desc(row.name, row.help, []string{row.label}), row.kind})
		}
	}
	return all
}

func (all figureMetrics) send(ch chan<- prometheus.Metric, f *figures, labels ...string) {
	n := len(labels)
	labels = append(labels[:n:n], "")
	for i, m := range all {
		row := &table[i]
		if labels[n] = row.value; row.label == "" {
			m.send(ch, float64(row.of(f)), labels[:n]...)
		} else {
			m.send(ch, float64(row.of(f)), labels...)
		}
	}
}
