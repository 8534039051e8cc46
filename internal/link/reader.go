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

// Read buffers come in powers of two from a few hundred bytes, which an idle connection
// keeps, up to the size that makes one read worth its system call; a frame that
// is longer gets a larger one for as long as it takes.
const (
	minRead = 9  // 512 bytes
	topRead = 16 // 64 KiB
	maxRead = 25
)

var readPools [maxRead + 1]sync.Pool

// Scan finds the whole frames at the start of a buffer, or some of them; see package
// wire.
type Scan func(b []byte, max int) (whole, need int, err error)

// Reader hands over the frames of a connection, as many at a time as one read
// brought.
type Reader struct {
	conn net.Conn
	scan Scan
	max  int

	buf      *[]byte
	bufClass int
	start    int // first byte not handed over
	end      int // behind the last byte read
	returned int // handed over at the last Next

	big         atomic.Bool // the buffer is larger than an idle connection may keep
	readsAtTrim int64       // reads at the last Trim; owned by the caller of Trim

	mu            sync.Mutex
	trimRequested bool // Trim has set the read deadline, and the timeout to come is its wish

	bytes, reads atomic.Int64
}

// NewReader returns a reader of frames that are no longer than max bytes.
func NewReader(conn net.Conn, scan Scan, max int) *Reader {
	return &Reader{conn: conn, scan: scan, max: max}
}

// Next waits for at least one frame and returns all whole frames that have
// arrived. They may be changed in place, and are valid until the next call. An
// error that is not from the connection itself says what was wrong with the
// bytes; io.EOF is the end of the connection between two frames.
func (r *Reader) Next() ([]byte, error) {
	b, err := r.Buffered()
	if err != nil {
		return nil, err
	}
	return b[:r.returned], nil
}

// Buffered is [Reader.Next] for who looks at every frame anyway: what it returns goes
// on behind the frames that Scan found, with anything. [Reader.Consume] then tells how
// much of it were frames.
func (r *Reader) Buffered() ([]byte, error) {
	r.start += r.returned
	r.returned = 0
	need := 0
	for {
		if r.start < r.end {
			whole, n, err := r.scan((*r.buf)[r.start:r.end], r.max)
			if whole > 0 { // an error behind them is found again at the next call
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

// Consume says that the first n bytes that [Reader.Buffered] returned were frames, and all
// of them that were whole.
func (r *Reader) Consume(n int) { r.returned = n }

func (r *Reader) read(need int) error {
	r.fit(need)
	for {
		n, err := r.conn.Read((*r.buf)[r.end:])
		if n > 0 {
			r.end += n
			r.bytes.Add(int64(n))
			r.reads.Add(1)
			if r.end == len(*r.buf) && r.bufClass < topRead {
				r.bufClass++ // it was filled to the brim, there may be more
			} else if n < len(*r.buf)/8 && r.start == 0 && r.bufClass > minRead {
				r.bufClass--
			}
			return nil
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && r.takeTrimRequest():
			if r.start == r.end { // nothing of a frame is there that would need the room
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

// fit makes room for at least one more byte and a frame of need bytes.
func (r *Reader) fit(need int) {
	class := max(r.bufClass, minRead)
	if need > 1<<class {
		class = bits.Len(uint(need - 1))
	}
	r.bufClass = min(max(r.bufClass, minRead), topRead)
	rest := r.end - r.start
	if r.buf != nil && len(*r.buf) == 1<<class {
		if r.start > 0 {
			copy(*r.buf, (*r.buf)[r.start:r.end])
			r.start, r.end = 0, rest
		}
		return
	}
	if 1<<class <= rest { // it cannot shrink below what it holds
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

// Trim makes a reader that has read nothing since the last call give back a big
// buffer. A reader blocked in Read cannot be reached but through its deadline,
// so this must not be used where deadlines have another meaning. Call it every
// second or so, from one goroutine.
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

// takeTrimRequest reports whether a timeout was Trim's doing, and undoes it. The flag and
// the deadline change together: otherwise a second Trim could leave a deadline
// behind that nobody admits to, and the connection would end.
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

// Free gives the buffer back. The reader must not be used any more.
func (r *Reader) Free() {
	if r.buf != nil {
		r.release()
	}
}

// Stats returns the bytes and reads so far.
func (r *Reader) Stats() (bytes, reads int64) { return r.bytes.Load(), r.reads.Load() }
