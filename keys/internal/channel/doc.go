// Package channel carries frames between two lives of nodes, in order and exactly once while both
// live. Package keys uses it over streams of the ring, which may end though both live.
//
// It is pure: no I/O, no lock, no clock, no goroutine. A [Channel] is one life's end towards one
// other life. Bodies to transmit come out of [Channel.Take]; those that arrive go into
// [Channel.Receive].
//
// # Guarantee
//
// Each frame given to [Channel.Send] comes out of the peer's [Output.Deliver] once, in the order of
// the calls, if both live long enough and streams do not end for ever. [Channel.Unacknowledged]
// is 0 when the peer has delivered all.
//
// # What it rests on
//
//   - Streams: bodies of one stream arrive in order and once. If a stream ends, those that did not
//     arrive are the last ones of it. Nothing of an ended stream arrives after something of a later one.
//   - News: if a body was lost, its sender calls [Channel.StreamEnded] in the end. That may be late:
//     bodies of later streams may have arrived before.
//   - Lives: a channel is kept as long as both lives last. A channel that is made anew for
//     the same two lives meets numbers that it does not know, and fails with [ErrViolation].
//
// # How it works
//
// What is sent is one stream of bytes, numbered by offset. Each frame begins with its length. So a
// frame is encoded once, when it is sent. A body is a piece of these bytes with the offset of
// the first. It has many small frames, or a part of a large one. What is sent again may be cut in
// another way.
//
// The receiver counts the bytes that it has in a row. That number is the acknowledgement, and each
// body in the other direction says it. A body that begins below that number is a repeat: known
// bytes are dropped. One that begins above it shows a gap: it is dropped, and the next body to
// the peer says "again". The sender then begins anew at the first byte that is not acknowledged, as
// it does when it hears of a stream's end.
//
// Without anything to send back, an acknowledgement goes after 64 frames or 64 KiB, after a repeat,
// when a stream has ended, and when the peer asks ([Channel.Ask]). There is no timer. So at rest the
// last frames may be unacknowledged.
//
// # Body
//
//	flags    1 byte: 1 ask (acknowledge at once), 2 again (repeat from the acknowledged byte on)
//	from     8 bytes, big endian: the sender's life
//	to       8 bytes, big endian: the receiver's life
//	ack      uvarint: bytes received in a row
//	offset   uvarint: the number of the first byte below
//	bytes    up to the end: frames, each its length (uvarint) and its bytes
//
// A body does not end within a length. If it cuts a frame, it has 64 bytes of it at least, or goes on
// with one. A body without bytes still says an offset, so it too shows a gap.
//
// # States
//
//	byte, at its sender    queued ─ Take ─▶ taken ─ acknowledged ─▶ gone
//	                       taken ─ StreamEnded, again ─▶ queued
//	gap, at the receiver   none ─ a body begins too high ─▶ found ─ Take says again ─▶ said
//	                       found, said ─ a body begins low enough ─▶ none
//	                       said ─ StreamEnded ─▶ found
//	question               none ─ Ask; bytes are queued again ─▶ due ─ the last queued byte is taken ─▶ none
//	acknowledgement        none ─ see above ─▶ due ─ Take ─▶ none
//	channel                open ─ a rule is broken; Close ─▶ closed
//
// "Again" is said once for a gap, since what follows it is in flight. If that word is lost, the stream that
// lost it has ended, and it is said anew. If the repeat is lost, its sender hears of that stream's
// end.
//
// # Owners of memory
//
//	bytes that are not acknowledged   the channel; [Channel.Send] copies a frame
//	a body that was taken             the caller
//	a body that has arrived           the caller; [Channel.Receive] keeps none of it
//	a frame in [Output.Deliver]       the channel, or that body: valid until Deliver returns
//	a frame that has come in part     the channel
//
// # Bounds
//
//	unacknowledged    the caller's: [Channel.Room] and [Channel.Held]. Memory: four times that, or 32 KiB
//	at rest           of it, less than 64 frames and 64 KiB, until the peer says something
//	a frame in parts  what [Output.Admit] allows, and [MaxFrame]. Memory: twice what has arrived
//	gaps, repeats     nothing is kept; [Counters] counts them
//
// # Failures
//
//	the peer's life ends        the caller drops the channel: what is not acknowledged has no known outcome
//	a body for other lives      [ErrLives]; nothing changes
//	a body that no peer sends   [ErrViolation]; the channel is closed. Such are: an acknowledgement of
//	                            what was not taken, or within a length; again from a byte that was
//	                            acknowledged; numbers above 2^62; a frame that Admit refuses
//	a lower acknowledgement     ignored
//	a peer that acknowledges    what is held grows with each Send. The caller knows how much an honest
//	nothing                     peer leaves open, and ends the channel beyond
//
// A peer that says "again" all the time gets the same bytes again, as fast as it reads them. It costs
// no memory.
//
// # Rejected
//
//   - Numbers for frames, and fragments with numbers of their own: a frame then is encoded with
//     its number, acknowledgements within a large frame need a second number, and what is sent
//     again cannot be cut anew.
//   - A question in place of a repeat when a stream has ended: it saves repeats if all has arrived,
//     which is rare, and costs a round trip.
//   - Bodies kept behind a gap: they save repeats, and need memory that a hostile peer fills.
package channel
