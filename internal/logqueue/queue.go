// Package logqueue keeps a program from waiting for its log. A [Queue] stands between
// loggers and a handler that may be slow, or stand still for ever, such as one that
// writes to a pipe that is not read. Loggers append to the queue; one goroutine, which
// exists only while there is something to log, calls the handler.
//
// No method of the handler is called by the goroutine that logs. Enabled, WithAttrs and
// WithGroup may take a lock of the handler's like Handle does, so they are left to the
// queue's goroutine as well.
package logqueue

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// What Close waits for: a record that the handler has had for longer than maxRecord
// means that the log stands still, and the whole backlog may take maxClose.
const (
	maxRecord = time.Second
	maxClose  = 5 * time.Second
)

// overhead is what a record is counted with beside its text.
const overhead = 256

// Queue holds records that the log has not taken yet, up to a number of bytes. What
// finds no room is dropped and counted, and the log is told the count when it goes on.
// Its lock is a leaf.
type Queue struct {
	limit int
	root  *handler // the log

	mu           sync.Mutex // guards what follows
	records      []record   // the oldest first
	held         int        // bytes of them
	dropped      map[slog.Level]int
	done         chan struct{} // closed when the goroutine ends; nil while there is none
	writingSince time.Time     // the log has had its present record since then; zero: it has none
	closed       bool
}

// record is what waits for the log.
type record struct {
	to      *handler
	ctx     context.Context
	rec     slog.Record
	bytes   int
	dropped map[slog.Level]int // instead of rec: how many records were
}

// New returns a logger that logs to h through a queue of limit bytes. Records below
// least are not made at all; whether h wants one of the others, the queue's goroutine
// asks it.
func New(h slog.Handler, minLevel slog.Level, limit int) (*slog.Logger, *Queue) {
	q := &Queue{limit: limit}
	q.root = &handler{q: q, minLevel: minLevel, to: h}
	if h == slog.DiscardHandler {
		return slog.New(h), q
	}
	return slog.New(q.root), q
}

// add queues a record. It does not wait.
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

// queueDropped queues the count of what was dropped; it needs mu.
func (q *Queue) queueDropped() {
	if q.dropped != nil {
		q.records = append(q.records, record{to: q.root, ctx: context.Background(), dropped: q.dropped})
		q.dropped = nil
	}
}

// run is the goroutine that hands records to the log, one after the other.
func (q *Queue) run() {
	q.mu.Lock()
	defer func() { // also if the log has ended the goroutine
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

// write hands one record to the log, without mu.
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

// Close waits until the log has taken what was logged before, unless the log stands
// still: then what it has not taken is dropped. The goroutine ends when the log lets go
// of it. What is logged later is dropped.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
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
	q.records, q.held, q.dropped = nil, 0, nil
}

// waitUnlocked waits without mu.
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
