//go:build linux

package chaos

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// book is a process's notes about its messages, in a mapped file. A note costs one store, and
// survives if the process is killed right after it.
type book struct {
	mu      sync.Mutex
	raw     []byte // the file
	mem     []uint64
	next    int // the first free record
	rows    map[row]*receipt
	sent    map[uint64]int // by sink: the record
	unknown map[uint64]int // by sink: the latest record
}

// A record is eight numbers.
const (
	recKind    = iota
	recProcess // the sender
	recSink    // the ID it was sent to
	recSource  // the ID it came from
	recInc     // the incarnation, if the library says
	recFirst
	recLast
	recAt // when the record was begun
	recordSize
)

// Kinds of records.
const (
	kindNone      = iota
	kindReceived  // first to last, in this order, without gap
	kindSent      // last is how many were accepted
	kindUnknown   // first to last were reported as undelivered
	kindDuplicate // first was handled before
	kindLate      // first came after later ones
	kindCorrupt   // a body that these tests did not make
	kindFull      // the book is full: there are no notes after this
)

const bookSize = 8 << 20 // a sparse file: unused space costs nothing

// row is the messages that have one order: from one incarnation of a source to one ID.
type row struct{ process, sink, source, inc uint64 }

// receipt is the state of a row.
type receipt struct {
	record int
	spans  spans // finished ones
	first  uint64
	last   uint64
}

func createBook(path string) (*book, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(bookSize); err != nil {
		return nil, err
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, bookSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: %w", path, err)
	}
	return &book{
		raw: mem, mem: unsafe.Slice((*uint64)(unsafe.Pointer(&mem[0])), bookSize/8),
		rows: make(map[row]*receipt), sent: make(map[uint64]int), unknown: make(map[uint64]int),
	}, nil
}

func (b *book) close() error { return syscall.Munmap(b.raw) }

// add starts a record; it needs mu. The kind is stored last, so a process that is killed in
// between leaves no partial record.
func (b *book) add(kind uint64, r row, first, last uint64) int {
	const end = bookSize/8/recordSize - 1
	if b.next >= end {
		kind = kindFull
	}
	at := min(b.next, end) * recordSize
	b.next = min(b.next+1, end)
	for i, v := range [...]uint64{recProcess: r.process, recSink: r.sink, recSource: r.source, recInc: r.inc, recFirst: first, recLast: last, recAt: uint64(time.Now().UnixNano())} {
		if i != recKind {
			atomic.StoreUint64(&b.mem[at+i], v)
		}
	}
	atomic.StoreUint64(&b.mem[at+recKind], kind)
	return at
}

// noteReceived notes a message that the handler got.
func (b *book) noteReceived(source, inc uint64, h header) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := row{h.process, h.sink, source, inc}
	r := b.rows[key]
	switch {
	case r == nil:
		b.rows[key] = &receipt{record: b.add(kindReceived, key, h.n, h.n), first: h.n, last: h.n}
	case h.n == r.last+1:
		r.last = h.n
		atomic.StoreUint64(&b.mem[r.record+recLast], h.n)
	case h.n > r.last:
		r.spans = append(r.spans, span{r.first, r.last})
		r.record, r.first, r.last = b.add(kindReceived, key, h.n, h.n), h.n, h.n
	case h.n >= r.first || r.spans.contains(h.n):
		b.add(kindDuplicate, key, h.n, h.n)
	default:
		b.add(kindLate, key, h.n, h.n)
		r.spans = append(r.spans, span{h.n, h.n})
	}
}

func (b *book) noteCorrupt(source, inc uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(kindCorrupt, row{source: source, inc: inc}, 0, 0)
}

// noteAccepted notes that Send has accepted n messages for a sink.
func (b *book) noteAccepted(process, sink, n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.sent[sink]
	if !ok {
		b.sent[sink] = b.add(kindSent, row{process: process, sink: sink}, 1, n)
		return
	}
	atomic.StoreUint64(&b.mem[at+recLast], n)
}

// noteUndelivered notes a message that the library reported as undelivered.
func (b *book) noteUndelivered(process, sink, n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at, ok := b.unknown[sink]; ok && b.mem[at+recLast]+1 == n {
		atomic.StoreUint64(&b.mem[at+recLast], n)
		return
	}
	b.unknown[sink] = b.add(kindUnknown, row{process: process, sink: sink}, n, n)
}

// record is one line of a book.
type record struct {
	kind uint64
	row
	span
	at time.Time // of the first
}

// readBook reads the book of a process that has ended.
func readBook(path string) ([]record, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(raw) != bookSize {
		return nil, fmt.Errorf("%s has %d bytes, not %d", path, len(raw), bookSize)
	}
	mem := unsafe.Slice((*uint64)(unsafe.Pointer(&raw[0])), bookSize/8)
	var all []record
	for at := 0; at < len(mem) && mem[at+recKind] != kindNone; at += recordSize {
		m := mem[at:]
		all = append(all, record{m[recKind], row{m[recProcess], m[recSink], m[recSource], m[recInc]}, span{m[recFirst], m[recLast]}, time.Unix(0, int64(m[recAt]))})
	}
	return all, nil
}
