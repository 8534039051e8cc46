// Package membership is the thinking about who is in the ring: the registry's half,
// which admits members, tells each what changed for it and finds out who is dead, and
// a node's half, which keeps what it was told and says whom to link to. It is pure: no
// I/O, no lock, no clock. Events and time go in, messages and requests come out.
//
// # The life of a member
//
//	             Admit                 batch                      all linked
//	nobody ──────────────▶ waiting ─────────────▶ linking ───────────────────▶ active
//	                                                           ▲                 │ Leave
//	                          Resume, to a new registry: nobody ─┘               ▼
//	                       nobody ◀── everybody let go of it, or it died ──── leaving
//
// # Why nobody is ever told that a member does not exist
//
// A node says "no such node" of an ID that lies between itself and its successor. That
// is the truth if the successor it knows is the right one. Two rules keep it true for
// everybody who is known to exist:
//
//   - Newcomers come in batches, in two steps. First they, and only they, are told a
//     table of the ring with all of the batch in it, and link up. Only then are the
//     others told of them. So whoever is led to a newcomer finds it ready to lead on.
//   - A newcomer is announced, as somebody to send to, when the node before it has
//     confirmed its new successor, and so have all those back to a node that is known.
//
// Removals need no such care: a node that still believes in a dead successor says
// nothing about the IDs up to it and beyond, since its link is down.
//
// # Who is dead
//
// A member lives as long as its connection to the registry does. When that ends, the
// registry dials the member: if nobody is there, or somebody else is, it is dead at
// once; if it answers, or nothing can be told, it has a lease to come back. A member
// whose connection stays open and silent for a lease is dead as well; time in which the
// registry itself did not run does not count, see [Stretch]. What its peers
// say only makes the registry look; a member that some peer cannot reach is alive, and
// the pair is led around.
package membership
