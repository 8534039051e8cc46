// Package trace gathers the answers to traces. A trace is a frame to a sink that each node on its way
// answers, the sink included. It may be asked several times: answers are lost, and routes change.
//
// The package sends nothing and has no clock.
package trace

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Hop is one answer to a trace.
type Hop struct {
	ID      uint64
	Elapsed time.Duration // between sending the trace and receiving the answer
}

// Table is the traces of one node, by nonce. Its zero value is ready. All methods of a Table and of
// its traces may be called at the same time. Their lock is a leaf.
type Table struct {
	mu     sync.Mutex
	traces map[uint64]*Trace
}

// Trace is a trace that waits for answers.
type Trace struct {
	sink  uint64
	asked time.Duration
	hops  map[int]Hop // by links crossed
	last  int         // links to the sink; 0 until the sink has answered
	err   error
	over  bool
	done  chan struct{}
}

// Begin begins a trace of the route to a sink. The caller must call End with the same nonce.
func (t *Table) Begin(nonce, sink uint64) *Trace {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.traces == nil {
		t.traces = make(map[uint64]*Trace)
	}
	x := &Trace{sink: sink, hops: make(map[int]Hop), done: make(chan struct{})}
	t.traces[nonce] = x
	return x
}

// Ask notes that the trace is sent now. Elapsed counts from the latest question.
func (t *Table) Ask(x *Trace, now time.Duration) {
	t.mu.Lock()
	x.asked = now
	t.mu.Unlock()
}

// Done is closed when all answers have come, or a refusal.
func (x *Trace) Done() <-chan struct{} { return x.done }

// End ends a trace. It returns the answers in the order of the route, and why some are missing: the
// refusal, or why if the trace is not complete.
func (t *Table) End(nonce uint64, why error) (hops []Hop, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.traces[nonce]
	delete(t.traces, nonce)
	if x.over {
		why = x.err
	}
	for _, i := range slices.Sorted(maps.Keys(x.hops)) {
		if x.last == 0 || i <= x.last {
			hops = append(hops, x.hops[i])
		}
	}
	return hops, why
}

// Answered takes the answer of a node, so many links from here. last means that it is the sink. It
// returns false if there is no such trace.
func (t *Table) Answered(nonce, id uint64, links int, last bool, now time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.traces[nonce]
	if x == nil || x.over {
		return x != nil
	}
	x.hops[links] = Hop{id, now - x.asked}
	if last {
		x.last = links
	}
	// Answers from beyond the sink belong to an earlier question that took another route.
	for i := 1; i <= x.last; i++ {
		if _, ok := x.hops[i]; !ok {
			return true
		}
	}
	if x.last > 0 {
		x.finish()
	}
	return true
}

// Refused takes the word of a relay that it cannot pass the trace on to the sink. It returns false if
// there is no such trace.
func (t *Table) Refused(nonce, sink uint64, why error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.traces[nonce]
	if x == nil || x.sink != sink {
		return false
	}
	if !x.over {
		x.err = why
		x.finish()
	}
	return true
}

// finish needs mu.
func (x *Trace) finish() {
	x.over = true
	close(x.done)
}
