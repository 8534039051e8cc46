// Package logqueue keeps a program from waiting for its log. Loggers append records to a
// [Queue], and one goroutine passes them to a handler that may be slow or block for ever, such
// as one that writes to a pipe without a reader. The goroutine exists only while there are
// records.
//
// A goroutine that logs calls no method of the handler. Enabled, WithAttrs and WithGroup may
// take the same lock as Handle, so the queue's goroutine calls them as well.
package logqueue

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Limits for Flush and Close: maxRecord is how long the handler may take for one record before it counts
// as stuck, and maxClose is the time for the whole backlog.
const (
	maxRecord = time.Second
	maxClose  = 5 * time.Second
)

// overhead is the size that a record counts beside its text.
const overhead = 256

// Queue holds records for the handler, up to a number of bytes. Records without room are
// dropped and counted; a record with the count follows when the handler works again. Its lock
// is a leaf.
type Queue struct {
	limit int
	root  *handler // for h of New, without attributes

	mu           sync.Mutex // guards what follows
	records      []record   // the oldest first
	held         int        // their bytes
	dropped      map[slog.Level]int
	done         chan struct{} // closed when the goroutine ends; nil while there is none
	writingSince time.Time     // when the handler got its present record; zero if it has none
	closed       bool
}

// record is an entry of the queue.
type record struct {
	to      *handler
	ctx     context.Context
	rec     slog.Record
	bytes   int
	dropped map[slog.Level]int // instead of rec: how many records were dropped
}

// New returns a logger that logs to h through a queue of limit bytes. Records below minLevel
// are not made at all. For the others the queue's goroutine asks h whether it wants them.
func New(h slog.Handler, minLevel slog.Level, limit int) (*slog.Logger, *Queue) {
	q := &Queue{limit: limit}
	q.root = &handler{q: q, minLevel: minLevel, to: h}
	if h == slog.DiscardHandler {
		return slog.New(h), q
	}
	return slog.New(q.root), q
}

// add queues a record, or counts it as dropped. It does not wait.
func (q *Queue) add(r record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return
	case q.held+r.bytes > q.limit:
		if q.dropped == nil {
			q.dropped = make(map[slog.Level]int)
		}
		q.dropped[r.rec.Level]++
		return
	}
	q.queueDropped()
	q.records = append(q.records, r)
	q.held += r.bytes
	if q.done == nil {
		q.done = make(chan struct{})
		go q.run()
	}
}

// queueDropped queues a record with the number of dropped ones. It requires mu.
func (q *Queue) queueDropped() {
	if q.dropped != nil {
		q.records = append(q.records, record{to: q.root, ctx: context.Background(), dropped: q.dropped})
		q.dropped = nil
	}
}

// run is the goroutine that passes records to the handler, one after the other.
func (q *Queue) run() {
	q.mu.Lock()
	defer func() { // also if the handler ends the goroutine
		q.writingSince = time.Time{}
		close(q.done)
		q.done = nil
		q.mu.Unlock()
	}()
	for {
		if len(q.records) == 0 {
			q.queueDropped()
		}
		if len(q.records) == 0 {
			q.records = nil
			return
		}
		r := q.records[0]
		q.records[0] = record{}
		q.records = q.records[1:]
		q.held -= r.bytes
		q.writingSince = time.Now()
		q.write(r)
	}
}

// write passes one record to the handler. It releases mu meanwhile.
func (q *Queue) write(r record) {
	q.mu.Unlock()
	defer q.mu.Lock()
	to := r.to.target()
	if r.dropped != nil {
		n := 0
		for level, records := range r.dropped {
			if to.Enabled(r.ctx, level) {
				n += records
			}
		}
		if n == 0 {
			return
		}
		r.rec = slog.NewRecord(time.Now(), slog.LevelWarn, "the log could not keep up, records were dropped", 0)
		r.rec.AddAttrs(slog.Int("records", n))
	}
	if to.Enabled(r.ctx, r.rec.Level) {
		to.Handle(r.ctx, r.rec) // an error: there is nowhere to log it
	}
}

// Close is the last Flush: it drops the records that the handler has not taken by then, and those
// that are logged later. The goroutine ends when the handler returns.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.drain()
	q.records, q.held, q.dropped = nil, 0, nil
}

// Flush waits until the handler has taken all records. It gives up if the handler takes more than a
// second for one record or five for all.
func (q *Queue) Flush() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drain()
}

// drain is Flush with mu held, which it releases meanwhile.
func (q *Queue) drain() {
	by := time.Now().Add(maxClose)
	for q.done != nil {
		patience := time.Until(by)
		if !q.writingSince.IsZero() {
			patience = min(patience, time.Until(q.writingSince.Add(maxRecord)))
		}
		if patience <= 0 {
			break
		}
		q.waitUnlocked(q.done, patience)
	}
}

// waitUnlocked waits for done, for at most limit. It releases mu meanwhile.
func (q *Queue) waitUnlocked(done <-chan struct{}, limit time.Duration) {
	q.mu.Unlock()
	defer q.mu.Lock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
