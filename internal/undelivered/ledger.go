// Package undelivered records what was not delivered until it has been told, once.
//
// A [Ledger] has the streams of one node that ended with messages pending. The callback of the stream's
// service tells it, if there is one; then Close leaves it out, and so does a Flush that begins later.
// Without a callback the next Flush tells it, or Close. A Flush that was under way returns it as well: it was
// asked whether messages were delivered, and they were not. A callback that fails counts as not
// told.
//
// Nothing vanishes: beyond the bounds, streams are added up, and messages whose bodies are dropped
// are counted.
//
// The package starts no goroutine and calls no callback: its owner does both. All methods may be
// called at the same time. The lock of a Ledger is a leaf: [Ledger.Add] may be called with the
// stream's lock held.
package undelivered

import (
	"iter"
	"slices"
	"sync"

	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/internal/wire"
)

// Stream describes a stream that ended before everything on it was known to be delivered. The
// Ledger changes nothing that it has returned; a Flush and the callback may share bodies.
type Stream struct {
	Sink     uint64
	Service  int    // the source's number of it
	Messages uint64 // handlers' messages (ports below 128) that were not known to be delivered
	// NotHandled is how many of these, the latest ones, are known not to have been handled, and
	// never will be. The outcome of those before them is unknown.
	NotHandled uint64
	Bodies     [][]byte // their bodies, oldest first; nil if too many bytes are retained already
	Err        error    // why the stream ended
	Many       bool     // several sinks, too many to list; Sink is 0, Err the latest
}

// Ledger records streams until they have been told. What the callback was told is forgotten when
// the callback returns or, if Flushes are under way, with the last of these. The callbacks of all
// services are told in the order of seq, so called says what they were told.
type Ledger struct {
	// static
	maxBytes int // of frames whose bodies are kept for Flush and Close, and as many for the callback

	mu        sync.Mutex
	seq       uint64 // of the latest stream
	kept      map[place][]entry
	entries   int     // of kept
	heldBytes int     // of bodies in kept
	flushes   int     // under way
	calls     []entry // for the callback, in order; it is being told the first
	callBytes int     // of bodies in calls
	called    uint64  // the seq up to which the callback was told

	returned notify.Change // the callback has returned
}

// New returns an empty Ledger. maxBytes bounds the bodies that are kept for Flush and Close, and again
// those for callbacks. Each message counts as a frame of its own. A single stream is kept at any size.
func New(maxBytes int) *Ledger {
	return &Ledger{maxBytes: maxBytes, kept: make(map[place][]entry)}
}

// place is where an entry is kept: with those of its sink or, if there is no room, with those of
// many sinks.
type place struct {
	sink uint64
	many bool
}

// entry is one stream or, if there were too many, several.
type entry struct {
	Stream
	from, seq   uint64 // of the first and the latest stream
	size        int    // of Bodies, each as a frame of its own
	forCallback bool   // Flush and Close leave it out once the callback was told
	listed      bool   // the callback gets the bodies
	at          place  // in calls: where it is kept
}

// Bounds of what is kept.
const (
	// maxPerSink is how many streams to one sink the next Flush tells apart, and maxEntries how many
	// to all sinks. Streams beyond these are added up, those of each service.
	maxPerSink = 32
	maxEntries = 4096
	// maxCalls is how many streams may wait for the callback. It is not told of those beyond;
	// Flush and Close are.
	maxCalls = 4096
)

// Add records a stream that ended. callback says whether its service has a callback to tell. Add copies
// the bodies of its messages, of so many bytes in all, if there is room. unlisted is how many messages are listed nowhere for lack of room, of this stream
// and of earlier ones. If tell is true, the caller must start a goroutine: it calls the callback
// with what [Ledger.Next] returns, and then [Ledger.Returned], as long as that returns true.
func (x *Ledger) Add(u Stream, callback bool, bytes int, bodies iter.Seq[[]byte]) (unlisted uint64, tell bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.seq++
	size := bytes + int(u.Messages)*wire.HeaderSize
	fits := func(used int) bool { return used == 0 || used+size <= x.maxBytes }
	e := entry{Stream: u, from: x.seq, seq: x.seq}
	e.forCallback = callback && len(x.calls) < maxCalls
	e.listed = e.forCallback && fits(x.callBytes)
	keep := fits(x.heldBytes)
	if keep || e.listed {
		e.Bodies, e.size = copies(bodies, bytes, int(u.Messages)), size
	} else {
		unlisted = u.Messages
	}
	call := e
	if !keep {
		e.strip()
	}
	at, merged := x.keep(e)
	if e.forCallback {
		if call.at = at; !call.listed {
			call.strip()
		}
		x.callBytes += call.size
		x.calls = append(x.calls, call)
		tell = len(x.calls) == 1
	}
	return unlisted + merged, tell
}

// copies copies bodies of so many bytes into one buffer.
func copies(bodies iter.Seq[[]byte], bytes, messages int) [][]byte {
	buf, all := make([]byte, 0, bytes), make([][]byte, 0, messages)
	for b := range bodies {
		n := len(buf)
		buf = append(buf, b...)
		all = append(all, buf[n:len(buf):len(buf)])
	}
	return all
}

// strip drops the bodies. It returns how many messages are listed nowhere for that.
func (e *entry) strip() (unlisted uint64) {
	if e.size > 0 && !e.listed {
		unlisted = e.Messages
	}
	e.Bodies, e.size = nil, 0
	return unlisted
}

// keep keeps an entry. If there is no room, it merges it with the latest one of the same sink, or of
// many sinks, that is like it, without the bodies of both. It needs mu.
func (x *Ledger) keep(e entry) (at place, unlisted uint64) {
	at = place{sink: e.Sink}
	if x.entries >= maxEntries || len(x.kept[at]) >= maxPerSink {
		unlisted = e.strip()
		if x.merge(at, e, &unlisted) {
			return at, unlisted
		}
		if x.entries >= maxEntries {
			at = place{many: true}
			e.Sink, e.Many = 0, true
			if x.merge(at, e, &unlisted) {
				return at, unlisted
			}
		}
	}
	x.kept[at] = append(x.kept[at], e)
	x.entries++
	x.heldBytes += e.size
	return at, unlisted
}

// merge adds an entry without bodies to the latest one at a place that is of the same service, and told
// in the same way. It returns false if there is none. It needs mu.
func (x *Ledger) merge(at place, e entry, unlisted *uint64) bool {
	for i := range slices.Backward(x.kept[at]) {
		last := &x.kept[at][i]
		if last.Service != e.Service || last.forCallback != e.forCallback {
			continue
		}
		x.heldBytes -= last.size
		*unlisted += last.strip()
		last.Messages += e.Messages
		last.NotHandled += e.NotHandled
		last.Err, last.seq = e.Err, e.seq
		return true
	}
	return false
}

// remove takes out entries for which which returns true: those of these sinks, or of all if none
// are given, and those of many sinks. It needs mu.
func (x *Ledger) remove(sinks []uint64, which func(*entry) bool) {
	sift := func(at place) {
		left := slices.DeleteFunc(x.kept[at], func(e entry) bool {
			gone := which(&e)
			if gone {
				x.entries--
				x.heldBytes -= e.size
			}
			return gone
		})
		if len(left) == 0 {
			delete(x.kept, at)
		} else {
			x.kept[at] = left
		}
	}
	if len(sinks) == 0 {
		for at := range x.kept {
			sift(at)
		}
	}
	for _, sink := range sinks {
		sift(place{sink: sink})
	}
	sift(place{many: true})
}
