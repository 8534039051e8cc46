package status

// Counters says what a node has done in its present life. Messages are counted once
// however often they had to be repeated.
type Counters struct {
	Sent          int64 `json:"sent"`          // messages accepted by Send and Cast
	Delivered     int64 `json:"delivered"`     // messages that the handler has had
	Relayed       int64 `json:"relayed"`       // messages passed on for others
	Casts         int64 `json:"casts"`         // of those sent, the ones without a stream
	Retransmitted int64 `json:"retransmitted"` // messages sent again
	Duplicates    int64 `json:"duplicates"`    // messages that arrived again and were dropped
	Panics        int64 `json:"panics"`        // handler calls that panicked
	Detoured      int64 `json:"detoured"`      // frames sent by way of a detour, past a link that cannot be opened
	Requeued      int64 `json:"requeued"`      // frames that waited for a link when it ended, and went another way
	Unlisted      int64 `json:"unlisted"`      // messages not known to be delivered that were too many to list

	Dropped Dropped `json:"dropped"`

	FramesIn int64 `json:"frames_in"` // frames read from all links
	BytesIn  int64 `json:"bytes_in"`
	Reads    int64 `json:"reads"` // system calls: FramesIn / Reads is how many frames shared one
	BytesOut int64 `json:"bytes_out"`
	Writes   int64 `json:"writes"`

	SendBuffer     int64 `json:"send_buffer"`     // bytes in use now, see Limits
	ReceiveBuffer  int64 `json:"receive_buffer"`  // bytes in use now
	HandlerBacklog int64 `json:"handler_backlog"` // bytes in use now
	Queued         int64 `json:"queued"`          // bytes waiting for links now
}

// Dropped counts frames that went no further, by reason. A message sent with
// [Node.Send] is then sent again by its source; one sent with [Node.Cast] is lost.
type Dropped struct {
	QueueFull int64 `json:"queue_full"` // the queue of a link was at its bound
	LinkDown  int64 `json:"link_down"`  // the link to the next hop is gone
	NoRoute   int64 `json:"no_route"`   // nobody has the ID; the source was told
	HopLimit  int64 `json:"hop_limit"`  // too many links crossed; the source was told
	Overshoot int64 `json:"overshoot"`  // passed its sink before it came here
	InboxFull int64 `json:"inbox_full"` // the receive buffer was at its bound
	Stale     int64 `json:"stale"`      // of an earlier life of its stream
	Malformed int64 `json:"malformed"`  // a body that cannot be parsed
	Refused   int64 `json:"refused"`    // requests for a stream beyond Limits.Streams; the source was told
}
