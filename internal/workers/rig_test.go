package workers

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// rig is a pool in virtual time. All lengths of calls are those that a test gives them.
type rig struct {
	*Pool
	t     *testing.T
	start time.Time
	stop  context.CancelFunc
	group sync.WaitGroup

	release chan struct{} // ends turns that wait

	seen   sync.Mutex
	inline []bool // for each turn that ran, whether a reader lent its goroutine
}

func withPool(t *testing.T, limit int, f func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		r := &rig{t: t, start: time.Now(), stop: stop, release: make(chan struct{})}
		now := func() time.Duration { return time.Since(r.start) + 1 }
		r.Pool = New(Config{Limit: limit, Context: ctx, Now: now, Goroutines: &r.group})
		f(t, r)
		r.Close()
		stop()
		r.group.Wait()
	})
}

// turn is a turn that calls a handler, which may be nil.
func (r *rig) turn(handler func(context.Context)) *Turn {
	return &Turn{Run: func(ctx context.Context) (took Span) {
		r.seen.Lock()
		r.inline = append(r.inline, ctx != r.Context)
		r.seen.Unlock()
		took.From = r.Now()
		if handler != nil {
			handler(ctx)
		}
		took.To = r.Now()
		return took
	}}
}

// waits is a turn that waits for release.
func (r *rig) waits() *Turn {
	release := r.release
	return r.turn(func(context.Context) { <-release })
}

// last reports whether a reader has made the latest call.
func (r *rig) last() bool {
	r.seen.Lock()
	defer r.seen.Unlock()
	return r.inline[len(r.inline)-1]
}

// ran is how many turns have begun.
func (r *rig) ran() int {
	r.seen.Lock()
	defer r.seen.Unlock()
	return len(r.inline)
}

// atRest checks that no calls are counted when there are none.
func (r *rig) atRest() {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) != 0 || r.running != 0 {
		r.t.Errorf("%d inline calls and %d in all are counted, there are none", len(r.calls), r.running)
	}
}

// setBalance returns the balance of the budget, and leaves another one.
func (r *rig) setBalance(to time.Duration) (was time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, r.budget.balance = r.budget.balance, to
	return was
}

// reader is a reader whose batches are turns. It ends with the test.
type reader struct {
	r       *rig
	turns   Lender
	batches chan []*Turn
	read    atomic.Int32 // batches that a goroutine has taken
	began   atomic.Int32 // goroutines that read
}

func (r *rig) reader() *reader {
	d := &reader{r: r, batches: make(chan []*Turn, 100)}
	d.turns = r.Lender(d.run)
	r.group.Go(d.run)
	return d
}

func (d *reader) run() {
	d.began.Add(1)
	for {
		select {
		case <-d.r.Context.Done():
			return
		case batch := <-d.batches:
			d.read.Add(1)
			for _, t := range batch {
				d.turns.Ready(t)
			}
			if !d.turns.Call() {
				return
			}
		}
	}
}

// feed has the reader read these turns at once, as soon as it reads.
func (d *reader) feed(turns ...*Turn) {
	d.batches <- turns
	synctest.Wait()
}

// quick feeds so many quick calls. It reports whether the reader has made the last one.
func (d *reader) quick(calls int) bool {
	for range calls {
		d.feed(d.r.turn(nil))
	}
	return d.r.last()
}

// earn is quick, and one call more, which the reader must make.
func (d *reader) earn(calls int) {
	d.r.t.Helper()
	if d.quick(calls); !d.quick(1) {
		d.r.t.Fatalf("no budget after %d calls: %+v", calls, d.r.budget)
	}
}
