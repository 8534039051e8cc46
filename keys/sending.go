package keys

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/keys/internal/channel"
	"github.com/x/ringdht/rpc"
)

const (
	maxBuffer  = 2048    // messages of WithBuffer: handlers have the rest of what the core takes
	maxPlain   = 4 << 20 // bytes of messages that no handler has sent
	maxTelling = 4096    // unknown outcomes that wait for WithUnknown's function
)

var (
	errOwnerDied = errors.New("the owner of the key died, or was declared dead, before it had answered")
	errNested    = fmt.Errorf("%w: the messages of handlers of this node that have no answer yet are too many", ringdht.ErrBacklog)
)

// request is a message of this node. The hub's mu guards it, but for done.
type request struct {
	key, method string
	body        []byte // the envelope
	again       bool
	nested      bool // a handler sends it
	call        bool // done gets the answer; else that the message was accepted

	done    chan outcome  // of one slot
	at      *list.Element // in hub.waiting; nil: it does not wait
	sent    bool          // the core has it
	ended   bool
	flushes []*flush
}

// outcome is how a request ends.
type outcome struct {
	reply   []byte
	from    ringdht.ID
	err     error
	unknown bool
}

// newRequest makes a request but for its value, which is to be appended to body.
func (h *hub) newRequest(ctx context.Context, key, method string, meta rpc.Meta, opts []SendOption, call bool) (*request, error) {
	if ctx.Err() != nil {
		return nil, contextError(ctx)
	}
	var s sending
	for _, o := range opts {
		o.applySend(&s)
	}
	e := envelope{key: key, method: method}
	r := &request{key: key, method: method, again: s.again, call: call, nested: rpc.FromContext(ctx) != nil, done: make(chan outcome, 1)}
	if r.nested {
		e.flags |= flagNested
	}
	if at, ok := ctx.Deadline(); ok && call {
		e.left = max(time.Until(at), 1)
	}
	var err error
	r.body, err = appendEnvelope(nil, e, meta)
	return r, err
}

// do sends a request, and waits for its outcome; without call only until it is accepted.
func (h *hub) do(ctx context.Context, r *request) (reply []byte, from ringdht.ID, err error) {
	h.begin()
	h.mu.Lock()
	h.enter(r)
	h.mu.Unlock()
	var o outcome
	select {
	case o = <-r.done:
	case <-ctx.Done():
		o = h.abandon(ctx, r)
	}
	switch {
	case o.unknown:
		return nil, 0, fmt.Errorf("%w: %w", ErrUnknown, o.err)
	case o.err != nil:
		return nil, 0, fmt.Errorf("%w: %w", ErrNotHandled, o.err)
	}
	return o.reply, o.from, nil
}

// enter needs mu.
func (h *hub) enter(r *request) {
	switch {
	case h.closed:
		h.end(r, outcome{err: ringdht.ErrClosed})
	case h.leaving && !r.nested:
		h.end(r, outcome{err: errLeaving})
	case r.nested && h.life != nil:
		if !h.life.source.Room(len(r.body)) {
			h.end(r, outcome{err: errNested})
			return
		}
		h.life.submit(r)
		h.life.settle()
	default:
		r.at = h.waiting.PushBack(r)
		if h.life != nil {
			h.life.settle()
		}
	}
}

// admit sends what there is room for, in order. It needs mu.
func (h *hub) admit() {
	for e := h.waiting.Front(); e != nil; e = h.waiting.Front() {
		r, l := e.Value.(*request), h.life
		if l == nil || !r.nested && !l.room(len(r.body)) {
			return
		}
		h.waiting.Remove(e)
		r.at = nil
		l.submit(r)
		l.drain()
	}
}

func (l *life) room(length int) bool {
	return l.places < l.h.buffer && (l.bytes == 0 || l.bytes+length <= maxPlain) && l.source.Room(length)
}

// submit gives a request to the core. It needs mu.
func (l *life) submit(r *request) {
	switch most := l.h.n.MaxPayload(); {
	case most < channel.MinBody:
		l.h.end(r, outcome{err: fmt.Errorf("%w: messages of this ring have at most %d bytes, keys need %d", ringdht.ErrTooLarge, most, channel.MinBody)})
		return
	case len(r.body) > most:
		l.h.end(r, outcome{err: fmt.Errorf("%w: with its key, method and metadata it has %d bytes, at most %d", ringdht.ErrTooLarge, len(r.body), most)})
		return
	}
	if !r.nested {
		l.places++
		l.bytes += len(r.body)
	}
	l.counted.Sent++
	r.sent = true
	l.pending[l.source.Send(Point(r.key), r.body, r.again)] = r
	if !r.call {
		r.done <- outcome{}
	}
}

// finish ends a request that the core has ended. It needs mu.
func (l *life) finish(number uint64, o outcome) {
	r := l.pending[number]
	if r == nil {
		return
	}
	delete(l.pending, number)
	if !r.nested {
		l.places--
		l.bytes -= len(r.body)
	}
	if o.unknown {
		l.counted.Unknown++
	}
	if !r.call && !o.unknown {
		if _, err := parseReply(o.reply, o.from); err != nil {
			l.counted.Failed++
		}
	}
	l.h.end(r, o)
	if l.h.leaving {
		l.h.announce()
	}
}

// end ends a request. It needs mu.
func (h *hub) end(r *request, o outcome) {
	if r.ended {
		return
	}
	r.ended = true
	if r.at != nil {
		h.waiting.Remove(r.at)
		r.at = nil
	}
	if r.call || !r.sent {
		r.done <- o
	} else if o.unknown {
		e, _ := parseEnvelope(r.body)
		h.tellUnknown(Unknown{r.key, r.method, e.value, fmt.Errorf("keys %q: %.80q: %w: %w", h.name, r.key, ErrUnknown, o.err)})
	}
	for _, f := range r.flushes {
		f.note(o)
	}
}

// endWaiting ends all requests that wait, but for those of handlers. It needs mu.
func (h *hub) endWaiting(err error) {
	for e := h.waiting.Front(); e != nil; {
		next := e.Next()
		if r := e.Value.(*request); !r.nested || err == ringdht.ErrClosed {
			h.end(r, outcome{err: err})
		}
		e = next
	}
}

// abandon ends the wait for a request.
func (h *hub) abandon(ctx context.Context, r *request) outcome {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.at != nil {
		h.end(r, outcome{err: contextError(ctx)})
	}
	select {
	case o := <-r.done: // it has just come
		return o
	default:
		return outcome{err: contextError(ctx), unknown: true}
	}
}

// flush waits for some requests.
type flush struct {
	left    int
	unknown int
	err     error // of the first of these
	done    chan struct{}
}

func (f *flush) note(o outcome) {
	if o.unknown {
		if f.unknown++; f.err == nil {
			f.err = o.err
		}
	}
	if f.left--; f.left == 0 {
		close(f.done)
	}
}

// flush waits until all messages that were accepted before have their outcomes.
func (h *hub) flush(ctx context.Context) error {
	f := &flush{done: make(chan struct{})}
	h.mu.Lock()
	if h.life != nil {
		for _, r := range h.life.pending {
			r.flushes = append(r.flushes, f)
			f.left++
		}
	}
	none := f.left == 0
	h.mu.Unlock()
	if !none {
		select {
		case <-f.done:
		case <-ctx.Done():
			return fmt.Errorf("keys %q: flushing: %w", h.name, contextError(ctx))
		}
	}
	if f.unknown > 0 {
		return fmt.Errorf("keys %q: flushing: %d messages: %w: %w", h.name, f.unknown, ErrUnknown, f.err)
	}
	return nil
}

// tellUnknown tells WithUnknown's function. It needs mu.
func (h *hub) tellUnknown(u Unknown) {
	switch {
	case h.unknown == nil:
		return
	case len(h.telling) >= maxTelling:
		h.counted.Untold++
		return
	}
	h.telling = append(h.telling, u)
	if !h.teller {
		h.teller = true
		go h.tellAll()
	}
}

func (h *hub) tellAll() {
	for {
		h.mu.Lock()
		all := h.telling
		h.telling = nil
		h.teller = len(all) > 0
		h.mu.Unlock()
		if len(all) == 0 {
			return
		}
		for _, u := range all {
			h.tellOne(u)
		}
	}
}

func (h *hub) tellOne(u Unknown) {
	defer func() {
		if p := recover(); p != nil {
			panicked("WithUnknown", p)
		}
	}()
	h.unknown(u)
}

// owner returns the ID of the owner of a key. The question goes as a message to it.
func (h *hub) owner(ctx context.Context, key string) (ringdht.ID, error) {
	r, err := h.newRequest(ctx, key, "", nil, []SendOption{Again()}, true)
	if err == nil {
		r.body[0] |= flagWhere
		_, id, doErr := h.do(ctx, r)
		if err = doErr; err == nil {
			return id, nil
		}
	}
	return 0, fmt.Errorf("keys %q: the owner of %.80q: %w", h.name, key, err)
}
