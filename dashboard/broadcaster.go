package dashboard

import (
	"errors"
	"sync"
	"time"

	"github.com/x/ringdht"
)

// broadcaster sends the same updates to all open pages. While there are any, one goroutine
// takes one sample an interval, and encodes the changes once for all pages.
type broadcaster struct {
	// static after construction
	sampler  *sampler
	interval time.Duration
	control  bool

	mu    sync.Mutex // guards the fields below
	pages map[*viewer]struct{}
	feed  *feed         // what was sent to the pages; nil while there are none
	stop  chan struct{} // ends the goroutine; nil while there are none
	busy  time.Duration // spent on all updates, see TestWhatPagesCost
	ticks int           // the number of updates
}

// viewer is an open page.
type viewer struct {
	queue   chan []byte   // updates to write; their bytes are shared with the other pages
	dropped chan struct{} // closed when the queue was full
	cut     func()        // aborts the write under way
}

const (
	// maxQueue bounds the updates that wait for a page: a few seconds of them. Pages share
	// the bytes, so a hundred slow pages hold no more memory than one.
	maxQueue = 8
	// maxPages bounds the open pages.
	maxPages = 100
)

var errFull = errors.New("100 pages are open: close one")

func newBroadcaster(c *sampler, interval time.Duration, control bool) *broadcaster {
	return &broadcaster{sampler: c, interval: interval, control: control, pages: make(map[*viewer]struct{})}
}

// join adds a page. The first update in its queue holds all parts.
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
		go h.run(h.stop)
	}
	v := &viewer{queue: make(chan []byte, maxQueue), dropped: make(chan struct{}), cut: cut}
	v.queue <- frame(h.feed.all())
	h.pages[v] = struct{}{}
	return v, nil
}

// leave removes a page. After it has returned, cut is not called.
func (h *broadcaster) leave(v *viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(v)
}

// remove deletes a page and, with the last one, stops the goroutine. The caller holds mu.
func (h *broadcaster) remove(v *viewer) {
	delete(h.pages, v)
	if len(h.pages) == 0 && h.stop != nil {
		close(h.stop)
		h.stop, h.feed = nil, nil
	}
}

// run sends an update each interval until stop is closed.
func (h *broadcaster) run(stop <-chan struct{}) {
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
		case <-stop: // the last page has gone; a new one may have started another feed
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

// broadcast queues an update for each page and never waits: it drops a page whose queue is
// full. The caller holds mu.
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

// remembered returns the last known status of a node that is gone, or nil.
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

// frame returns an object as a server-sent event.
func frame(object []byte) []byte {
	const before, after = "data: ", "\n\n"
	b := make([]byte, 0, len(before)+len(object)+len(after))
	return append(append(append(b, before...), object...), after...)
}
