// Package link reads and writes the frames of one connection. A [Writer] queues frames and
// sends them in as few writes as possible. A [Reader] returns all whole frames that have
// arrived.
package link

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/notify"
)

// ErrFull means that the queue has no room for the frame.
var ErrFull = errors.New("link: queue full")

// Writer is the bounded queue of a connection, with the goroutine that empties it.
//
// Frames batch without a timer. While the goroutine writes, more frames arrive in the queue,
// which a mutex guards, and at the sources (see [Source]). The next write takes up to 256 KiB
// of them. Under load many frames share a write; an idle link writes at once. The goroutine
// exists only while there is something to write, so an idle link costs nothing.
//
// On a link that has been idle, the appender itself writes, as far as that does not block:
// see [Writer.WriteDirect].
//
// Rejected: a channel of frames, which costs a wake-up for each; and always writing from the
// appending goroutine, which would wait for the network in the middle of the receive path
// and send alone many messages that could leave together.
type Writer struct {
	// static after construction
	conn         net.Conn
	limit        int          // bytes appended and not written yet
	low          int          // below that many bytes, Room returns
	run          func()       // w.drain as a value: go w.run() then allocates nothing
	directWriter directWriter // may be nil
	together     together     // may be nil
	whole        bool         // each Write must have whole frames
	created      time.Time

	mu            sync.Mutex
	q             fifo.Queue
	sources       []Source      // to be pulled, in turn
	total         int64         // bytes ever appended or pulled
	appendedTotal int64         // bytes ever appended
	startedTotal  int64         // of those, bytes whose write has begun
	torn          bool          // the last write ended within a frame
	writing       int           // bytes in batch
	pulled        int           // of those, pulled from sources; limit does not count them
	frameCount    int64         // see Frames
	running       bool          // the goroutine runs, or an appender is to call WriteDirect
	lastWrite     time.Duration // when the last write ended, or a direct one began, as time since created
	directTime    time.Duration // that a direct write takes, see nextDirectTime
	keepLeftover  bool          // keep the queue when the connection ends, for Leftover
	urgent        []byte        // frames that go ahead of the queue
	final         []byte        // from Finish: to be written when nothing else is left
	finalSent     bool          // the write of final has begun: no more appends
	deadlineSet   bool          // the connection has a write deadline for final
	retired       bool          // close the connection once the queue is empty
	err           error
	room          notify.Change // there is room, or the connection has ended
	wg            sync.WaitGroup

	// owned by the running writer
	batch     fifo.Queue
	bufs      net.Buffers
	vec       [][]byte
	pullAgain []Source // scratch

	bytes, writes atomic.Int64
}

// NewWriter returns a writer for conn that holds at most limit bytes, and has room again
// below low bytes. When a write fails it closes conn. There is no callback: the reader of
// conn notices.
func NewWriter(conn net.Conn, limit, low int) *Writer {
	setLocalWriteBuffer(conn)
	w := &Writer{conn: conn, limit: limit, low: low, directWriter: newDirectWriter(conn), directTime: firstDirectTime, created: time.Now()}
	w.together, _ = conn.(together)
	_, w.whole = conn.(wholeWrites)
	w.run = w.drain
	return w
}

// together is a connection that writes several pieces better than one after the other, and is not
// of package net: TLS.
type together interface {
	WriteBuffers(pieces [][]byte) error
}

// wholeWrites is a connection that may lose a Write, whole: package memnet has them.
type wholeWrites interface{ WholeWrites() }

// Append queues whole frames, all or none, and returns the number of bytes queued now. It
// never waits for the network. If there is no room the error is [ErrFull], and queued includes
// the frames that were not taken. Any other error is the one that ended the connection.
func (w *Writer) Append(frames []byte) (queued int, err error) {
	w.mu.Lock()
	queued, err = w.append(frames, false)
	w.mu.Unlock()
	return queued, err
}

// AppendShared is [Writer.Append] for frames that do not change any more. It does not copy long ones:
// many writers may hold the same.
func (w *Writer) AppendShared(frames []byte) (queued int, err error) {
	w.mu.Lock()
	queued, err = w.append(frames, len(frames) >= minShared)
	w.mu.Unlock()
	return queued, err
}

// minShared is how many bytes are shared rather than copied. Fewer are copied as fast as they are
// handed to the connection as a piece of their own.
const minShared = 4 << 10

// closedErr returns why nothing can be appended any more, or nil. It requires mu.
func (w *Writer) closedErr() error {
	if w.err == nil && w.finalSent {
		return net.ErrClosed
	}
	return w.err
}

// appendedHeld returns the number of bytes that count against limit. It requires mu.
func (w *Writer) appendedHeld() int { return w.q.Size() + w.writing - w.pulled }

// append is Append for callers that hold mu.
func (w *Writer) append(frames []byte, share bool) (queued int, err error) {
	if err := w.closedErr(); err != nil {
		return 0, err
	}
	queued = w.appendedHeld() + len(frames)
	if queued > w.limit {
		return queued, ErrFull
	}
	if share {
		w.q.Share(frames)
	} else {
		w.q.Append(frames)
	}
	w.total += int64(len(frames))
	w.appendedTotal += int64(len(frames))
	w.startGoroutine()
	return queued, nil
}

// AppendMarked is [Writer.Append], and returns the value that [Progress.Done] will have once the
// last frame has been written.
func (w *Writer) AppendMarked(frames []byte) (mark int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err = w.append(frames, false)
	return w.appendedTotal, err
}

// Span is a part of a buffer that holds whole frames.
type Span struct{ From, To int }

// AppendSpans is [Writer.Append] for several parts of buf, with one locking. It returns how
// many spans were taken; if not all, err says why. queued is the number of bytes held now,
// without those that found no room. If due is true, the caller must call
// [Writer.WriteDirect].
func (w *Writer) AppendSpans(buf []byte, spans []Span) (taken, queued int, due bool, err error) {
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
		due = w.beginWrite()
	}
	return taken, held, due, err
}

// startGoroutine starts the goroutine unless it runs already. It requires mu and a nil w.err.
func (w *Writer) startGoroutine() {
	if !w.running {
		w.setRunning()
		w.WriteAsync()
	}
}

// setRunning marks the writer as running, by the goroutine or by WriteDirect.
func (w *Writer) setRunning() {
	w.running = true
	w.wg.Add(1)
}

// Low returns the number of queued bytes below which there is room.
func (w *Writer) Low() int { return w.low }

// KeepLeftover makes the writer keep its queue when the connection ends, for
// [Writer.Leftover]. Call it before the first Append.
func (w *Writer) KeepLeftover() { w.keepLeftover = true }

// Leftover returns the frames whose write had not begun when the connection ended, once. It
// needs [Writer.KeepLeftover]; other writers drop these frames.
func (w *Writer) Leftover() fifo.Queue {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		return fifo.Queue{}
	}
	w.keepLeftover = false
	return w.q.Take()
}

// Err returns the error that ended the connection, or nil while it stands.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Room waits until there is room, the connection has ended or ctx is done. It is for
// appenders that may wait; a relay must not.
func (w *Writer) Room(ctx context.Context) error {
	var failed error
	err := w.room.Await(ctx, context.Background(), &w.mu, func() bool {
		failed = w.err
		return failed != nil || w.appendedHeld() < w.low
	})
	if err != nil {
		return err
	}
	return failed
}

// Queued returns the number of bytes waiting or being written.
func (w *Writer) Queued() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.q.Size() + w.writing
}

// Progress counts a writer's bytes. All but Queued are totals since the beginning.
type Progress struct {
	Total   int64 // appended, or pulled from sources
	Written int64 // of those, handed to the connection; it grows while a long write goes on
	Done    int64 // of the appended ones, those that were written before the write under way
	Queued  int   // held by the writer now; sources may hold more
}

// Progress returns the writer's counts.
func (w *Writer) Progress() Progress {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Progress{w.total, w.bytes.Load(), w.startedTotal - int64(w.writing-w.pulled), w.q.Size() + w.writing}
}

// Stats returns the number of bytes and writes so far.
func (w *Writer) Stats() (bytes, writes int64) {
	return w.bytes.Load(), w.writes.Load()
}

const (
	// maxWrite is how many bytes are taken to be written at a time, or one longer frame. Fewer
	// leave more frames in the queue that can still take another link.
	maxWrite = 256 << 10

	// maxPiece is how many bytes of them are handed to the connection at a time, more or less. Only
	// between two pieces does it show that the connection moves: see [Progress]. So a slow one is
	// told from a dead one if it carries a piece in the time that a check allows, however long a
	// frame is. Larger pieces would save hardly any system calls.
	maxPiece = 64 << 10
)

// hasMore reports whether there is something to write. When all else has been written, it
// queues the last frames of [Writer.Finish]. It requires mu.
func (w *Writer) hasMore() bool {
	if w.err == nil && w.final != nil && w.writing == 0 && w.q.Size() == 0 && len(w.sources) == 0 {
		w.urgent = append(w.urgent, w.final...)
		w.final, w.finalSent = nil, true
	}
	return w.err == nil && (w.writing > 0 || w.q.Size() > 0 || len(w.sources) > 0 || len(w.urgent) > 0)
}

// drain is the goroutine: it writes until nothing is left.
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

		waitingWriters.Add(-1) // it is running
		err := w.write()
		waitingWriters.Add(1)
		w.batch.Clear()

		w.mu.Lock()
		w.writing, w.pulled, w.torn = 0, 0, err != nil
		if err != nil {
			if w.fail(err) {
				w.mu.Unlock()
				w.hangUp()
				w.mu.Lock()
			}
			continue
		}
		if w.q.Size() < w.low {
			w.room.Broadcast()
		}
	}
	w.endRun(false)
}

// endRun ends a run of the goroutine, or of WriteDirect if direct, when everything has been
// written or the connection has ended. It requires mu, and releases it.
func (w *Writer) endRun(direct bool) {
	w.running, w.writing, w.pulled = false, 0, 0
	w.batch.Clear()
	w.room.Broadcast() // the queue is empty, or the connection has ended
	if w.err != nil {
		w.sources = nil
	}
	if w.directWriter != nil {
		now := time.Since(w.created)
		if direct {
			w.directTime = nextDirectTime(w.directTime, now-w.lastWrite)
		}
		w.lastWrite = now
	}
	if w.deadlineSet && w.finalSent {
		w.deadlineSet = false
		w.conn.SetWriteDeadline(time.Time{}) // final has been written
	}
	ended := w.retired && w.err == nil && w.fail(net.ErrClosed)
	w.mu.Unlock()
	if ended {
		w.hangUp()
	}
}

// write writes batch, piece by piece. A frame that fits into a piece is not cut, unless it shares a
// chunk with a longer one.
func (w *Writer) write() error {
	size := 0
	for chunk := range w.batch.Chunks() {
		for len(chunk) > 0 {
			n := len(chunk)
			if !w.whole {
				n = min(n, maxPiece)
			}
			if size > 0 && size+n > maxPiece {
				if err := w.writePiece(size); err != nil {
					return err
				}
				size = 0
			}
			w.vec = append(w.vec, chunk[:n])
			size, chunk = size+n, chunk[n:]
		}
	}
	return w.writePiece(size)
}

// writePiece writes vec, which has so many bytes, with one call.
func (w *Writer) writePiece(size int) (err error) {
	w.bytes.Add(int64(size))
	w.writes.Add(1)
	if w.together != nil {
		err = w.together.WriteBuffers(w.vec)
	} else if len(w.vec) == 1 {
		_, err = w.conn.Write(w.vec[0])
	} else {
		w.bufs = w.vec
		_, err = w.bufs.WriteTo(w.conn)
	}
	clear(w.vec) // an idle link must not hold chunks that go back to their pool
	w.vec = w.vec[:0]
	return err
}
