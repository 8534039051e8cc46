// Package broadcast decides how a message reaches all members of a service. It is the thinking part
// of package topic.
//
// It is pure: no I/O, no lock, no clock, no goroutine. Frames, changes of the member list and frames
// that came back go into a [Node]. What it does comes out through an [Output].
//
// # Guarantee
//
// A member stands when all members know it ([Output.Stands]). From then on it gets each message of
// each member exactly once, in the order of each publisher's numbers, as long as both live. Where a
// message is gone for good the next one says how many are missing. That happens only to messages
// that were published before the member stood, or by a publisher that ended.
//
// # What it rests on
//
//   - Streams: a frame arrives in order and exactly once while both ends live. If a stream ends,
//     its source gets back what may not have arrived ([Node.Undelivered]).
//   - Lists: a member's first list has all members that joined before it, by their epochs. Each
//     member hears of each later join and of each end, at any time. It may hear the net change.
//   - Identity: a member that was off a list comes back as another incarnation. When a member's
//     end is told, streams to it have ended: its ID then leads to the next incarnation.
//
// Lists may lag without bound. Messages do not wait for them; answers and newcomers do.
//
// # The tree
//
// A frame has a range: the members between its receiver and its Limit. The receiver splits the
// range among the members that it knows there: those at positions 1, 2, 4, 8 and so on. Each of these
// gets the part up to the next one. So N-1 frames reach N members, over at most log2 N hops. A
// member that a parent does not know is in the range of the member before it. It is reached if that
// one knows it. (El-Ansary, Alima, Brand, Haridi: "Efficient Broadcast in Structured P2P Networks",
// IPTPS 2003, split ranges by routing tables. A list gives the same tree where all nodes are
// members, and is exact where they are not.)
//
// # Questions
//
// A frame with a Tag is a question about its range, and goes down the tree. A member answers its
// parent with one Confirm, when its own answer and those of its children are there. This is the echo
// of a wave (Segall 1983). When a child ends, its parent passes the question on to those behind it.
// So each answer comes in the end, however many members end, and however late others hear of that.
// A question carries no message, so no member but the publisher keeps one.
//
//	Sync    Do you have all messages up to a number? Where one is missing the member asks the
//	        publisher itself (Need), and answers when it has come.
//	Agree   Do you know this newcomer?
//	Settle  Have all messages that you have published so far arrived? The answers name the eldest
//	        member of their range. It has what was published to all members while it is one.
//
// A question has an epoch: that of the latest join that its origin knows, or of the join of the member
// that passes it on, if that is later. A member with an older list
// delivers a message and passes it on at once, but keeps the question until it has the list. Without
// that, a member that was declared dead, lives on and does not know it would answer for a range with
// newcomers of which it has never heard. And the answer to a newcomer could go to the earlier
// incarnation of its ID.
//
// A publisher keeps what is not confirmed. It has one Sync under way at a time: a Data frame with a
// tag if nothing is, and another Sync when one is answered and there are new messages. So a lone
// message costs N-1 frames and N-1 answers, and many messages share one question.
//
// # Why nothing is lost
//
// A newcomer asks Agree with the epoch of its own list. When the answer is there, each member knows
// it: members that joined before have a list of that epoch, and those that joined later have it on
// their first list. So from then on each question has that epoch or a later one, each answer is from
// a list that has the newcomer, and so the question has reached it. A message stays with its
// publisher until its question is answered.
//
// Only members that stand publish. So a frame of a publisher that is not on the list is of one that
// has ended: a member passes it on, answers, and delivers nothing. No list of ended publishers is
// needed to tell late frames from first ones. A publisher that leaves is off the lists before it
// ends, so members remember the latest of those.
//
// A newcomer takes the first frame of a publisher as the begin: frames say below which number the
// publisher keeps nothing (Lo). All that this member must get is kept, so it is not below.
//
// # States
//
//	member      joining ─ Agree answered ─▶ standing
//	publisher   idle ─ Publish ─▶ asking ─ answered, nothing new ─▶ idle
//	question    open ─ own answer and all children's ─▶ answered, forgotten
//	source      at number got, with messages held in front of a gap; ended: forgotten
//
// # Rejected
//
//   - Messages logged at each relay: memory of all publishers at all members, and windows between
//     members that wait for each other in a circle.
//   - Confirmations straight to the publisher: a stream from each member to each publisher.
//   - Repair at a member's death alone: a node that hears of a death late may pass a message to the
//     dead after the publisher has repaired.
//   - Messages that wait for lists: one registry connection that is down would stop them.
//   - Questions that any list answers: the simulation lost messages by members that were falsely
//     declared dead.
//   - Two parents for each member: twice the messages, and still no proof.
package broadcast
