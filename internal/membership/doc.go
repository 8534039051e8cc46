// Package membership decides who is in the ring. It has two halves. [Authority] is the
// registry's: it admits members, tells each what changed for it, and finds out which are
// dead. [NodeView] is a node's: it keeps what the registry told the node, and lists the peers
// to link to.
//
// The package is pure: no I/O, no lock, no clock. Events and the time go in; messages and
// requests come out as [Effect] values.
//
// # Words
//
// A member is one incarnation of a node: [ring.Ref] names it by ID and incarnation number.
// A process that is declared dead joins again as a new incarnation, so an old message can
// never be taken for a new one. An epoch numbers what the registry told the members: each
// plan of the tables has the next epoch. A lease is the time that a member may be silent.
//
// # States of a member
//
//	          Admit             batch               all linked            Leave
//	(none) ──────────▶ waiting ────────▶ linking ──────────────▶ active ────────▶ leaving
//	                      ▲                 │                      ▲                 │
//	                      └─────────────────┘   (none) ────────────┘   (none) ◀──────┘
//	                       not linked in time,   Resume, to a new       all links to it
//	                       or connection broke   registry               are gone
//
// A member whose connection ends is also a suspect, until its node connects again (Resume)
// or it is declared dead. A leaving member is no suspect: it is dead when its connection
// ends.
//
// # How a member joins
//
// Newcomers join in batches, in two steps. First only the newcomers are told a table of
// the ring, with the whole batch in it, and open their links. Then the other members are
// told of them. A newcomer is announced, as a node that messages can be sent to, when the
// member before it has confirmed its new successor, and so have all members before that
// one, back to one that was announced already.
//
// # Why no node ever denies a member that exists
//
// A node answers "no such node" for an ID between itself and its successor. The answer is
// true if the node knows the right successor. The two steps keep it true for all
// announced members:
//
//   - A message that is routed to a newcomer finds it ready to route on, since the
//     newcomer links first.
//   - Every node that could deny a newcomer knows it as its successor before the newcomer
//     is announced.
//
// Removals need no such care. A node whose successor is dead says nothing about the IDs
// from that successor on, since its link there is down.
//
// # How a member dies
//
// A member lives as long as its connection to the registry. When the connection ends, the
// member is a suspect, and the registry dials its address:
//
//   - Nothing answers there, or another process does: the member is dead at once.
//   - The member answers, or the dial proves nothing: it has a lease to connect again.
//
// A member whose connection stays open but silent for a lease is dead too. Time in which
// the registry itself did not run does not count, see [Stretch]. In large rings members
// send fewer heartbeats and have more than one lease, see [MaxBeats].
//
// Reports of peers are hints. A report makes the registry look for itself, over its own
// connection. A member that some peer cannot reach is alive: the pair gets a detour, see
// [Authority.Trouble].
//
// # How a member comes back
//
// A member whose connection broke resumes under the same ID and incarnation, and may
// come from another address. A new registry knows no member: it believes those that
// resume, waits for a grace period before it admits newcomers, and then plans new tables,
// see [Authority.Resume].
//
// # The life of a ring
//
// A ring has an identity, which is drawn when it first becomes live. Members learn it with
// their first table, and tell it to each registry that they come back to. A node without a
// table has no ring.
//
//	          first member, or Setup
//	no ring ──────────────────────────▶ live ◀──┐ all members may go, and others come:
//	 │    ▲                              ▲ └────┘ it stays live, and the same ring
//	 │    │ grace over, no member back   │
//	 ▼    │                              │
//	recovering ──────────────────────────┘
//	          grace over, members back
//
// A registry recovers from the first member on that comes back while there is no ring, or from
// its start ([Authority.Start]). While it recovers it admits no newcomer. These rules keep two
// rings apart, and one ring whole:
//
//   - A member of another ring is refused, whatever else it says ([ErrOtherRing]). No registry
//     merges identities.
//   - A registry that knows no identity adopts that of the first member that comes back, while
//     there is no ring or while it recovers. Later it has one of its own.
//   - A ring that sets itself up is made live by its first member. A newcomer may reach a
//     restarted registry before the members do. So that registry recovers from its start, and
//     only then may a newcomer be the first member.
//   - A node gives up a ring that no registry has had for 20 leases, see [Forsaking].
//
// A kept record ([Record]) replaces the guess of what was before:
//
//	record            at the start                      then
//	none was kept     as above
//	new               as above: an earlier one may be   the first member waits until "has members" is written
//	                  lost
//	empty             no grace; the identity is known   likewise
//	has members       recovering; the identity is       grace over, no member back: two leases more, in which
//	                  known                             the first to come starts a whole grace
//
// "Has members" is written before the first member is admitted, or, if an operator sets the ring
// up, before the first table is handed out. "Empty" is written after the last member has left or
// died. So a record that is wrong costs a grace, and never a life.
package membership
