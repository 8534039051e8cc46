// Package topic sends messages from one node of a ring to all others that want them.
//
// The example is step 4 of the course of package [ringdht], and a program to copy. All programs that
// take part make a Topic of the same service. Any of them publishes under a subject, and each
// subscription to that subject gets the message:
//
//	lines := topic.New[Line](n, "chat")          // before n joins
//
//	sub, err := lines.Subscribe(ctx, "go")       // returns when it stands
//	for m := range sub.All(ctx) {
//		fmt.Println(m.Source, m.Value)
//	}
//
//	err = lines.Publish(ctx, "go", Line{"ada", "hello"}) // at any node
//
// # What a topic promises
//
// A subscription that stood when a message was published gets it exactly once, as long as both nodes
// live: also if nodes between them die, leave or hang. The messages of one publisher come in the order
// in which it published them, over all its subjects. Between publishers there is no order. A node that
// leaves with Leave ends after all members have what it published. Of one that dies each subscriber
// gets a part without gaps, which may end earlier at one than at another.
//
// A subscription has a buffer. If its loop is slow it loses the oldest messages there, and
// [Message].Missed says how many. Publishers and other subscriptions do not wait for it.
//
// docs/topics.md has the cases one by one, the cost, and what was rejected.
package topic
