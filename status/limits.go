package status

// Limits bounds the memory of a node; 0 means the default. A node holds at most twice SendBuffer
// (messages that are sent again wait for their first link as a copy) + ReceiveBuffer +
// HandlerBacklog + LinkQueue for each entry of its table, plus a read buffer of up to 64 KiB, or
// one message, for each busy connection. Bookkeeping takes about 1 KiB a stream, and 100 bytes for
// each message that waits for a lost one before it. [Counters] counts what happens at a
// bound.
//
// Node.Join fails if a limit is too small. SendBuffer, HandlerBacklog and LinkQueue must hold the
// longest message of the ring (ringdht.WithMaxPayload) and its header, ReceiveBuffer four of these; the
// least are 4 KiB, and 16 KiB for LinkQueue.
type Limits struct {
	// SendBuffer is the number of bytes accepted and not known to be delivered, for all sinks. At
	// the bound Send waits. One service of a sink gets at most a quarter of it. Default 8 MiB.
	SendBuffer int `json:"send_buffer"`
	// ReceiveBuffer is the number of bytes received and not yet taken by the handler, for all
	// sources, which are granted shares of it. Beyond the bound frames are dropped and sent again.
	// Where a node handles several services, half of it is divided among them, and is at least two
	// of the longest messages for each. Default 8 MiB.
	ReceiveBuffer int `json:"receive_buffer"`
	// HandlerBacklog is the number of bytes that handlers have sent beyond windows. At the bound
	// their Send returns ErrBacklog. Default 16 MiB.
	HandlerBacklog int `json:"handler_backlog"`
	// LinkQueue is the number of bytes that wait for one link to be relayed. Beyond the bound
	// frames are dropped and sent again. Sources wait if an eighth of it is theirs. Default 4 MiB.
	LinkQueue int `json:"link_queue"`
	// Handlers is the number of concurrent handler calls of a service. Further messages wait. Default
	// 256.
	Handlers int `json:"handlers"`
	// Streams is the number of streams to this node, one of each source for each service; others are
	// refused. A source that has left the ring gives up its places. Default 65,536.
	Streams int `json:"streams"`
}
