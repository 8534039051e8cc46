package rpc

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/leaks"
	"github.com/x/ringdht/status"
)

func TestMain(m *testing.M) { leaks.Main(m) }

// world is a ring in memory, whose streams the test rules. A test of it runs in a bubble.
type world struct {
	t      *testing.T
	silent bool // a large ring: members are not told of ends
	window int  // bytes of a stream that may wait; 0: no bound
	shared bool // answers travel with the requests
	most   int  // bytes of a message; 0: no bound
	codec  ringdht.Codec

	mu    sync.Mutex
	cond  *sync.Cond
	nodes map[ringdht.ID]*member
	lives uint64
	held  map[way]bool // streams that stand still
	told  map[way]int  // callbacks that run
	mute  bool         // callbacks wait
}

// way names a stream.
type way struct {
	from, to ringdht.ID
	lane     lane
}

// member is a node's incarnation. It is the carrier of its endpoint.
type member struct {
	w       *world
	id      ringdht.ID
	life    uint64
	e       *Endpoint
	ctx     context.Context // of its handlers
	stop    context.CancelFunc
	serving bool // it handles requests
	leaving bool
	cut     bool // it takes in no more
	busy    int  // its handlers that run
	streams map[way]*queue
	events  []status.MemberEvent
}

// queue is a stream: the messages that its sink has not handled.
type queue struct {
	to    *member
	way   way
	all   [][]byte
	bytes int
	busy  bool // the first is with the handler
	over  bool
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, codec: ringdht.Msgpack(), nodes: make(map[ringdht.ID]*member), held: make(map[way]bool), told: make(map[way]int)}
	w.cond = sync.NewCond(&w.mu)
	t.Cleanup(w.close)
	return w
}

func (w *world) close() {
	w.mu.Lock()
	ids := make([]ringdht.ID, 0)
	for id := range w.nodes {
		ids = append(ids, id)
	}
	w.mu.Unlock()
	for _, id := range ids {
		w.remove(id, status.MemberDied, ringdht.ErrGone)
	}
}

// join adds a member. It handles requests if methods adds some.
func (w *world) join(id ringdht.ID, methods func(*Endpoint), opts ...Option) *Endpoint {
	m := &member{w: w, id: id, streams: make(map[way]*queue)}
	m.ctx, m.stop = context.WithCancel(context.WithValue(context.Background(), handlerOf{}, m))
	m.e = newEndpoint("s", m, w.codec, opts)
	if methods != nil {
		methods(m.e)
		m.serving = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lives++
	m.life = w.lives
	w.nodes[id] = m
	return m.e
}

type handlerOf struct{}

// remove ends a member's incarnation.
func (w *world) remove(id ringdht.ID, change status.MemberChange, why error) {
	w.mu.Lock()
	m := w.nodes[id]
	delete(w.nodes, id)
	for _, other := range w.nodes {
		for _, q := range other.streams {
			if q.to == m {
				w.end(q, why)
			}
		}
		if !w.silent {
			other.events = append(other.events, status.MemberEvent{Change: change, MemberInfo: status.MemberInfo{Peer: status.Peer{ID: id}, Incarnation: m.life}})
		}
	}
	for _, q := range m.streams {
		q.over = true
	}
	w.cond.Broadcast()
	w.mu.Unlock()
	m.stop()
}

// evict ends a member's incarnation, and begins another one in the same process.
func (w *world) evict(id ringdht.ID) {
	w.mu.Lock()
	m := w.nodes[id]
	over := m.life
	for other := range w.all() {
		for _, q := range other.streams {
			if q.to == m {
				w.end(q, ringdht.ErrGone)
			}
		}
		if other != m && !w.silent {
			other.events = append(other.events, status.MemberEvent{Change: status.MemberDied, MemberInfo: status.MemberInfo{Peer: status.Peer{ID: id}, Incarnation: over}})
		}
	}
	for _, q := range m.streams {
		w.end(q, ringdht.ErrEvicted)
	}
	w.lives++
	m.life = w.lives
	m.events = append(m.events, status.MemberEvent{Change: status.MemberDied, MemberInfo: status.MemberInfo{Peer: status.Peer{ID: id}, Incarnation: over}, Self: true})
	w.cond.Broadcast()
	w.mu.Unlock()
}

// all yields the members. It needs mu.
func (w *world) all() iter.Seq[*member] { return maps.Values(w.nodes) }

// die ends a member at once.
func (w *world) die(id ringdht.ID) { w.remove(id, status.MemberDied, ringdht.ErrGone) }

// leave lets a member leave in good order.
func (w *world) leave(id ringdht.ID) error {
	w.mu.Lock()
	m := w.nodes[id]
	w.mu.Unlock()
	err := m.e.leave(context.Background())
	w.mu.Lock()
	m.cut = true
	for m.ctx.Err() == nil && m.busy > 0 {
		w.cond.Wait()
	}
	for other := range w.all() { // the farewells
		for _, q := range other.streams {
			if q.to == m && other != m {
				w.end(q, ringdht.ErrLeft)
			}
		}
	}
	for m.ctx.Err() == nil && m.pending() {
		w.cond.Wait()
	}
	w.mu.Unlock()
	w.remove(id, status.MemberLeft, ringdht.ErrLeft)
	return err
}

// pending reports whether a member has sent what its sink has not handled. It needs the lock.
func (m *member) pending() bool {
	for _, q := range m.streams {
		if !q.over && !q.to.cut && len(q.all) > 0 {
			return true
		}
	}
	return false
}

// end ends a stream. What was not with the handler comes back, as not handled if the sink has left.
// It needs mu.
func (w *world) end(q *queue, why error) {
	if q.over {
		return
	}
	q.over = true
	from := w.nodes[q.way.from]
	left := slices.Clone(q.all)
	if q.busy && why == ringdht.ErrLeft {
		left = left[1:]
	}
	handled := uint64(0)
	if why == ringdht.ErrLeft {
		handled = uint64(len(left))
	}
	if from != nil {
		if from.streams[q.way] == q {
			delete(from.streams, q.way)
		}
		if len(left) > 0 {
			w.told[q.way]++
			go func() {
				w.mu.Lock()
				for w.mute {
					w.cond.Wait()
				}
				w.mu.Unlock()
				from.e.undelivered(q.way.lane, q.way.to, left, handled, why)
				w.mu.Lock()
				w.told[q.way]--
				w.cond.Broadcast()
				w.mu.Unlock()
			}()
		}
	}
	w.cond.Broadcast()
}

// cut ends a stream though both ends live.
func (w *world) cut(from, to ringdht.ID, l lane) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if q := w.nodes[from].streams[way{from, to, l}]; q != nil {
		w.end(q, ringdht.ErrGone)
	}
}

// hold makes a stream stand still, or go on.
func (w *world) hold(from, to ringdht.ID, l lane, held bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held[way{from, to, l}] = held
	w.cond.Broadcast()
}

// muted makes callbacks wait, or go on.
func (w *world) muted(mute bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mute = mute
	w.cond.Broadcast()
}

func (m *member) send(ctx context.Context, l lane, to ringdht.ID, body []byte) error {
	w := m.w
	stop := context.AfterFunc(ctx, func() { w.mu.Lock(); w.cond.Broadcast(); w.mu.Unlock() })
	defer stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		sink := w.nodes[to]
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case w.most > 0 && len(body) > w.most:
			return ringdht.ErrTooLarge
		case w.nodes[m.id] != m:
			return ringdht.ErrEvicted
		case sink == nil:
			return ringdht.ErrNoSuchNode
		case sink.cut && sink != m:
			return ringdht.ErrLeft
		case l == requests && !sink.serving:
			return ringdht.ErrNoService
		}
		k := way{m.id, to, l}
		if w.shared {
			k.lane = requests
		}
		q := m.streams[k]
		if q == nil || q.over {
			q = &queue{to: sink, way: k}
			m.streams[k] = q
			go w.pump(q)
		}
		if w.window == 0 || q.bytes == 0 || q.bytes+len(body) <= w.window || ctx.Value(handlerOf{}) == m {
			q.all = append(q.all, slices.Clone(body))
			q.bytes += len(body)
			w.cond.Broadcast()
			return nil
		}
		w.cond.Wait()
	}
}

// pump gives what a stream has to the handler of its sink, one by one.
func (w *world) pump(q *queue) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for !q.over && (len(q.all) == 0 || w.held[q.way] || q.to.cut) {
			w.cond.Wait()
		}
		if q.over {
			return
		}
		b := q.all[0]
		q.busy = true
		q.to.busy++
		w.mu.Unlock()
		l := q.way.lane
		if w.shared && b[0] != kindRequest && b[0] != kindAsk {
			l = answers
		}
		q.to.e.receive(q.to.ctx, l, ringdht.Message{Source: q.way.from, Body: b})
		w.mu.Lock()
		q.busy = false
		q.to.busy--
		w.cond.Broadcast()
		if !q.over {
			q.all, q.bytes = q.all[1:], q.bytes-len(b)
		}
	}
}

func (m *member) flush(ctx context.Context, l lane, to ringdht.ID) error {
	w := m.w
	stop := context.AfterFunc(ctx, func() { w.mu.Lock(); w.cond.Broadcast(); w.mu.Unlock() })
	defer stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for ctx.Err() == nil {
		k := way{m.id, to, l}
		if q := m.streams[k]; (q == nil || len(q.all) == 0) && w.told[k] == 0 {
			return nil
		}
		w.cond.Wait()
	}
	return ctx.Err()
}

func (m *member) incarnation() uint64 {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	return m.life
}

func (m *member) members(ctx context.Context) iter.Seq[status.MemberEvent] {
	return func(yield func(status.MemberEvent) bool) {
		w := m.w
		for {
			w.mu.Lock()
			for len(m.events) == 0 && w.nodes[m.id] == m {
				w.cond.Wait()
			}
			if len(m.events) == 0 {
				w.mu.Unlock()
				return
			}
			e := m.events[0]
			m.events = m.events[1:]
			w.mu.Unlock()
			if !yield(e) {
				return
			}
		}
	}
}
