package link

import (
	"errors"
	"io"
	"math/bits"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Read buffers are powers of two. An idle connection keeps the smallest; the largest makes
// one read worth its system call. Only a longer frame gets a larger buffer, until it has been
// read. A buffer grows with what has arrived and not with what a frame's prefix claims: it is
// shorter than four times the bytes in it. So a prefix alone costs 512 bytes.
const (
	minRead = 9  // 512 bytes
	topRead = 16 // 64 KiB
	maxRead = 25
)

var readPools [maxRead + 1]sync.Pool

// Scan finds whole frames at the start of a buffer: all of them, or only the first. See
// wire.Scan.
type Scan func(b []byte, max int) (whole, need int, err error)

// Reader reads the frames of a connection. It returns all whole frames of a read at once.
type Reader struct {
	conn net.Conn
	scan Scan
	max  int

	buf      *[]byte
	bufClass int
	start    int // of the bytes not returned yet
	end      int // of the bytes read
	returned int // bytes returned by the last Next

	half     atomic.Int64 // while Read waits within a frame: where that begins, plus 1; else 0
	progress progress     // owned by the caller of Stalled

	big         atomic.Bool // the buffer is larger than an idle connection's
	readsAtTrim int64       // reads at the last Trim; owned by the caller of Trim

	mu            sync.Mutex
	trimRequested bool // Trim has set the read deadline: the timeout to come is not an error

	bytes, reads atomic.Int64
}

// NewReader returns a reader of frames of at most max bytes.
func NewReader(conn net.Conn, scan Scan, max int) *Reader {
	return &Reader{conn: conn, scan: scan, max: max}
}

// Next waits for at least one frame and returns all whole frames that have arrived. The
// caller may change them in place; they are valid until the next call. Errors are those of
// the connection or of scanning. io.EOF means that the connection ended between two frames.
func (r *Reader) Next() ([]byte, error) {
	b, err := r.Buffered()
	if err != nil {
		return nil, err
	}
	return b[:r.returned], nil
}

// Buffered is [Reader.Next] for callers that look at every frame anyway. It returns all bytes
// that were read, also those behind the frames that Scan found, which may be anything. The
// caller then reports by [Reader.Consume] how many of them were frames.
func (r *Reader) Buffered() ([]byte, error) {
	r.start += r.returned
	r.returned = 0
	need := 0
	for {
		if r.start < r.end {
			whole, n, err := r.scan((*r.buf)[r.start:r.end], r.max)
			if whole > 0 { // the next call finds an error behind them again
				r.returned = whole
				return (*r.buf)[r.start:r.end], nil
			}
			if err != nil {
				return nil, err
			}
			need = n
		}
		if err := r.read(need); err != nil {
			return nil, err
		}
	}
}

// Consume reports that the first n bytes returned by [Reader.Buffered] were frames, and that
// no whole frame follows them.
func (r *Reader) Consume(n int) { r.returned = n }

func (r *Reader) read(need int) error {
	r.fit(need)
	for {
		half := r.end > r.start
		if half { // two stores a read, and only where one ends within a frame
			r.half.Store(r.bytes.Load() - int64(r.end-r.start) + 1)
		}
		n, err := r.conn.Read((*r.buf)[r.end:])
		if half {
			r.half.Store(0)
		}
		if n > 0 {
			r.end += n
			r.bytes.Add(int64(n))
			r.reads.Add(1)
			if r.end == len(*r.buf) && r.bufClass < topRead {
				r.bufClass++ // the read filled it: there may be more
			} else if n < len(*r.buf)/8 && r.start == 0 && r.bufClass > minRead {
				r.bufClass--
			}
			return nil
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && r.takeTrimRequest():
			if r.start == r.end { // not in the middle of a frame
				r.bufClass = minRead
				r.fit(0)
			}
		case err == io.EOF && r.end > r.start:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
}

// fit makes room for at least one more byte of a frame of need bytes.
func (r *Reader) fit(need int) {
	rest := r.end - r.start
	class := max(r.bufClass, minRead)
	if need > 1<<class {
		class = max(class, min(bits.Len(uint(need-1)), bits.Len(uint(2*rest-1))))
	}
	r.bufClass = min(max(r.bufClass, minRead), topRead)
	if r.buf != nil && len(*r.buf) == 1<<class {
		if r.start > 0 {
			copy(*r.buf, (*r.buf)[r.start:r.end])
			r.start, r.end = 0, rest
		}
		return
	}
	if 1<<class <= rest { // it cannot be smaller than its content
		class = bits.Len(uint(rest))
	}
	next, ok := readPools[class].Get().(*[]byte)
	if !ok {
		b := make([]byte, 1<<class)
		next = &b
	}
	if r.buf != nil {
		copy(*next, (*r.buf)[r.start:r.end])
		r.release()
	}
	r.buf, r.start, r.end = next, 0, rest
	r.big.Store(class > minRead)
}

func (r *Reader) release() {
	readPools[bits.Len(uint(len(*r.buf)-1))].Put(r.buf)
	r.buf = nil
}

// Trim takes a large buffer away from a reader that has read nothing since the last Trim.
// Call it about every second, from one goroutine. It reaches a reader that is blocked in Read
// through the read deadline, so do not set read deadlines on a connection that is trimmed.
func (r *Reader) Trim() {
	reads := r.reads.Load()
	idle := reads == r.readsAtTrim && r.big.Load()
	r.readsAtTrim = reads
	if !idle {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.trimRequested {
		r.trimRequested = true
		r.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// takeTrimRequest reports whether Trim caused a timeout, and clears the request. The flag and
// the deadline change together: otherwise a second Trim could leave a deadline behind without
// the flag, and the connection would end.
func (r *Reader) takeTrimRequest() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.trimRequested {
		return false
	}
	r.trimRequested = false
	r.conn.SetReadDeadline(time.Time{})
	return true
}

// Free returns the buffer to its pool. The reader must not be used afterwards.
func (r *Reader) Free() {
	if r.buf != nil {
		r.release()
	}
}

// Stats returns the number of bytes and reads so far.
func (r *Reader) Stats() (bytes, reads int64) { return r.bytes.Load(), r.reads.Load() }
