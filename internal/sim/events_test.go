package sim

import "time"

// Time is virtual time since the start of the world.
type Time = time.Duration

// event is a function to call at a time.
type event struct {
	at Time
	n  int // breaks ties: events of one time run in the order in which they were planned
	do func()
}

func (e event) before(f event) bool { return e.at < f.at || e.at == f.at && e.n < f.n }

// events is a heap of the planned events.
type events struct {
	heap []event
	n    int
}

func (q *events) push(at Time, do func()) {
	q.n++
	q.heap = append(q.heap, event{at, q.n, do})
	for i := len(q.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.heap[i].before(q.heap[up]) {
			break
		}
		q.heap[i], q.heap[up] = q.heap[up], q.heap[i]
		i = up
	}
}

func (q *events) pop() event {
	e := q.heap[0]
	n := len(q.heap) - 1
	q.heap[0] = q.heap[n]
	q.heap[n] = event{}
	q.heap = q.heap[:n]
	for i := 0; ; {
		least := i
		for down := 2*i + 1; down <= 2*i+2 && down < n; down++ {
			if q.heap[down].before(q.heap[least]) {
				least = down
			}
		}
		if least == i {
			return e
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
}
