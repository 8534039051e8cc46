package fifo

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/x/ringdht/internal/wire"
)

// A model is the simplest queue: the list of its frames.
type model [][]byte

func (m model) bytes() []byte { return bytes.Join(m, nil) }

// randomFrame returns a frame with a body of few, sometimes many, bytes, none of them 0.
func randomFrame(r *rand.Rand) []byte {
	n := r.IntN(200)
	switch r.IntN(200) {
	case 0:
		n = r.IntN(200 << 10)
	case 1, 2, 3, 4, 5, 6:
		n = r.IntN(10 << 10)
	}
	return wire.Append(nil, wire.Header{Type: wire.Data, Seq: r.Uint64()}, bytes.Repeat([]byte{byte(1 + r.IntN(255))}, n))
}

// check compares a queue with its model.
func check(t *testing.T, q *Queue, m model) {
	t.Helper()
	want := m.bytes()
	if q.Size() != len(want) {
		t.Fatalf("size %d, want %d", q.Size(), len(want))
	}
	if (len(want) == 0) != (q.head == nil) || (q.head == nil) != (q.tail == nil) {
		t.Fatalf("%d bytes, head %p, tail %p", len(want), q.head, q.tail)
	}
	var front []byte
	for c := range q.Chunks() {
		if front == nil {
			front = c
		}
		if len(c) == 0 {
			t.Fatal("an empty chunk")
		}
		if !bytes.HasPrefix(want, c) {
			t.Fatalf("a chunk of %d bytes has other bytes than the model, with %d bytes to come", len(c), len(want))
		}
		want = want[len(c):]
		for len(c) > 0 { // whole frames to the end
			if len(c) < wire.HeaderSize || wire.Size(c) > len(c) {
				t.Fatal("a chunk splits a frame")
			}
			c = c[wire.Size(c):]
		}
	}
	if len(want) != 0 {
		t.Fatalf("%d bytes are missing", len(want))
	}
	if !bytes.Equal(front, q.Front()) {
		t.Fatal("the front is not the first chunk")
	}
}

func TestAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	r := rand.New(rand.NewPCG(seed, 0))
	queues := make([]Queue, 2) // two of them share the pools
	models := make([]model, 2)
	for range 3000 {
		i := r.IntN(2)
		q, m := &queues[i], models[i]
		switch r.IntN(12) {
		case 0, 1, 2, 3: // a span of frames
			var span []byte
			for range r.IntN(20) {
				f := randomFrame(r)
				span, m = append(span, f...), append(m, f)
			}
			q.Append(span)
			for i := range span {
				span[i] = 0 // the queue has its own copy
			}
		case 4, 5, 6:
			f := randomFrame(r)
			copy(q.Reserve(len(f)), f)
			m = append(m, f)
		case 7, 8, 9: // some frames of the front
			front := q.Front()
			n := r.IntN(wire.Count(front) + 1)
			size := len(model(m[:n]).bytes())
			if !bytes.Equal(front[:size], model(m[:n]).bytes()) {
				t.Fatal("other frames at the front")
			}
			q.Discard(size)
			m = m[n:]
		case 10:
			taken := q.Take()
			check(t, &taken, m)
			for range r.IntN(5) { // the taken queue works like any other
				f := randomFrame(r)
				taken.Append(f)
				m = append(m, f)
			}
			check(t, &taken, m)
			taken.Clear()
			check(t, &taken, nil)
			m = nil
		case 11:
			if r.IntN(4) == 0 {
				q.Clear()
				m = nil
			}
		}
		models[i] = m
		check(t, &queues[0], models[0])
		check(t, &queues[1], models[1])
	}
}

func TestChunksStopsEarly(t *testing.T) {
	var q Queue
	for range 3 {
		q.Append(frame(60 << 10))
	}
	var got []int
	for c := range q.Chunks() {
		if got = append(got, len(c)); len(got) == 2 {
			break
		}
	}
	if !slices.Equal(got, []int{60 << 10, 60 << 10}) {
		t.Error(got)
	}
}

// TestMove: large chunks move, small contents are copied, and both queues work on.
func TestMove(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var from, to Queue
	var want, moved model
	for range 500 {
		for range r.IntN(10) {
			f := randomFrame(r)
			from.Append(f)
			want = append(want, f)
		}
		for range r.IntN(3) {
			f := randomFrame(r)
			to.Append(f)
			moved = append(moved, f)
		}
		before := to.Size()
		limit := 1 + r.IntN(1<<r.IntN(20))
		chunk := len(from.Front())
		from.Move(&to, limit)
		n := 0
		for size := before; size < to.Size(); n++ {
			size += len(want[n])
		}
		if n == 0 && len(want) > 0 || to.Size()-before > max(limit, chunk, copyLimit) {
			t.Fatalf("%d bytes moved, the limit is %d, the first chunk had %d", to.Size()-before, limit, chunk)
		}
		moved, want = append(moved, want[:n]...), want[n:]
		check(t, &from, want)
		check(t, &to, moved)
		if r.IntN(20) == 0 {
			to.Clear()
			moved = nil
		}
	}
}

// TestDiscardMessages against frames discarded one by one. Some are bundles, which go when all of
// their messages may.
func TestDiscardMessages(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var q Queue
	var m model
	var messages []int // in each frame of m
	for range 2000 {
		for range r.IntN(1 << r.IntN(8)) {
			f := wire.Append(nil, wire.Header{Type: wire.Data}, make([]byte, r.IntN(100)))
			copy(q.ReserveMessage(len(f)), f)
			n := 1
			for r.IntN(3) > 0 {
				body := make([]byte, r.IntN(100))
				more := wire.Bundling(n, len(body))
				longer := q.Extend(len(f), more)
				if longer == nil { // the chunk is full
					break
				}
				wire.Bundle(longer, n, body)
				f = bytes.Clone(longer)
				n++
			}
			m = append(m, f)
			messages = append(messages, n)
		}
		all := 0
		for _, n := range messages {
			all += n
		}
		n := r.IntN(all + 1)
		want, frames := 0, 0
		for want < n && want+messages[frames] <= n {
			want += messages[frames]
			frames++
		}
		if got := q.DiscardMessages(n); got != want {
			t.Fatalf("discarded %d messages of %d, want %d", got, n, want)
		}
		m, messages = m[frames:], messages[frames:]
		check(t, &q, m)
	}
}
