// Package peers keeps the connections of one incarnation of a node. It decides which connection
// is the link to each peer, which links the routes in force use, and when a connection ends. It
// carries frames about a connection itself; the frames of messages are its owner's.
//
// # A connection
//
// A [Conn] carries up to two links: one from the side that dialled, and one back, if the other
// side asks for it and is allowed to. So two nodes that are entries of each other need one
// connection (share.go). Each side has a state for each direction:
//
//	unused -> open -> ended    the side that dialled sends; the other, once it is allowed to
//	unused -> asked -> open    the side that was dialled asks (Share, Shared)
//
// Each direction begins at most once and ends at most once. It ends with an End frame behind
// everything else. A side that receives End and is not sending closes the connection.
//
// The accepting side must ask so that the dialling side always knows whether frames may come. So
// it can tell when it has received everything, see [Set.AwaitPeersEnded], and neither side sends
// on a connection that the other is closing.
//
// Rejected: adoption at will, where the accepting side sends on the connection without asking. Its
// last frames could still be under way when the registry says, over another path, that all peers
// have let go.
//
// # A link
//
// A [Link] is in use from the moment its direction is open until [Set.Unlink], a later link to
// the same peer, or routes that do not name the peer. A [Snapshot] has the links in use and the
// way for each decision of [ring.Router]. It is immutable: one atomic load serves a whole batch.
// A frame may still reach a link that has just left it. Its writer takes the frame, or says that
// the link has ended; then the caller unlinks it and finds it in no later snapshot.
//
// # Failures
//
//   - A connection breaks, or the peer breaks a rule: reading fails, and the owner calls
//     [Conn.End], sends on what the link had not begun to write, and calls [Conn.Remove].
//   - A write fails: the writer closes the connection, so reading fails.
//   - A peer does not answer, or does not read: [Set.CheckLinks] ends its link (keepalive.go).
//   - A link is replaced or not named any more: it writes what it holds, and End. The peer has
//     [RetireTimeout] to read, and as long again to close.
//   - Too many connections come, or one sends part of a frame: incoming.go.
//   - An incarnation ends: [Set.Evict].
//
// # Owners
//
// The owner has one goroutine that reads each connection, and replaces it if it likes; it owns
// what the reader returns until the next read. A writer's queue belongs to package link. A
// connection is in the set until Remove, and Close waits for that. Set starts goroutines only to
// close connections, and timers only for connections on which End was sent.
//
// # Locks
//
// Set.mu guards the set, and the directions of its connections. It is taken after a stream's lock
// and before a writer's. A probe's lock is taken right before its writer's. None is held across I/O.
// The set calls two functions of its owner, Config.IsMember and the argument over of [Set.Accept],
// and holds no lock then.
package peers
