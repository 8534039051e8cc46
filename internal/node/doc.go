// Package node is a member of a ring: it joins a registry, keeps the links that the registry
// asks for, and joins again when it was declared dead. Messages travel in package plane.
//
// # Map
//
//	node.go             Node, its configuration, and Close
//	services.go         what a program registers before Join
//	notes.go            notes about services with keys, between the registry and a package
//	join.go             Join, once or until the context ends; which errors may pass
//	unjoined.go         the incarnation of a node that has not joined
//	config.go           the check of the options
//	incarnation.go      an incarnation: its beginning, its end, what it delivers
//
//	control.go          the loop over the connection to the registry, and its messages
//	connect.go          registering: as a newcomer, or again after an outage
//	refusal.go          the errors that a registry's refusals stand for
//	outage.go           why there is no connection
//	heartbeat.go        heartbeats; lastreported.go: what they leave out
//	contact.go          when the registry has surely heard the node last
//	late.go             how late this process runs
//	rejoin.go           a later incarnation for the sake of a sink
//
//	accept.go           connections from peers, and the registry's probe
//	links.go            which links there should be; links_dial.go: opening them
//	gone.go             which incarnations of other nodes are over
//	limits.go           Limits against the registry's terms
//
//	security.go         the node's part in a secure ring: its key, admission, what it believes
//	trust.go            what the registry says of credentials; links to expelled nodes end
//
//	send.go trace.go    Send, Cast, Trace
//	undelivered.go      Flush, and what earlier incarnations left undelivered
//	ready.go            Ready, and what is missing
//	watch.go            Watch: the members that come and go
//	leave.go            an orderly leave
//	status.go runs.go   what a node shows of itself
//	traffic.go          traffic runs; traffic_ledger.go, traffic_ports.go: their accounts;
//	                    traffic_status.go: what the node shows of them
//
// # An incarnation
//
// A new node has one that has ended, with the number 0, so that all methods work before Join. Join
// may fail and be called again: an attempt leaves nothing behind unless an incarnation has begun, and
// then Join succeeds.
//
// The registry admits the node, gives it an ID and a number, and begin makes the incarnation.
// It is admitted, then it has a table (local.Epoch is not 0), then its links are up (confirm
// tells the registry), then it is ready: all tables lead to it. It stays all that while the
// registry is away; connect registers it again with the same number. It ends once, in end:
// by Leave or Close, when the node is expelled, when the registry refuses it as dead (ErrEvicted),
// or when a sink remembers a later incarnation (rejoin.go). After the last two, and unless the
// node is leaving, reconnect makes the next one. Node.inc holds the present incarnation, or the
// last one until the next begins.
//
// # Goroutines
//
// The node has controlLoop (reads from the registry, reconnects) and the accept loop of package
// handshake, with one goroutine for each connection that comes in. Node.ctx ends them, and
// Close waits for them in Node.wg. So it does for traces and traffic runs that the registry
// asks for.
//
// An incarnation has linkLoop (owns the linker), heartbeatLoop, and one goroutine for each
// dial. Its ctx ends them, and end waits for them in its wg. The plane has goroutines of its
// own; plane.Close ends those.
//
// # Locks
//
// Node.mu guards the fields below it in Node, and changed announces their changes. It is a
// leaf, and so are the locks of contact, silence, lateness and credentials. Traffic runs lock traffic.mu, then
// ledger.mu, then sourceCount.mu. lastReported.mu is held while a heartbeat is made and
// queued, so it comes before contact.mu, lateness.mu, ledger.mu, Node.mu, and the locks that
// the status of the plane takes. noted.mu is held while a package of this module is told of notes, and
// comes before all others. Locks of the plane are held when it calls HasEnded,
// OnIncarnation, OnLostTraffic or Outlived of its configuration, so they come before Node.mu
// and ledger.mu. No lock is held across I/O.
package node
