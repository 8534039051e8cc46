// Package timewait remembers the latest streams that ended in good order, as TCP's TIME-WAIT does.
//
// A frame of such a stream may come later: an answer that another one has overtaken, or the answer
// to a question that was repeated. It is dropped, but nothing is wrong, so it does not count as stale
// like the frames of an earlier incarnation.
package timewait

import "sync"

// List is the latest streams of one direction. Its zero value is empty. All methods may be called at
// the same time. Its lock is a leaf.
type List struct {
	mu      sync.Mutex
	streams []ended // the oldest is at next once there are most
	next    int
}

// ended is the numbers of a stream's messages: from first, and below end.
type ended struct{ peer, first, end uint64 }

// most bounds what is remembered. Late frames come within seconds.
const most = 256

// Add adds a stream with a peer. Its messages had the numbers from first, and below end.
func (l *List) Add(peer, first, end uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := ended{peer, first, end}
	if len(l.streams) < most {
		l.streams = append(l.streams, s)
		return
	}
	l.streams[l.next] = s
	l.next = (l.next + 1) % most
}

// Has reports whether a frame with this number is of such a stream. The frame that ends a stream has
// the number end. First numbers are random, so frames of other streams do not fit.
func (l *List) Has(peer, seq uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.streams {
		if s.peer == peer && s.first <= seq && seq <= s.end {
			return true
		}
	}
	return false
}
