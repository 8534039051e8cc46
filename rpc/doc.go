// Package rpc makes requests between the nodes of a ring: typed methods, with deadlines,
// cancellation and errors that travel.
//
// The example is step 2 of the course of package [ringdht], and a program to copy. Both programs
// share the method, a constant. One handles it, the other calls it:
//
//	const Count = rpc.Method[string, int]("count")
//
//	e := rpc.New(n, "words")                       // before n joins
//	Count.Handle(e, func(ctx context.Context, text string) (int, error) {
//		return len(strings.Fields(text)), nil
//	})
//
//	n, err := Count.Call(ctx, e, worker, "to be or not to be")
//
// # What a call promises
//
// A request is handled once at most. A call ends as soon as its outcome is known: with the answer of
// the handler, or with an error that says what is certain.
//
//   - It matches [ErrNotHandled]: the request was not handled, and never will be. It may be sent to
//     another node.
//   - It matches [ErrUnknown]: the request may have been handled. Only a death, a new incarnation of
//     one of the nodes, or the end of the caller's context leaves that open.
//   - Any other error is the callee's answer, an [Error] with Remote set; or it is of the caller's
//     middleware.
//
// A call needs no deadline to end. If the callee dies, leaves or begins a new incarnation, the
// caller is told at once, or within some two seconds: in rings of more than 1,024 members, and if it
// dies while it leaves. A callee that leaves is off all lists before it refuses the first request.
//
// A callee that was suspended for longer than its lease, and wakes, is a new incarnation as soon as
// it hears of it. From then on it answers no request of the one before and begins none. Its handlers
// that ran go on, with contexts that have ended. The callers have [ErrUnknown].
//
// Requests are handled concurrently, also those of one source, in no particular order. Calls from
// all nodes to all nodes cannot wait for each other in a circle, also if handlers call back, as long
// as handlers call with their own context: see [WithConcurrency].
//
// # How it works
//
// An Endpoint has two services, its lanes: requests, which stand still while a callee is at its
// bound, and answers, whose handler never waits. So an answer waits behind no request. Requests that
// handlers make go on the lane of answers: the request that they are part of may hold up the other
// one. docs/rpc.md has the messages.
//
//	caller   begun ──Send──▶ sent ──answer, failure──▶ ended
//	           │               ├──undelivered, not handled──▶ ended: not handled
//	           │               ├──asked: not known, or not there──▶ ended: unknown
//	           │               ├──own incarnation over──▶ ended: unknown
//	           │               └──ctx ends──▶ ended: unknown; Cancel
//	           └──Send fails──▶ ended: not handled
//
//	callee   waits for a slot ──▶ running ──answer accepted──▶ forgotten
//	           │                    │ ▲                          │
//	           │                    │ └──answer undelivered──────┘
//	           │                    └──Cancel, caller gone, own incarnation over──▶ context ends
//	           └──leaving, cancelled before──▶ refused
//
// One mechanism finds all that can happen to a callee: the caller asks for its calls, on the lane on
// which their requests went. The question travels behind the requests. So a call that the callee
// does not know then has been answered, or went to an incarnation that is over; and if the question
// finds no sink, the callee is gone. The caller asks at once when a member has ended or a stream has
// left something, and once a second for older calls. A callee that is not asked checks in turn
// whether its callers wait.
//
// An answer that a stream leaves undelivered though both nodes live is sent again. Until then the
// callee knows the call, and before it denies one it waits until it would have been told.
//
// calls.go has the calls of a node and serves.go those of others, each with a lock that is held for
// no I/O. asks.go asks. What has no caller that waits (cancels, answers to questions) is sent by up to
// 64 goroutines; what they cannot send, the next question makes good. shares.go has the places of which
// each peer gets its share.
package rpc
