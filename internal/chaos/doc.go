// Package chaos has no code but its tests: rings of real processes over TCP, to
// which the worst is done while messages flow. They need Linux.
//
//	go test -v ./internal/chaos                      # all scenarios, in less than a minute
//	go test -v ./internal/chaos -run Mix -chaos.time 30m -chaos.seed 7
//	go test -v ./internal/chaos -run Partition       # in network namespaces, as root
//
// -chaos.lease sets the lease of all rings: a short one makes more of everything
// happen, and wrongs living nodes on a busy machine. -chaos.report names a file for
// the tables of results. With -artifacts the logs and books of all processes are
// kept; when a test waits in vain, the stacks of all processes are in their logs.
//
// The test binary starts itself again as the registry and as the nodes. It kills
// them (SIGKILL), stops them for a while (SIGSTOP), starts them again, and cuts
// the network between them.
//
// The account is not the library's own. Every node numbers what it sends, for each
// sink, and keeps a book of what Send accepted, of what it was told is undelivered,
// and of what its handler got. The book is a mapped file, so that it outlives a
// process that is killed; the test compares the books of all processes, living and
// dead, with each other at the end:
//
//   - of what a source that lives had accepted, every message is in the book of a
//     process that had the sink's ID, or the source was told that it is undelivered;
//   - no message is in the books twice;
//   - within what one life of a source sent to a sink, numbers only grow, and gaps
//     are what the source was told is undelivered;
//   - nothing is in a book that was not sent, or not to that process.
//
// Two clocks run beside it. A message carries the time at which its source wanted
// to send it. The gap of a pair is the longest time in which its sink got nothing
// while its source was trying; the recovery from a fault is the time until every
// pair of living processes has got through what was sent after the fault.
//
// The results are printed as the rows of a table, see docs/reliability.md.
package chaos
