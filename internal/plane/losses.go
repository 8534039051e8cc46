package plane

import (
	"iter"
	"slices"
	"sync"

	"github.com/x/ringdht/internal/notify"
	"github.com/x/ringdht/internal/wire"
)

// Undelivered describes a stream that ended before everything on it was known to be delivered.
type Undelivered struct {
	Sink     uint64
	Messages uint64 // handlers' messages (ports below 128) that were not known to be delivered
	// NotHandled is how many of these, the latest ones, are known not to have been handled, and
	// never will be. The outcome of those before them is unknown.
	NotHandled uint64
	Bodies     [][]byte // their bodies, oldest first; nil if too many bytes are retained already
	Err        error    // why the stream ended
	Many       bool     // several sinks, too many to list; Sink is 0, Err the latest
}

// losses keeps streams that ended with messages pending until they have been told, once. Without
// a callback the next Flush tells a stream, or Close. With a callback, the callback does; then
// Close leaves it out, and so does a Flush that begins later. A Flush that was under way returns
// it as well: it was asked whether messages were delivered, and they were not. A callback that
// fails counts as not told.
//
// So a stream that the callback was told is forgotten when the callback returns or, if Flushes are
// under way, with the last of these. The callback is told in the order of seq, so called says what
// it was told. Its lock is a leaf.
type losses struct {
	// static
	callback bool // there is one
	maxBytes int  // of frames whose bodies are kept for Flush and Close, and as many for the callback

	mu        sync.Mutex
	seq       uint64 // of the latest stream
	kept      map[place][]loss
	stored    int    // entries of kept
	heldBytes int    // of bodies in kept
	flushes   int    // under way
	calls     []loss // for the callback, in order; it is being told the first
	callBytes int    // of bodies in calls
	called    uint64 // the seq up to which the callback was told

	returned notify.Change // the callback has returned
}

// place is where a loss is kept: with those of its sink or, if there is no room, with those of
// many sinks.
type place struct {
	sink uint64
	many bool
}

// loss is one stream or, if there were too many, several.
type loss struct {
	Undelivered
	from, seq   uint64 // of the first and the latest stream
	size        int    // of Bodies, each as a frame of its own
	forCallback bool   // Flush and Close leave it out once the callback was told
	listed      bool   // the callback gets the bodies
	at          place  // in calls: where it is kept
}

// Bounds of what is kept.
const (
	// maxLosses is how many streams to one sink the next Flush tells apart, and maxStored how many
	// to all sinks. Streams beyond these are added up.
	maxLosses = 32
	maxStored = 4096
	// maxCalls is how many streams may wait for the callback. It is not told of those beyond;
	// Flush and Close are.
	maxCalls = 4096
)

// add records a stream that ended. bodies are those of its messages, and bytes their length; they
// are copied, if there is room. It returns how many messages are listed nowhere for lack of room.
// If it returns true, the caller must start a goroutine that tells the callback, by next.
func (x *losses) add(u Undelivered, bytes int, bodies iter.Seq[[]byte]) (unlisted uint64, tell bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.seq++
	size := bytes + int(u.Messages)*wire.HeaderSize
	fits := func(used int) bool { return used == 0 || used+size <= x.maxBytes }
	l := loss{Undelivered: u, from: x.seq, seq: x.seq}
	l.forCallback = x.callback && len(x.calls) < maxCalls
	l.listed = l.forCallback && fits(x.callBytes)
	keep := fits(x.heldBytes)
	if keep || l.listed {
		l.Bodies, l.size = copies(bodies, bytes, int(u.Messages)), size
	} else {
		unlisted = u.Messages
	}
	call := l
	if !keep {
		l.strip()
	}
	at, merged := x.keep(l)
	if l.forCallback {
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
func (l *loss) strip() (unlisted uint64) {
	if l.size > 0 && !l.listed {
		unlisted = l.Messages
	}
	l.Bodies, l.size = nil, 0
	return unlisted
}

// keep keeps a loss. If there is no room, it merges it with the latest one that is told in the
// same way, without the bodies of both. It needs mu.
func (x *losses) keep(l loss) (at place, unlisted uint64) {
	at = place{sink: l.Sink}
	room := x.stored < maxStored && len(x.kept[at]) < maxLosses
	if !room && len(x.kept[at]) == 0 {
		at = place{many: true}
		l.Sink, l.Many = 0, true
	}
	if !room {
		unlisted = l.strip()
		for i := range slices.Backward(x.kept[at]) {
			last := &x.kept[at][i]
			if last.forCallback != l.forCallback {
				continue
			}
			x.heldBytes -= last.size
			unlisted += last.strip()
			last.Messages += l.Messages
			last.NotHandled += l.NotHandled
			last.Err, last.seq = l.Err, l.seq
			return at, unlisted
		}
	}
	if x.kept == nil {
		x.kept = make(map[place][]loss)
	}
	x.kept[at] = append(x.kept[at], l)
	x.stored++
	x.heldBytes += l.size
	return at, unlisted
}

// remove takes out losses for which which returns true: those of these sinks, or of all if none
// are given, and those of many sinks. It needs mu.
func (x *losses) remove(sinks []uint64, which func(*loss) bool) {
	sift := func(at place) {
		left := slices.DeleteFunc(x.kept[at], func(l loss) bool {
			gone := which(&l)
			if gone {
				x.stored--
				x.heldBytes -= l.size
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
