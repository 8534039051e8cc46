// Package arc decides which life of a node handles the messages to a key. It is the thinking part of
// package keys, and of the part of the registry that decides.
//
// It is pure: no I/O, no lock, no clock, no goroutine. Frames and events go into an [Authority] at
// the registry, an [Owner] at each node that offers to hold keys, and a [Source] at each node that
// sends to them. What they do comes out through the outputs.
//
// # Guarantee
//
// A key has a point on the ring of all 64-bit numbers. Messages from one source life to one point
// are handled in order and exactly once. That holds while arcs move, since owners join or retire. If
// an owner dies, the source is told which messages have no known outcome ([SourceOutput.Unknown]).
// Those sent with Again are sent again, before later ones.
//
// State moves with its arc. What a life that did not die has handled is in the state of the next one.
//
// # What it rests on
//
//   - Lives: a node's life has a number. A life that was declared over stays over, also at a
//     registry that takes another's place. Its node begins another one.
//   - Streams: frames between two lives arrive in order and exactly once while both live.
//   - Ends: a life hears of each end in the end. After that it gets no frame from there, and what it
//     sends there is dropped.
//   - Names: an owner may send to a life of which its node has not heard yet. The node keeps that until
//     it has.
//   - Leaving: an owner retires. When it holds nothing, its handlers have returned, and its own
//     messages are answered, it sends Closed to each life to which it has sent. It ends when they have
//     it, or are gone.
//   - The registry connection: frames come in order. Each connection begins with a [Report], which
//     the authority answers with [Orders]. What is under way when it ends may be lost. A life that
//     begins to offer reports once more.
//   - Terms: each is greater than all before it, as far as living members know. So members report the
//     greatest that they know, like incarnations.
//
// Lists may lag without bound. They say where to ask, and decide nothing.
//
// # Points and arcs
//
// All rules are rules for one point. A frame with an arc is one for each of its points. So an arc may
// be split anywhere, at any time: the machines keep functions on the ring that are constant on
// arcs, and a split is no event. Only two operations see whole arcs: a Give and a Take of state.
// They have a number, and each point remembers which one it waits for.
//
// A [Placement] says which owner should hold which arcs: that of the first position at or after a
// point. An owner may have any number of positions.
//
// # Four rules
//
//  1. One decider. The authority keeps holder, term, and receiver of each point. There is one
//     move at a time; joins and retirements wait for it. Only a death decides an unfinished move.
//  2. Terms in messages. A holder takes a message only under exactly the term by which it holds
//     the point. It loses a term once, for good. So of what a source sends to a point under one term a
//     prefix is handled, and the rest refused.
//  3. The receiver pulls the arc under the new term, takes the state, then handles. The giver keeps
//     the state, frozen, until the receiver has it.
//  4. A source uses one life and term for a point at a time. The first refusal speaks for all
//     behind it: they go back, in order. Those in front of it are waited for, and then it asks anew.
//
// # Messages
//
//	authority → owner    Grant{arc, term, from}    pull it from there; without from: hold it, with what is here
//	                     Settled{arc, term}        the move is over: drop the copy
//	                     Orders, Retired           the answer to a Report, complete; no more arcs, drop the rest
//	owner → authority    Report                    what it holds, and what it has given; first on a connection
//	                     Took{arc, term}           the receiver has the state, and handles
//	                     Retire, Left              take my arcs; I hold nothing any more
//	receiver → holder    Pull{arc, term}           give; it waits until the holder holds
//	holder → receiver    Give{arc, term, state}    I have stopped; I keep a copy
//	source → any owner   Ask{point}                the answer of the holder is Is{arc, term}, of others No{hint}
//	source → authority   Ask{point}                the answer is No{hint}, the hint the receiver or the holder
//	source → holder      Msg{point, term, seq}     the answer is Ans{seq, refused, reply}
//	owner → sources      Closed                    it leaves: what it has not answered it has never handled
//
// A seq is used once in a source's life. So answers may come in any order. A source asks where its
// list of owners says, follows hints, then asks the authority: a source without a list gets through,
// and owners may have different numbers of positions. What the connection to the registry has lost is
// said again by Report and Orders; an Ask by [Source.Retry].
//
// # States
//
//	point at the authority   free ─▶ held ─ another should hold it ─▶ moving ─ Took ─▶ held
//	                         moving ─ an end dies ─▶ held by the other, under a new term
//	                         held ─ its holder dies ─▶ free
//	point at an owner        none ─ Grant ─▶ wanted ─ state taken ─▶ held
//	                         held ─ Pull ─▶ stopping ─ handlers have returned ─▶ copied ─ Settled ─▶ none
//	                         held, stopping, copied ─ Grant without from ─▶ held
//	point at a source        idle ─ message ─▶ asking ─ Is ─▶ bound ─ all answered ─▶ idle
//	                         bound ─ refusal ─▶ draining ─ those in front answered ─▶ asking
//	                         bound, draining ─ Closed, or the holder's end ─▶ asking
//
// A Grant may be older than what an owner knows of a point: it was on its way while a receiver
// pulled. It has a lower term, and is void. A Pull may be older too: one for what this life gave
// long ago. It is void if the owner has nothing, and has heard from the authority since.
//
// # Encoding
//
// A frame is its kind and what the kind has, see [Frame.Append]. On the connection to the registry
// frames travel in notes, beside the parts of reports and orders, see [NoteReader]. What a later
// version may add is an [ErrKind], and ignored.
//
// # Why nothing is lost
//
// The giver keeps a frozen copy until the authority says that the receiver is the holder. Until then
// nothing else is decided for the point. So there is one state that counts: the receiver's if it is
// the holder, else the giver's. If the receiver dies before, its messages are of unknown outcome, and
// the giver resumes. If the giver dies, the receiver goes on with the state, if it has taken it.
// Otherwise the state is lost with the giver.
//
// A copy is dropped at the word of the authority, not of the receiver. For the receiver may be
// declared dead and not know it: the giver is the holder then, and would have nothing.
//
// A registry that takes another's place knows nothing. From its Report to its Orders an owner
// neither takes nor gives. For each point the report with the greatest term counts: that of a
// holder; or of a giver, if no receiver has taken what it gave. It resumes under a new term, since it
// has refused messages under the old one. All unfinished moves are void. What Orders do not name the
// owner drops. The registry draws a term, the bar, and says it in all Orders. A Pull under a lower
// term is void: it may be on its way for long.
//
// # Takes that fail or are slow
//
// A Take runs as long as it needs; asks wait. The copy at the giver is its backup, so it may fail and
// run again ([Owner.Retry]). A Take whose purpose is gone runs to its end, and what it took is
// dropped. There is one operation at a time for each point. A receiver that fails for ever holds its
// arcs up until it dies, which returns them to the giver. The authority does not end moves by itself:
// it cannot know whether the receiver has taken.
//
// # Calls from handlers
//
// Handlers run one at a time for each point, and at the same time for different ones. Answers come in
// any order. So a handler that calls another key waits for that key alone, and for no earlier
// message of its node. A stop waits for running handlers, and refuses what is queued. Two arcs may
// move in opposite directions while handlers of each call the other. Then the contexts of these
// handlers must end some time after the stop began ([Owner.Stopping]).
//
// A node may have few places for handlers. Then three rules keep them from waiting in a circle. A
// handler without a place does not begin when its arc stops, or gets a new term ([Owner.NotBegun]). A
// message of a handler needs no place. Nor does what is in front of one ([Owner.Behind]).
//
// # Bounds
//
//	source     maxUnanswered messages, maxBodies bytes: [Source.Room] says no. maxKnown cached arcs: all forgotten
//	owner      messages: [Owner.Room] says no at maxQueued. Parked asks: maxParked, then No
//	           answers: sent at once, not kept. Pieces and pulls: as the authority has cut
//	           copies: the states that it has given, until the authority has heard of it
//	authority  maxCuts pieces for each arc of the placement: more pieces get one new term
//	notes      MaxNote bytes of a part, MaxPositions, maxPieces arcs in a report or in orders
//
// Nothing is kept for a key at rest.
//
// # Rejected
//
//   - One handler at a time for each source, with cumulative answers: a handler that calls back
//     waits for a message that waits for its answer.
//   - A refusal that calls all unanswered messages back: those before the refused one may be handled,
//     and keep their own answers.
//   - Streams that lose frames though both ends live, with a word to the source: messages of unknown
//     outcome without a death, and a rule for each kind of frame that comes back.
//   - A last word by the core's Leave for each message, in place of Closed: it does not know of
//     messages that are acknowledged, and wait for a handler.
//   - Taken and Dropped between receiver and giver, and Took after them: the simulation lost a state
//     by a receiver that was falsely declared dead. And the giver had to remember the terms under
//     which it once gave, since the authority might still name it as the holder.
//   - An authority that ends a move whose receiver is slow: the receiver may have taken.
package arc
