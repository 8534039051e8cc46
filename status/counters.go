package status

import "math"

// Counters are what a node has done in its present incarnation. A message counts once,
// however often it was sent again.
type Counters struct {
	Sent          int64 `json:"sent"`          // messages accepted by Send and Cast
	Delivered     int64 `json:"delivered"`     // messages that the handler has had
	Relayed       int64 `json:"relayed"`       // messages passed on for other nodes
	Casts         int64 `json:"casts"`         // messages sent without a stream; part of Sent
	Retransmitted int64 `json:"retransmitted"` // messages sent again
	Duplicates    int64 `json:"duplicates"`    // messages that arrived again and were dropped
	Panics        int64 `json:"panics"`        // handler calls that panicked
	Detoured      int64 `json:"detoured"`      // frames sent by a detour, past a link that cannot be opened
	Requeued      int64 `json:"requeued"`      // frames that waited for a link when it ended, and took another route
	Unlisted      int64 `json:"unlisted"`      // messages not known to be delivered that were too many to list
	LinksShed     int64 `json:"links_shed"`    // links from others that a bound has ended: too many, of no member, or with half a frame

	// Strangers are the connections to a node of a secure ring that it refused: their other end was
	// not of this ring, or not what it said. In an open ring it is 0.
	Strangers int64 `json:"strangers"`

	Dropped Dropped `json:"dropped"`

	FramesIn int64 `json:"frames_in"` // frames read from all links
	BytesIn  int64 `json:"bytes_in"`  // bytes read from all links, with headers
	Reads    int64 `json:"reads"`     // system calls; FramesIn / Reads is the number of frames that shared one
	BytesOut int64 `json:"bytes_out"` // bytes written to all links, with headers
	Writes   int64 `json:"writes"`    // system calls

	SendBuffer     int64 `json:"send_buffer"`     // gauge: bytes in use, of Limits.SendBuffer
	ReceiveBuffer  int64 `json:"receive_buffer"`  // gauge: bytes in use, of Limits.ReceiveBuffer
	HandlerBacklog int64 `json:"handler_backlog"` // gauge: bytes in use, of Limits.HandlerBacklog
	Queued         int64 `json:"queued"`          // gauge: bytes that wait for all links; Limits.LinkQueue bounds each
}

// Dropped counts frames that a node dropped, by reason. The source sends a message of a
// stream again; a cast is lost.
type Dropped struct {
	QueueFull int64 `json:"queue_full"` // the queue of a link was at its bound
	LinkDown  int64 `json:"link_down"`  // there is no link to the next hop
	NoRoute   int64 `json:"no_route"`   // no node has the ID; the source was told
	HopLimit  int64 `json:"hop_limit"`  // too many links crossed; the source was told
	Overshoot int64 `json:"overshoot"`  // the frame had passed its sink before it came here
	InboxFull int64 `json:"inbox_full"` // the receive buffer was at its bound
	Stale     int64 `json:"stale"`      // of no stream that is known here, as those of an earlier incarnation
	Malformed int64 `json:"malformed"`  // it makes no sense: its body, its source or its port
	Refused   int64 `json:"refused"`    // requests for a stream beyond Limits.Streams, of which the source was told, or of too many unknown sources
	Unknown   int64 `json:"unknown"`    // of a type that this program does not know, or for a service that the node does not handle
}

// Sum adds up all reasons but Stale and Unknown. A stale frame is of no stream that is known. One of
// an unknown type does not count on being understood, and the source of a stream hears that there is no
// such service. So their drops are no trouble of the ring.
func (d *Dropped) Sum() (sum int64) {
	for _, n := range [...]int64{d.QueueFull, d.LinkDown, d.NoRoute, d.HopLimit, d.Overshoot, d.InboxFull, d.Malformed, d.Refused} {
		if sum += n; sum < 0 { // the values come from nodes, which may say anything
			return math.MaxInt64
		}
	}
	return sum
}
