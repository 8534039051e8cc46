// Package ring is the geometry of the ring: distances, the next hop, tables by position,
// the list of members, and the audit of tables. It is pure: no lock, no clock, no I/O.
//
// # Tables
//
// [Offsets] says how many positions ahead each entry of a table should be. Plans, slack,
// the bound on hops and the audit take the offsets from there, and only [Classic] knows
// about powers of two. [Layout] decides when the offsets change.
//
// Successors and the first three entries are always exact: every route arrives because of
// them. Longer entries may lag within their slack (see [Plans]) until the next exact
// update.
//
// # What a join and a death cost
//
// [Plans] keeps what every member was told, and sends each only what changed. With classic
// offsets in a ring of N members, and k = ceil(log2 N) entries:
//
//	              entries sent                    members told
//	join, exact   2^k - 1 + k                     2^(k-1) + 1
//	death, exact  2^k - 1                         2^(k-1)
//	join          7 + k + drift                   5 + drift
//	death         7 + (k - 3) + drift             4 + (k - 3) + drift
//
// An exact join moves an entry in every span of 2^i that the newcomer falls into, and sends
// the newcomer its own table. With lag, only entries 0, 1 and 2 of the 1, 2 and 4 members
// before it move, and a death also changes the longer entries that name the dead member.
// Each also sends the successors, 4 each, to the 4 members before, and to a newcomer.
// Several joins in one update cost at most as much as one after the other.
//
// Drift is the cost of entries that left their slack of 2^i/8 positions. If joins and
// deaths balance, an entry wanders at random, and rarely leaves its slack before the member
// that it names dies: 4 to 7 entries were measured. If the ring only grows, entry i is
// replaced once in 2^i/8 + 1 joins within its span. That is fewer than 8 entries a join for
// each i from 3 on, and at most 7 + k + 8(k-3) = 9k - 17 in all on average, always O(log N).
// But entries that were set up together leave their slack together. After an exact update,
// growth by an eighth replaces most long entries within a short time, at several times the
// average.
//
// The size of the tables is ceil(log2 N). A ring that goes back and forth over a power of
// two tells every member each time: one entry with a join, and only the size with a death.
//
// # What lag costs
//
// Every route still arrives. The longest route is k-2 + floor(8(N-1) / (7 * 2^(k-1))) hops
// (see [LaggingHops]), for full tables at most ceil(log2 N), which is at most one more than
// with exact tables. The mean is a little lower, 4.74 instead of 4.94 hops at 1,000 nodes,
// because entries are off in both directions. The load is less even: with exact tables all
// nodes relay the same; with lag, at 1,000 and 2,000 nodes, the busiest relays 2.9 times the
// mean and the idlest 0.04 times. An exact update evens it again.
//
// # Memory and time
//
// Plans need at most 2(17 + 4k) + 4 bytes a member. An update goes over all entries, which
// takes milliseconds in a ring of 100,000.
package ring
