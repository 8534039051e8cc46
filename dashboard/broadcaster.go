package dashboard

import (
	"errors"
	"sync"
	"time"
)

// broadcaster sends the same updates to all open pages. While there are any, one goroutine
// takes one sample an interval, and encodes the changes once for all pages.
type broadcaster struct {
	// static after construction
	sampler  *sampler
	interval time.Duration
	options  pageOptions

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

func newBroadcaster(s *sampler, interval time.Duration, options pageOptions) *broadcaster {
	return &broadcaster{sampler: s, interval: interval, options: options, pages: make(map[*viewer]struct{})}
}

// join adds a page. The first update in its queue holds all parts.
func (b *broadcaster) join(cut func()) (*viewer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pages) == maxPages {
		return nil, errFull
	}
	if b.feed == nil {
		b.feed = newFeed(b.interval, b.options)
		b.feed.update(b.sampler.recent().Snapshot)
		b.stop = make(chan struct{})
		go b.run(b.stop)
	}
	v := &viewer{queue: make(chan []byte, maxQueue), dropped: make(chan struct{}), cut: cut}
	v.queue <- frame(b.feed.all())
	b.pages[v] = struct{}{}
	return v, nil
}

// leave removes a page. After it has returned, cut is not called.
func (b *broadcaster) leave(v *viewer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(v)
}

// remove deletes a page and, with the last one, stops the goroutine. The caller holds mu.
func (b *broadcaster) remove(v *viewer) {
	delete(b.pages, v)
	if len(b.pages) == 0 && b.stop != nil {
		close(b.stop)
		b.stop, b.feed = nil, nil
	}
}

// run sends an update each interval until stop is closed.
func (b *broadcaster) run(stop <-chan struct{}) {
	ticker := time.NewTicker(b.interval)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		start := time.Now()
		s := b.sampler.fresh()
		b.mu.Lock()
		select {
		case <-stop: // the last page has gone; a new one may have started another feed
			b.mu.Unlock()
			return
		default:
		}
		b.broadcast(frame(b.feed.update(s.Snapshot)))
		b.busy += time.Since(start)
		b.ticks++
		b.mu.Unlock()
	}
}

// broadcast queues an update for each page and never waits: it drops a page whose queue is
// full. The caller holds mu.
func (b *broadcaster) broadcast(update []byte) {
	for v := range b.pages {
		select {
		case v.queue <- update:
		default:
			close(v.dropped)
			v.cut()
			b.remove(v)
		}
	}
}

// frame returns an object as a server-sent event.
func frame(object []byte) []byte {
	const before, after = "data: ", "\n\n"
	b := make([]byte, 0, len(before)+len(object)+len(after))
	return append(append(append(b, before...), object...), after...)
}
