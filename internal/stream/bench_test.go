package stream

import (
	"fmt"
	"testing"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

// pump is both halves of a stream and a path that loses nothing. The sink answers
// a quarter of its window at a time, the source asks when it has run out of room.
type pump struct {
	s       *Sender
	r       *Receiver
	window  int
	now     Time
	out     []byte
	ack     []byte
	body    []byte
	handled int
	sent    fifo.Queue
	gather  int         // how many bytes leave together
	from    fifo.Cursor // where those begin that have not left
	waiting int         // how many there are
}

// newPump makes a pump for messages of a size, which leave at once or in bundles of some length.
func newPump(tb testing.TB, size, bundle int) *pump {
	p := &pump{s: NewSender(1, 7, 2, 3), r: receiver(), window: 256 << 10, now: 1000 * ms, body: make([]byte, size), gather: 4 * bundle}
	p.s.Start(p.now, nil)
	p.s.Opened(p.now+ms, 3, grant(p.window), bundle, nil)
	for range 4 << 20 / (size + wire.HeaderSize) { // until the congestion window is wide
		p.message()
	}
	if p.s.Stale() > 0 || p.s.Retransmitted() > 0 || p.handled == 0 {
		tb.Fatalf("%d stale, %d sent again, %d handled", p.s.Stale(), p.s.Retransmitted(), p.handled)
	}
	return p
}

// message takes one message from the source to the handler.
func (p *pump) message() {
	p.now += 1000
	if !p.s.Room(len(p.body)) {
		p.out = p.s.Ask(p.now, p.out[:0])
		p.toSink()
		p.handle()
	}
	n := p.s.Push(0, p.body)
	if p.waiting == 0 {
		p.from = p.s.Last(n)
	}
	if p.waiting += n; p.waiting >= p.gather {
		p.leave()
	}
	if p.r.Bytes() >= p.window/4 {
		p.handle()
	}
}

func (p *pump) handle() {
	q := p.r.Take()
	n := 0
	for q.Size() > 0 {
		chunk := q.Front()
		size := len(chunk)
		for w := wire.Walk(chunk); w.Next(); {
			n++
		}
		q.Discard(size)
	}
	p.handled += n
	p.r.Handled(uint64(n))
	p.toSource()
}

// leave takes to the sink what was admitted.
func (p *pump) leave() {
	if p.waiting == 0 {
		return
	}
	p.s.Copy(p.from, p.waiting, &p.sent)
	p.waiting = 0
	for p.sent.Size() > 0 {
		chunk := p.sent.Front()
		if n := p.r.DataBatch(chunk, plenty); n != len(chunk) {
			panic(n)
		}
		p.sent.Discard(len(chunk))
	}
}

func (p *pump) toSource() {
	p.ack = p.r.AppendAck(p.ack[:0], p.window)
	f := wire.Frame(p.ack)
	p.out, _, _ = p.s.Ack(p.now, f.Seq(), f.Body(), p.out[:0])
	p.toSink()
}

func (p *pump) toSink() {
	p.leave() // before the questions
	for b := p.out; len(b) > 0; {
		var f wire.Frame
		if f, b = wire.Next(b); f.Type() == wire.Sync {
			round, _ := wire.ParseRound(f.Body())
			p.r.Sync(f.Seq(), round)
			p.toSource()
			return // out has changed; no frame ever follows a question
		}
	}
}

var sizes = []int{8, 256, 4096}

// BenchmarkMessage takes messages through both halves, acknowledgements included.
func BenchmarkMessage(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := newPump(b, size, 0)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				p.message()
			}
		})
	}
}

// BenchmarkSend is the source's half alone, BenchmarkReceive the sink's.
func BenchmarkSend(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := newPump(b, size, 0)
			s := NewSender(1, 7, 2, 3)
			s.Start(p.now, nil)
			s.Opened(p.now+ms, 3, grant(p.window), 0, nil)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var ack, out []byte
			for b.Loop() {
				if !s.Room(size) {
					ack = wire.AckBody{Window: uint32(p.window)}.Append(ack[:0], nil)
					out, _, _ = s.Ack(p.now, s.Accepted(), ack, out[:0])
				}
				s.Push(0, p.body)
			}
		})
	}
}

func BenchmarkReceive(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r := receiver()
			f := dataFrame(0, size+wire.HeaderSize)
			h := wire.Header{Type: wire.Data, Dst: 2, Src: 1, Seq: first}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var ack []byte
			n := 0
			for b.Loop() {
				h.Put(f, size)
				h.Seq++
				r.Data(f, plenty)
				if n++; r.Bytes() >= 64<<10 {
					q := r.Take()
					q.Clear()
					r.Handled(uint64(n))
					n = 0
					ack = r.AppendAck(ack[:0], 256<<10)
				}
			}
		})
	}
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	for i, size := range append(sizes, sizes...) {
		p := newPump(t, size, i/len(sizes)*wire.MaxBundle) // without bundles, then with them
		many := func() {
			for range 10_000 {
				p.message()
			}
		}
		if n := testing.AllocsPerRun(5, many); n != 0 {
			t.Errorf("%d bytes, gathered to %d: %v allocations in 10,000 messages", size, p.gather, n)
		}
	}
}
