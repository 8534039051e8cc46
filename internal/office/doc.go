// Package office decides which registry of a ring holds the office: at most one of them admits
// members, declares them dead, and plans tables. It is the thinking part of registries with standbys,
// which are still to be built: no other package uses it yet.
//
// It is pure: no I/O, no lock, no clock, no goroutine. Times, answers of a store and claims of nodes go
// in. What to do comes out.
//
// # Parts
//
//	Office     one registry's way into the office and out of it: lease, election, deadline, hand-over
//	Desk       the holder's meeting with nodes: terms, grace, identity
//	Finder     a node's search for the holder; Forsaking: when it gives its ring up
//	Taken      a node's fence: it takes no table of an earlier term
//
// The store has the office, the term and the ring, see [Snapshot]. It has nothing of the membership.
// An [Office] owns its lease and its tenure. The registry owns the books, and keeps them after a
// tenure: they count if its next tenure follows at once.
//
// # States
//
//	standby ─ elected, or given the office ─▶ in office ─ HandOver ─▶ frozen ─ taken ─▶ standby
//	in office, frozen ─ deadline passed, lease gone, Resign ─▶ standby
//	frozen ─ not confirmed, refused, or raised after an unknown outcome ─▶ in office
//	at the desk: grace ─ two leases ─▶ settled; settled on a state ─ a member shows a later one ─▶ grace
//
// # Failures
//
//   - The store does not answer: a holder decides nothing from the sending of the last renewal that
//     was answered + TTL - TTL/10 on, and leaves.
//   - A process stands still, or its machine: [Clocks.Since] takes the clock on which it was longer. Each
//     decision asks [Office.MayDecide]. After a long stop a renewal says whether the lease outlived it.
//   - An answer is lost: the write may still run later. Each write names the revision that it follows.
//     So a later write that succeeds proves that it never will. A Read proves nothing.
//   - A tenure ends: its lease is revoked and never used again. So writes under way fail.
//   - The store is restored from a copy: terms go back. A member that brings numbers that the holder
//     has not given makes it raise its term ([Desk.Meet]).
//
// # Duties of the caller
//
// [Office.Advance] is called at least every tenth of a TTL. A registry that is not [Office.MayDecide]
// answers 10 or 12 and changes nothing. Time in which it holds the office and may not decide counts
// for no silence and no grace. It hands nothing over in a grace: members that wait for the end
// of the freeze would lose their lives. A node that stood still for a lease closes its connection
// before it reads what that has brought. An operator restores a store a TTL and a half after it was
// last in use.
//
// # Rejected
//
//   - A wall clock that is a quarter of a TTL ahead as the sign of a suspension: shorter ones are longer
//     than the margin of a tenth, and they add up.
//   - A read after a hand-over of unknown outcome: the transaction may run after it. A raise settles it.
//   - Writes of the ring that compare the lease alone: a late "empty" would overtake "not empty".
//   - Own books whenever the term before is the own one: a restored store does not know of the tenures
//     since. The simulation gave an ID out twice. Now they count for a TTL and a quarter.
//   - Books that are handed over, or kept, in a grace as if they were whole. The simulation gave IDs out
//     twice. Now the next tenure has a grace too.
//   - A quarter of a lease for each of many addresses: with five, two rounds and the pause outlast a
//     grace. A round takes three quarters of a lease.
//   - A ring that is new in the store admits at once: the store may have been lost. It has a grace.
//   - A floor that is ignored when it is ten years above nothing: the first term, and that after a
//     loss, would be 1.
package office
