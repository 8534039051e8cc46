// Package chaos tests rings of real processes over TCP, under faults, while messages flow.
// It has only tests, and they need Linux.
//
//	go test -v ./internal/chaos                      # all scenarios, in less than a minute
//	go test -v ./internal/chaos -run Mix -chaos.time 30m -chaos.seed 7
//	go test -v ./internal/chaos -run Partition       # in network namespaces, as root
//	go test -v ./internal/chaos -run Rolling -chaos.roll 10m -timeout 60m
//	go test -v ./internal/chaos -chaos.secure        # all rings are secure ones
//
// -chaos.lease sets the lease of all rings. A short lease makes all events more frequent,
// and evicts living nodes on a busy machine. -chaos.report names a file for the tables of
// results. -artifacts keeps the logs and books of all processes. When a test waits in vain,
// the stacks of all processes are in their logs.
//
// The test binary starts itself again as the registry and as the nodes. It kills them
// (SIGKILL), stops them for a while (SIGSTOP), starts them again, and cuts the network
// between them.
//
// # The books
//
// The account of messages is not the library's own. Every node numbers the messages that
// it sends, for each sink. It keeps a book of the messages that Send accepted, that it was
// told are undelivered, and that its handler got. The book is a mapped file, so it
// survives a process that is killed. At the end the test compares the books of all
// processes, living and dead:
//
//   - Every message that a living source had accepted is in the book of a process that had
//     the sink's ID, or the source was told that it is undelivered.
//   - No message is in the books twice.
//   - Among the messages of one incarnation of a source to one sink, numbers only grow, and
//     gaps are messages that the source was told are undelivered.
//   - No book has a message that was not sent, or was not sent to that process.
//
// # Rolling restarts
//
// TestRollingRestart restarts the instances of a service, and their registry, under 1,000
// requests a second. Its clients and instances are written as users of the library write them:
// a request is a message, and so is its answer. Each instance enters the requests that it
// handles in a ledger, and each client the answers. Every request must have one answer, of
// the one instance that handled it, which did so once. No node may lose its incarnation, and
// no log may have an error, or a warning that no operator needs.
//
// # Calls
//
// TestCalls and its neighbours have all nodes call each other by package rpc, under the same faults,
// without deadlines. Each process keeps a journal of the calls that it makes, of how they end, and of
// those that it handles. At the end the test compares the journals:
//
//   - Each call of a process that was not killed has one end: an answer, [rpc.ErrNotHandled], or
//     [rpc.ErrUnknown].
//   - No process has handled a call that was not handled by its error. No call was handled twice, and
//     each that was answered was handled.
//   - An outcome is unknown only if one of the two processes was killed or evicted, or the caller
//     gave up.
//   - A process that was suspended beyond its lease begins no request of its past life in the new
//     one, and answers none.
//
// # Keys
//
// TestKeys and its neighbours have all processes own keys, and send to those of all, under the same
// faults. Their journals also have what owners have handled, under which term, and the counter of the
// state. At the end:
//
//   - Each message of a process that was not killed was handled once, or it is of unknown outcome; one
//     sent with Again at least once, and twice only if an owner was killed or evicted.
//   - By the terms of a key, messages of a process come in order. No two lives have a term.
//   - Without faults nothing is unknown, and each counter grows by one with each message.
//
// # The clocks
//
// A message carries the time at which its source wanted to send it. The gap of a pair is
// the longest time in which its sink got nothing while its source tried to send. The
// recovery from a fault is the time until every pair of living processes has passed a
// message that was sent after the fault.
//
// The results are printed as rows of a table, see docs/reliability.md.
package chaos
