// Package keys gives each key of a service one owner among the nodes: messages to a key come to it one
// at a time and in order, and find the state that the earlier ones have left. When nodes join or leave,
// keys move with their states, and messages follow them.
//
// The example is step 5 of the course of package [ringdht]. A counter for each key, shared over all nodes
// that handle Add:
//
//	const Add = keys.Method[int64, int64, int64]("add") // state, request, answer
//
//	counters := keys.New[int64](n, "counters") // before n joins
//	Add.Handle(counters, func(ctx context.Context, key string, count *int64, by int64) (int64, error) {
//		*count += by
//		return *count, nil
//	})
//
//	n, err := Add.Call(ctx, counters, "apples", 3) // on any node
//
// # What it promises
//
// The messages of one node to one key, of [Method.Call] and [Method.Send] together, are handled in the
// order in which they were accepted, and exactly once. That holds while owners join and leave, streams
// end, and the registry restarts. All that was handled is in the state that the next message finds.
//
// A death is the exception. If the owner of a key dies, or is declared dead, its state is lost, unless
// [Space.OnLoad] has it from elsewhere. Messages that had no answer then are of unknown outcome
// ([ErrUnknown]); those sent with [Again] go to the next owner, before later ones. If the node that
// sends is declared dead, all its messages without an answer are of unknown outcome.
//
// There is no order between keys, or between nodes that send. An owner that is cut off and not yet
// declared dead may answer nodes that have not heard of that either. What it does is lost; by [Term]
// others can refuse it.
//
// # Where a key is
//
// The owners are the nodes whose Space has a handler. They have 64 positions each on a ring of 64-bit
// numbers, and a key belongs to the first position at or after its [Point]. The registry decides which node
// holds which arc, under which term, and moves one arc at a time from one owner to the other. Without
// the registry what is held goes on to be handled, and moves wait.
//
// A node asks once for the owner of an arc. A message to a key of an arc that it knows takes one
// message and one answer, over the ring. docs/keys.md has the rules and the reasons.
//
// # What a move costs
//
// The owner refuses messages to the arc, waits for its running handlers, and sends the states, encoded by
// the codec of the ring. Messages to these keys wait meanwhile; all others go on. So states should be
// small, of kilobytes rather than megabytes, and handlers quick. At rest a key costs its state, and
// nothing at other nodes.
package keys
