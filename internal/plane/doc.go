// Package plane is the data plane of one node. It relays frames for other nodes, keeps the
// streams from and to this node, and calls the handlers. Package peers has the connections and
// the routes in force: a Plane embeds a [peers.Set], reads its connections, and closes it. Neither
// knows anything of the registry or of dialling: connections come in after their handshake, and a
// table of routes says which of them to use.
//
// # Map
//
//	plane.go            Plane, its configuration, Close, Sweep
//	services.go         the services of the node; streamtable.go: its streams, by node
//
//	send.go             Send and Cast; sendbatch.go: SendBatch
//	outbound.go         the source's half of a stream: package stream with locks and accounts
//	sendqueue.go        frames of a stream that wait for their first link
//	emit.go             frames outside outgoing streams, and frames that need another way
//	flush.go            waiting for deliveries
//	undelivered.go      what was pending when a stream ended, see package undelivered
//	timers.go           streams that wait for an answer; stuck.go: those that do not get on
//
//	receive.go          reading a connection: take in, or send on; its beginning and end
//	throttle.go         pauses of a reader while a queue is crowded
//	inbound.go          the sink's half of a stream; open.go: its beginning
//	bygone.go           after its source has left
//	trial.go            streams whose sources this node does not know
//	buffer.go           the receive buffer, divided among the services
//	stale.go stray.go   frames of streams that have ended, see package timewait
//	casts.go            the inboxes of casts
//	deliver.go          calls of the handler, and acknowledgements
//
//	suspend.go          after this process was suspended, see package fence
//	evict.go            when an incarnation of a node has ended
//	part.go drain.go    an orderly leave
//	trace.go            the route to a node, see package trace
//	counters.go relays.go status.go
//
// # The path of a message
//
// At its source, Send (send.go) finds the stream to the sink (outbound.go). The stream numbers
// the message and keeps a copy until it is acknowledged. The frame waits in the stream's send
// queue (sendqueue.go). That is attached to a link, which ring.Router chooses among those that
// are up (package peers); the link pulls the frame when it is about to write (package link).
//
// At a relay, the reader of the connection (receive.go) takes all that one read brought as a
// batch. For each frame, dispatch asks ring.Router.Relay what to do with it, from its header
// alone. Frames for the same link are gathered (package demux), and forward copies them into the queue
// of that link.
//
// At the sink, dispatch gathers the frames by source and port. The stream (inbound.go) puts them in order
// and keeps a copy. A worker calls the handler (deliver.go), or the reader does (package workers). The acknowledgement goes back as any frame does (emit.go).
//
// # Services
//
// A node has services, by name. Each source has a stream of its own for each, with its own order and
// window. Outgoing streams are by sink and port: the source's number of the service. Incoming ones are
// by source and service, and find their frames by the port that the source's Open has bound to the
// name. So each service has the messages of a source in their order, also if its incarnations use other
// ports. No service waits for another one: buffer.go has the argument.
//
// # When a link is full
//
// A source waits. Its frames stay in their streams, and Send waits while streams have more than
// twice LinkLow for the link (congested in sendqueue.go), or while the send buffer is full. With
// a handler's context it does not wait for these; beyond the handler backlog it fails. Cast waits
// while the link's own queue is above LinkLow.
//
// A relay never waits. Above half of LinkQueue its reader makes short pauses, so TCP slows down the
// peer (throttle.go). A frame that finds the queue at LinkQueue is dropped and counted as
// QueueFull (forward in receive.go). Its stream sends it again; a cast is lost.
//
// When a link ends, frames that it has not begun to write take another way: those in its queue by
// requeue (emit.go), those in streams by reattach (sendqueue.go).
//
// # Memory
//
// A batch belongs to the reader's buffer and is valid until the next read, so whatever keeps a
// frame copies it. An outgoing stream keeps its messages; a link copies those that it is about to
// write. Delivery.Body is part of the receive queue and valid until Deliver returns. Limits bounds
// all of it.
//
// # Goroutines
//
// Each connection has a reader (read in receive.go). It never waits, except for its connection,
// for the short pauses of throttle.go, and in handlers while they are quick (package workers). It drops
// and counts what does not fit into a bounded queue. So links always drain, and no cycle of waits
// can form. Sources may wait, in Send and Flush, for their context.
//
// Other goroutines exist only while they have something to do: a link's writer (package link),
// workers for handlers, at most Limits.Handlers a service, and the watchdog of readers' calls (package
// workers), tick for streams that wait for answers (timers.go), the callback for undelivered
// messages (undelivered.go), and what closes connections (package peers). The owner of the plane
// calls Sweep, CheckLinks and Running in intervals.
//
// # Locks
//
// In this order, and none is held across I/O or a handler: a stream's (outbound or inbound), then
// Plane.mu or that of package peers, then a link's. The locks of the timers, the casts, the
// stuck sinks and a throttle are leaves, and so are those inside packages fence, roster, runcount, timewait, trace,
// undelivered and workers.
package plane
