package keys

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/x/ringdht"
	"github.com/x/ringdht/rpc"
)

// Keys is the lower face of keys, for programs that keep the states themselves: messages are bytes, and an
// [Owner] moves states. Its methods are safe for concurrent use.
type Keys struct{ hub *hub }

// Owner handles the messages to keys, and keeps their states, during one life of its node. Its methods
// are called on goroutines of their own, those about different points at the same time. Handle is not
// called for a point while another method runs for an arc with it, and those calls come in the order in
// which they were decided. Each context ends with the life. Then Drop is called for all points, and handlers
// may still run: nothing that they do counts any more.
type Owner interface {
	// Handle handles a message, one at a time for each point, see [Point]. The error goes to the caller.
	Handle(ctx context.Context, m Message) ([]byte, error)
	// Give writes the state of an arc, which is at rest, at most 64 MiB. The state stays here, as it is,
	// until Resume or Drop. After an error Give is called again.
	Give(ctx context.Context, a Arc, w io.Writer) error
	// Take takes the state of an arc in the place of what was there. r has what was given for an arc
	// with this one in it. It is nil if no owner has the state. After an error nothing must be left of it,
	// and Take is called again.
	Take(ctx context.Context, a Arc, r io.Reader) error
	// Resume says that what was given is handled here again.
	Resume(a Arc)
	// Drop says that the state of an arc is not this owner's any more. It is lost if no other one has it:
	// since the last owner leaves, or the life is over.
	Drop(ctx context.Context, a Arc, lost bool)
}

// Message is a message to a key.
type Message struct {
	Key    string
	Source ringdht.ID
	Term   uint64 // it grows when the key moves: by it others can refuse what an owner does that was declared dead
	Body   []byte // it must not be changed
	op     *rpc.Op
}

// Open returns the keys of a service. owner makes the Owner of each life of the node: after the node was
// declared dead there is another one. If owner is nil the node only sends, and owns no keys. Call Open
// before Join, in all programs with the same service. It registers two services, as [New] does.
func Open(n *ringdht.Node, service string, owner func() Owner, opts ...Option) *Keys {
	h := newHub(n, service, opts)
	if owner != nil {
		h.own(owner)
	}
	return &Keys{h}
}

// Service returns the service whose members are the owners. It must not be used otherwise.
func (k *Keys) Service() *ringdht.Service { return k.hub.service }

// Owner returns the ID of the node that owns a key. It may be another one when Owner returns. The
// question waits for messages of this node to the key, as these do for each other.
func (k *Keys) Owner(ctx context.Context, key string) (ringdht.ID, error) {
	return k.hub.owner(ctx, key)
}

// Send sends a message to the owner of a key, as [Method.Send] does. It copies body.
func (k *Keys) Send(ctx context.Context, key string, body []byte, opts ...SendOption) error {
	_, err := k.do(ctx, key, body, opts, false)
	return err
}

// Call sends a message to the owner of a key and waits for the answer, as [Method.Call] does.
func (k *Keys) Call(ctx context.Context, key string, body []byte, opts ...SendOption) ([]byte, error) {
	return k.do(ctx, key, body, opts, true)
}

func (k *Keys) do(ctx context.Context, key string, body []byte, opts []SendOption, call bool) ([]byte, error) {
	r, err := k.hub.newRequest(ctx, key, "", rpc.SentMeta(ctx), opts, call)
	if err != nil {
		return nil, fmt.Errorf("keys %q: %.80q: %w: %w", k.hub.name, key, ErrNotHandled, err)
	}
	r.body = append(r.body, body...)
	reply, from, err := k.hub.do(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("keys %q: %.80q: %w", k.hub.name, key, err)
	}
	if !call {
		return nil, nil
	}
	return parseReply(reply, from)
}

// Flush waits until all messages that were accepted before the call have their outcomes. Its error
// matches [ErrUnknown] if the outcomes of some are not known, or the cause of ctx.
func (k *Keys) Flush(ctx context.Context) error { return k.hub.flush(ctx) }

// Counters returns the counters of the node, over all its lives. They are of one instant.
func (k *Keys) Counters() Counters { return k.hub.counters() }

// do calls the user's Owner.
func (op *operation) do(l *life) (state []byte, err error) {
	switch op.kind {
	case giving:
		w := &limited{b: []byte{}}
		err = l.user.Give(l.ctx, op.arc, w)
		return w.b, err
	case taking:
		var r io.Reader
		if op.state != nil {
			r = bytes.NewReader(op.state)
		}
		return nil, l.user.Take(l.ctx, op.arc, r)
	case resuming:
		l.user.Resume(op.arc)
	case dropping:
		l.user.Drop(l.ctx, op.arc, op.lost)
	}
	return nil, nil
}

// limited takes the state of an arc.
type limited struct{ b []byte }

func (w *limited) Write(b []byte) (int, error) {
	if len(w.b)+len(b) > maxGive {
		return 0, fmt.Errorf("%w: the state of an arc has more than %d bytes: it cannot move", ringdht.ErrTooLarge, maxGive)
	}
	w.b = append(w.b, b...)
	return len(b), nil
}

// logFailed logs that an arc waits.
func (h *hub) logFailed(op *operation, err error) {
	what := "an owner could not take over the state of an arc, and tries again"
	if op.kind == giving {
		what = "an owner could not give away the state of an arc, and tries again"
	}
	slog.Warn("keys: "+what, "service", h.name, "first", op.arc.First, "last", op.arc.Last, "error", err)
}
