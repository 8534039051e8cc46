// Package link is one connection seen from one of its ends: a writer that
// gathers frames and sends them in as few writes as it can, and a reader that
// hands over all the whole frames that have arrived.
package link

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/fifo"
)

// ErrFull says that a frame found the queue at its bound.
var ErrFull = errors.New("link: queue full")

// Writer is the bounded queue of a connection and the goroutine that empties it.
//
// Frames gather in a queue behind a mutex, and at sources, see [Source], while the
// goroutine is writing what gathered before; it then takes as much of it as one write
// is worth. Under load many frames share
// a write, an idle link writes at once, and no timer is involved. The goroutine
// exists only while there is something to write, so an idle link costs nothing.
//
// A link that has had nothing to write for a while is written to by whoever has
// something for it, as far as that needs no waiting; see [Writer.WriteDirect].
//
// Rejected: a channel of frames (a wake-up for each), and always writing from the
// goroutine that appends (it would wait for the network in the middle of the
// receive path, and many messages would leave alone that could leave together).
type Writer struct {
	// static after construction
	conn    net.Conn
	limit   int          // bytes gathered or being written
	low     int          // bytes below which a source that waits may go on
	run     func()       // w.drain as a value: go w.run() then allocates nothing
	direct  directWriter // may be nil
	created time.Time

	mu            sync.Mutex
	q             fifo.Queue
	sources       []Source      // with frames of their own, in turn
	total         int64         // bytes ever appended or pulled
	appendedTotal int64         // bytes ever appended
	startedTotal  int64         // of them, taken to be written
	writing       int           // bytes that are being written
	pulled        int           // of them, pulled: the bound is for what is appended
	frameCount    int64         // see Frames
	running       bool          // the goroutine is, or somebody is to call Now
	idleSince     time.Duration // when there was last nothing more to write, since born
	keepLeftover  bool          // what is queued when the connection ends, for Leftover
	urgent        []byte        // what goes before all that is queued
	final         []byte        // what is written when nothing is queued any more
	finalSent     bool          // that is being written or was: nothing is appended any more
	deadlineSet   bool          // the connection has a deadline for that
	retired       bool          // close the connection once the queue is empty
	err           error
	roomMade      chan struct{} // closed when there is room; nil while nobody waits
	wg            sync.WaitGroup

	// Owned by who runs: what is being written.
	batch     fifo.Queue
	bufs      net.Buffers
	vec       [][]byte
	pullAgain []Source // scratch

	bytes, writes atomic.Int64
}

// NewWriter returns the writer of conn, which holds at most limit bytes and
// counts as having room below low. When a write fails it closes conn, so whoever
// reads from conn learns of it; there is no callback.
func NewWriter(conn net.Conn, limit, low int) *Writer {
	setLocalWriteBuffer(conn)
	w := &Writer{conn: conn, limit: limit, low: low, direct: newDirectWriter(conn), created: time.Now()}
	w.run = w.drain
	return w
}

// Append queues whole frames and reports the bytes that are queued now. Either
// all of them are taken or none: then the error is [ErrFull], with the bytes that
// would be queued, or the one that ended the connection. It never waits for the
// network.
func (w *Writer) Append(frames []byte) (queued int, err error) {
	w.mu.Lock()
	queued, err = w.append(frames)
	w.mu.Unlock()
	return queued, err
}

// closedErr is why nothing can be appended any more. It must be called with mu held.
func (w *Writer) closedErr() error {
	if w.err == nil && w.finalSent {
		return net.ErrClosed
	}
	return w.err
}

// appendedHeld is how many appended bytes there are. It must be called with mu appendedHeld.
func (w *Writer) appendedHeld() int { return w.q.Size() + w.writing - w.pulled }

// append must be called with mu held.
func (w *Writer) append(frames []byte) (queued int, err error) {
	if err := w.closedErr(); err != nil {
		return 0, err
	}
	queued = w.appendedHeld() + len(frames)
	if queued > w.limit {
		return queued, ErrFull
	}
	w.q.Append(frames)
	w.total += int64(len(frames))
	w.appendedTotal += int64(len(frames))
	w.startGoroutine()
	return queued, nil
}

// AppendMarked is [Writer.Append] that also tells where [Progress.Head] will be when
// the last of the frames is being written.
func (w *Writer) AppendMarked(frames []byte) (mark int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err = w.append(frames)
	return w.appendedTotal, err
}

// Span is a stretch of a buffer that holds whole frames.
type Span struct{ From, To int }

// AppendSpans queues stretches of buf like [Writer.Append], taking the lock once.
// It returns how many of them were taken; those behind are not, with the reason. If due
// then the caller must call [Writer.WriteDirect].
func (w *Writer) AppendSpans(buf []byte, spans []Span) (taken, queued int, direct bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.closedErr(); err != nil {
		return 0, 0, false, err
	}
	held := w.appendedHeld()
	for _, s := range spans {
		n := s.To - s.From
		if held+n > w.limit {
			err = ErrFull
			break
		}
		w.q.Append(buf[s.From:s.To])
		held += n
		w.total += int64(n)
		w.appendedTotal += int64(n)
		taken++
	}
	if taken > 0 {
		direct = w.beginWrite()
	}
	return taken, held, direct, err
}

// startGoroutine must be called with mu held and w.err nil.
func (w *Writer) startGoroutine() {
	if !w.running {
		w.setRunning()
		w.WriteAsync()
	}
}

// setRunning says that somebody runs: the goroutine, or who is to call Now.
func (w *Writer) setRunning() {
	w.running = true
	w.wg.Add(1)
}

// Low is the number of queued bytes below which there is room.
func (w *Writer) Low() int { return w.low }

// KeepLeftover makes the writer keep what is queued when the connection ends, until
// somebody calls [Writer.Leftover]. It is to be called before the first Append.
func (w *Writer) KeepLeftover() { w.keepLeftover = true }

// Leftover hands over the frames that no write was begun for, once the connection
// has ended. It is for writers that [Writer.KeepLeftover]; others have dropped them.
func (w *Writer) Leftover() fifo.Queue {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		return fifo.Queue{}
	}
	w.keepLeftover = false
	return w.q.Take()
}

// Err is what ended the connection, nil while it stands.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Room waits until there is room, the connection has failed or ctx is done. It
// is for those who append and may wait; a relay must not.
func (w *Writer) Room(ctx context.Context) error {
	for {
		w.mu.Lock()
		if w.err != nil || w.appendedHeld() < w.low {
			err := w.err
			w.mu.Unlock()
			return err
		}
		if w.roomMade == nil {
			w.roomMade = make(chan struct{})
		}
		room := w.roomMade
		w.mu.Unlock()
		select {
		case <-room:
			continue
		case <-ctx.Done():
		}
		select {
		case <-room: // both at once: there may be room
		default:
			return context.Cause(ctx)
		}
	}
}

// Queued is the number of bytes waiting or being written.
func (w *Writer) Queued() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.q.Size() + w.writing
}

// Progress is how far a writer is, in bytes since its beginning where not said
// otherwise.
type Progress struct {
	Total   int64 // appended, or pulled from sources
	Written int64 // of them, handed to the connection
	Started int64 // of those appended, handed to the connection or just about to be
	Queued  int   // bytes that the writer holds; what sources have for it does not count
}

// Progress tells how far the writer is.
func (w *Writer) Progress() Progress {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Progress{w.total, w.bytes.Load(), w.startedTotal, w.q.Size() + w.writing}
}

// Stats returns the bytes and writes so far.
func (w *Writer) Stats() (bytes, writes int64) {
	return w.bytes.Load(), w.writes.Load()
}

// maxWrite bounds what is handed to the connection at a time. More would save no
// system calls worth mentioning; and a write that is over shows that the connection
// moves, while what waits behind it can still go another way.
const maxWrite = 256 << 10

// hasMore says whether there is something to write. When all else is written it is the turn of
// what [Writer.Finish] was given. It must be called with mu held.
func (w *Writer) hasMore() bool {
	if w.err == nil && w.final != nil && w.writing == 0 && w.q.Size() == 0 && len(w.sources) == 0 {
		w.urgent = append(w.urgent, w.final...)
		w.final, w.finalSent = nil, true
	}
	return w.err == nil && (w.writing > 0 || w.q.Size() > 0 || len(w.sources) > 0 || len(w.urgent) > 0)
}

func (w *Writer) drain() {
	defer w.wg.Done()
	defer waitingWriters.Add(-1)
	w.mu.Lock()
	for w.hasMore() {
		if w.writing == 0 {
			w.gather()
		}
		if w.writing == 0 {
			continue
		}
		w.mu.Unlock()

		waitingWriters.Add(-1) // it has its processor
		err := w.write()
		waitingWriters.Add(1)
		w.batch.Clear()

		w.mu.Lock()
		w.writing, w.pulled = 0, 0
		if err != nil {
			if w.fail(err) {
				w.mu.Unlock()
				w.hangUp()
				w.mu.Lock()
			}
			continue
		}
		if w.q.Size() < w.low {
			w.signalRoom()
		}
	}
	w.endRun()
}

// endRun ends a run, when there is nothing more to write or the connection has ended. It
// must be called with mu held, which it lets go.
func (w *Writer) endRun() {
	w.running, w.writing, w.pulled = false, 0, 0
	w.batch.Clear()
	w.signalRoom() // nothing is queued, or the connection has ended
	if w.err != nil {
		w.sources = nil
	}
	if w.direct != nil {
		w.idleSince = time.Since(w.created)
	}
	if w.deadlineSet && w.finalSent {
		w.deadlineSet = false
		w.conn.SetWriteDeadline(time.Time{}) // it was for what has been written
	}
	ended := w.retired && w.err == nil && w.fail(net.ErrClosed)
	w.mu.Unlock()
	if ended {
		w.hangUp()
	}
}

func (w *Writer) write() error {
	w.vec = w.vec[:0]
	for chunk := range w.batch.Chunks() {
		w.vec = append(w.vec, chunk)
	}
	w.bytes.Add(int64(w.batch.Size()))
	w.writes.Add(1)
	var err error
	if len(w.vec) == 1 {
		_, err = w.conn.Write(w.vec[0])
	} else {
		w.bufs = w.vec
		_, err = w.bufs.WriteTo(w.conn)
	}
	clear(w.vec) // the chunks go back to their pool; an idle link must not hold on to them
	return err
}
