package dashboard

import (
	"errors"
	"sync"
	"time"

	"github.com/x/ringdht"
)

// broadcaster tells all open pages the same: one goroutine, which runs while there are any, takes
// one snapshot an interval and encodes what is new in it once.
type broadcaster struct {
	// static after construction
	sampler  *sampler
	interval time.Duration
	control  bool

	mu    sync.Mutex // guards what follows
	pages map[*viewer]struct{}
	feed  *feed         // what pages have been told; nil while there are none
	stop  chan struct{} // ends the goroutine; nil while there are none
	busy  time.Duration // that all updates have taken, see the test of what they cost
	ticks int
}

// viewer is an open page.
type viewer struct {
	queue   chan []byte   // what it is to be told, shared with the others
	dropped chan struct{} // closed when it was full
	cut     func()        // ends a write under way
}

const (
	// maxQueue is how many updates wait for a page: a few seconds of them. They are shared,
	// so that a hundred slow pages hold no more memory than one.
	maxQueue = 8
	// maxPages is how many pages may be open.
	maxPages = 100
)

var errFull = errors.New("100 pages are open: close one")

func newBroadcaster(c *sampler, interval time.Duration, control bool) *broadcaster {
	return &broadcaster{sampler: c, interval: interval, control: control, pages: make(map[*viewer]struct{})}
}

// join takes a page on. The first thing in its queue is everything.
func (h *broadcaster) join(cut func()) (*viewer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pages) == maxPages {
		return nil, errFull
	}
	if h.feed == nil {
		h.feed = newFeed(h.interval, h.control)
		h.feed.update(h.sampler.recent().Snapshot)
		h.stop = make(chan struct{})
		go h.tell(h.stop)
	}
	v := &viewer{queue: make(chan []byte, maxQueue), dropped: make(chan struct{}), cut: cut}
	v.queue <- frame(h.feed.all())
	h.pages[v] = struct{}{}
	return v, nil
}

// leave lets go of a page. When it returns, cut is not called any more.
func (h *broadcaster) leave(v *viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(v)
}

// remove needs mu.
func (h *broadcaster) remove(v *viewer) {
	delete(h.pages, v)
	if len(h.pages) == 0 && h.stop != nil {
		close(h.stop)
		h.stop, h.feed = nil, nil
	}
}

// tell is the goroutine.
func (h *broadcaster) tell(stop <-chan struct{}) {
	ticker := time.NewTicker(h.interval)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		start := time.Now()
		s := h.sampler.fresh()
		h.mu.Lock()
		select {
		case <-stop: // the last page has gone, and maybe another one has come, with a feed of its own
			h.mu.Unlock()
			return
		default:
		}
		h.broadcast(frame(h.feed.update(s.Snapshot)))
		h.busy += time.Since(start)
		h.ticks++
		h.mu.Unlock()
	}
}

// broadcast never waits: a page that has not read for so long is let go of. It needs mu.
func (h *broadcaster) broadcast(update []byte) {
	for v := range h.pages {
		select {
		case v.queue <- update:
		default:
			close(v.dropped)
			v.cut()
			h.remove(v)
		}
	}
}

// remembered is the latest that was known of a node that is gone, or nil.
func (h *broadcaster) remembered(id ringdht.ID) *ringdht.MemberStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.feed != nil {
		if m, ok := h.feed.gone[id]; ok {
			return &m
		}
	}
	for _, e := range recentlyGone(h.sampler.recent().Snapshot) {
		if e.Node.ID == id {
			return &ringdht.MemberStatus{
				NodeStatus: ringdht.NodeStatus{Peer: e.Node, Life: e.Life, Links: []ringdht.LinkStatus{}, Hops: []int64{}},
				State:      ringdht.State(e.Kind), Entries: []ringdht.ID{},
			}
		}
	}
	return nil
}

// frame makes an object a server-sent event.
func frame(object []byte) []byte {
	const before, after = "data: ", "\n\n"
	b := make([]byte, 0, len(before)+len(object)+len(after))
	return append(append(append(b, before...), object...), after...)
}
