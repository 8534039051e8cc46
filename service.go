package ringdht

import (
	"context"
	"iter"

	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/status"
)

// Service is a name under which nodes exchange messages: what one node's service sends, the
// service of the same name at the other node handles. Each service has a stream of its own to each
// sink, with its own order and window. So a service that waits for another node holds up no other.
//
// A program registers all services, with what they do, before [Node.Join]. Then no message comes
// too early for its handler, and the ring can tell what a node serves.
type Service struct {
	n    *Node
	port uint8
	name string
}

// Service registers a service with the node. A name is printable UTF-8 of up to 64 bytes, without a
// space at its ends. The empty name is a service as well, for programs with one kind of messages.
//
// Service panics if that is a mistake of the program: the name is not valid or taken, the node has
// 127 named services, or Join was called. So do Handle, OnUndelivered and OnLeave after Join, with a
// nil function, and the first two in a second call.
func (n *Node) Service(name string) *Service {
	return &Service{n, n.n.Register(name), name}
}

// Name is the name of the service.
func (s *Service) Name() string { return s.name }

// Handle sets the handler of the service. A service without one only sends: what other nodes send to
// it fails there with [ErrNoService]. At a node with [WithTraffic] one of the empty name drops it,
// since the messages of runs travel on the same stream.
func (s *Service) Handle(h Handler) {
	var call func(context.Context, *plane.Delivery)
	if h != nil {
		cfg := s.n.cfg
		call = func(ctx context.Context, d *plane.Delivery) {
			h(ctx, Message{Source: ID(d.Source), Hops: d.Hops, Body: d.Body, Cast: d.Cast, cfg: cfg})
		}
	}
	s.n.n.Handle(s.port, call)
}

// OnUndelivered sets a callback for each stream of the service that ends with messages not known to
// be delivered, because its sink died or left, or this node closed or was declared dead. f runs on a
// goroutine of the node, one call at a time for each sink, and before a Flush returns that waited
// for that stream. It may send. It should not call Flush, and cannot call Leave or Close, see
// [ErrInHandler].
//
// [Node.Close], [Node.Leave] and later calls of [Node.Flush] do not repeat what f was told; a Flush
// that was waiting for the stream returns it too. They do return what f was not told, because f
// panicked or ended its goroutine (runtime.Goexit, and so t.Fatal), or because 4,096 calls of f
// were pending.
func (s *Service) OnUndelivered(f func(status.Undelivered)) {
	var call func(plane.Undelivered)
	if f != nil {
		call = func(u plane.Undelivered) { f(s.n.undeliveredOf(u)) }
	}
	s.n.n.OnUndelivered(s.port, call)
}

// OnLeave adds a function that [Node.Leave] calls to wind up what the service does, see there. It
// may be called more than once. Of all functions of a node the one added last is called first, on
// the goroutine that has called Leave, which waits for it. Its ctx is that of Leave, and ends too if
// the node is declared dead. [Node.Close] does not call it.
func (s *Service) OnLeave(f func(ctx context.Context) error) { s.n.n.OnLeave(s.port, f) }

// Send sends a message to this service at the node with this ID. If it returns nil the message is
// accepted: the handler there gets it exactly once, after all that this service sent there before,
// as long as both processes live and the ring connects them. Send does not wait for that;
// [Node.Flush] does. Send copies body. It waits, until ctx ends, while the sink's window, this
// node's send buffer or the first link is full, so a slow sink slows down its own sources. It also
// waits for the node's first routing table, so it may be called before [Node.Ready] returns. Before
// the first message to a node that is not among [Node.Members] it waits to learn whether that node
// exists.
//
// With the context of one of this node's handlers it waits neither for a table nor for a window: the
// message joins a backlog, and the error matches [ErrBacklog] if that is full. A message goes to the
// incarnation of the sink to which its stream was opened. If that has ended, and the node has not
// heard of it yet, the message has no known outcome, also if another incarnation has taken its place.
//
// After any error the message was not sent. The error matches
//
//   - the cause of ctx, or [ErrTooLarge] if body is longer than the ring allows;
//   - [ErrNoSuchNode] if no node in the ring has this ID; [ErrNoService] if that node does not have
//     this service; [ErrLeft] if it is about to leave; [ErrRefused] if it has no room for another
//     stream; [ErrGone] if its incarnation ended while Send waited;
//   - [ErrNotReady] if this node has no table yet; [ErrEvicted] if it was declared dead, and has not
//     joined again; [ErrNotMember] if it is about to leave; [ErrClosed].
func (s *Service) Send(ctx context.Context, to ID, body []byte) error {
	return s.n.n.Send(ctx, s.port, to, body)
}

// SendBatch sends messages in order, each as [Service.Send] does. Short ones then cost their source
// half as much. It returns how many were accepted. The error says why the next one was not.
func (s *Service) SendBatch(ctx context.Context, to ID, bodies [][]byte) (accepted int, err error) {
	return s.n.n.SendBatch(ctx, s.port, to, bodies)
}

// SendValue encodes v with the node's codec and sends it like [Service.Send]. The receiver calls
// [Message.Decode]. A value that the codec cannot carry is an error, and nothing is sent; [Msgpack]
// and [JSON] say which values those are.
func (s *Service) SendValue(ctx context.Context, to ID, v any) error {
	return s.n.n.SendValue(ctx, s.port, to, v)
}

// Cast sends a message without a stream: it is not numbered, acknowledged or repeated, and is lost
// where a queue is full or a link breaks. Cast copies body. It waits, until ctx ends, only while
// the first link is congested. Casts arrive in no particular order, and the handler gets them one
// at a time. [Node.Flush] does not wait for them. The errors are those of [Service.Send], but a cast
// to an ID that no node has may be lost without an error.
func (s *Service) Cast(ctx context.Context, to ID, body []byte) error {
	return s.n.n.Cast(ctx, s.port, to, body)
}

// Flush waits until all messages that this service had accepted for a sink before the call are
// delivered, or left undelivered and told to the callback of [Service.OnUndelivered]. It waits for no
// other service at the sink, and takes nothing away from what [Node.Flush] lists. The error matches
// the cause of ctx if ctx ended first.
func (s *Service) Flush(ctx context.Context, sink ID) error {
	return s.n.n.AwaitService(ctx, s.port, sink)
}

// Members are the members that handle this service, the node itself first; of the empty name all, as in
// [Node.Members]. Equal epochs, which grow, mean equal lists. In a ring of more than 1,024 the first call
// of Members or Watch asks the registry for the list: until it comes it is a part, of epoch 0.
func (s *Service) Members() (members []status.MemberInfo, epoch uint64) {
	return s.n.n.ServiceMembers(s.name)
}

// Watch is [Node.Watch] for the members that handle this service, complete in rings of any size. The
// node itself is one of them if it does, once it is announced to all.
func (s *Service) Watch(ctx context.Context) iter.Seq[status.MemberEvent] {
	return s.n.n.WatchService(ctx, s.name)
}
