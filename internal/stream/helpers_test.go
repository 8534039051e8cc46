package stream

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

const (
	ms    = time.Millisecond
	first = 1000 // number of the first message in the tests of one half
)

// frames splits what a call appended.
func frames(b []byte) (all []wire.Frame) {
	for len(b) > 0 {
		var f wire.Frame
		f, b = wire.Next(b)
		all = append(all, f)
	}
	return all
}

// show writes frames as one line, numbers relative to first: "data 3, sync 5 round 2".
func show(b []byte) string {
	var s strings.Builder
	for i, f := range frames(b) {
		if i > 0 {
			s.WriteString(", ")
		}
		fmt.Fprintf(&s, "%v %d", f.Type(), int64(f.Seq()-first))
		switch f.Type() {
		case wire.Sync:
			round, _ := wire.ParseRound(f.Body())
			fmt.Fprintf(&s, " round %d", int32(round))
		case wire.Ack:
			a, ranges, err := wire.ParseAck(f.Body(), nil)
			if err != nil {
				return err.Error()
			}
			fmt.Fprintf(&s, " received %d window %d round %d", a.Received, a.Window, int32(a.Round))
			for _, r := range ranges {
				fmt.Fprintf(&s, " %d+%d", r.From, r.N)
			}
		}
	}
	return s.String()
}

func want(t *testing.T, got []byte, text string) {
	t.Helper()
	if s := show(got); s != text {
		t.Fatalf("got %q, want %q", s, text)
	}
}

// opening is a sender of node 1, incarnation 7, to node 2 that asked to open at 1s.
func opening(t *testing.T) *Sender {
	t.Helper()
	s := NewSender(1, 7, 2, 3)
	f := frames(s.Start(1000*ms, nil))
	if len(f) != 1 || f[0].Type() != wire.Open || f[0].Seq() != 3 || f[0].Src() != 1 || f[0].Dst() != 2 {
		t.Fatal(f)
	}
	return s
}

func grant(window int) wire.OpenedBody {
	return wire.OpenedBody{SourceIncarnation: 7, SinkIncarnation: 9, First: first, Window: uint32(window)}
}

// open is a sender whose stream was opened after 10ms.
func open(t *testing.T, window int) *Sender {
	t.Helper()
	s := opening(t)
	if out := s.Opened(1010*ms, 3, grant(window), 0, nil); len(out) != 0 || s.State() != Open {
		t.Fatal(show(out), s.State())
	}
	return s
}

// push accepts n messages of frames of size bytes, and says how many were sent.
func push(s *Sender, n, size int) (sent int) {
	for range n {
		if s.Push(0, make([]byte, size-wire.HeaderSize)) > 0 {
			sent++
		}
	}
	return sent
}

// pushFrame accepts a message. It returns its frame, nil if that is not sent yet.
func pushFrame(s *Sender, port uint8, body []byte) wire.Frame {
	n := s.Push(port, body)
	if n == 0 {
		return nil
	}
	return sent(s, n)
}

// sent returns a copy of the frames that were admitted last, of n bytes.
func sent(s *Sender, n int) (b []byte) {
	var q fifo.Queue
	s.Copy(s.Last(n), n, &q)
	for chunk := range q.Chunks() {
		b = append(b, chunk...)
	}
	q.Clear()
	return b
}

// acked gives the sender an acknowledgement, numbers relative to first.
func acked(t *testing.T, s *Sender, now Time, delivered, received, window int, round uint32, ranges ...wire.Range) (out []byte, progress bool) {
	t.Helper()
	b := wire.AckBody{Received: uint32(received - delivered), Window: uint32(window), Round: round}.Append(nil, ranges)
	out, progress, err := s.Ack(now, first+uint64(delivered), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out, progress
}

// receiver is the half of node 2, incarnation 9, for node 1, incarnation 7.
func receiver() *Receiver { return NewReceiver(2, 9, 1, 7, 3, first) }

const plenty = 1 << 20

// dataFrame is message number n, relative to first.
func dataFrame(n, size int) wire.Frame {
	return wire.Append(nil, wire.Header{Type: wire.Data, Dst: 2, Src: 1, Seq: first + uint64(n)}, make([]byte, size-wire.HeaderSize))
}

// arrive gives the receiver messages of 100 bytes and checks what became of each.
func arrive(t *testing.T, r *Receiver, want Verdict, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		if v, _ := r.Data(dataFrame(n, 100), plenty); v != want {
			t.Fatalf("message %d: verdict %d, want %d", n, v, want)
		}
	}
}

// taken is the numbers that the handler gets now.
func taken(r *Receiver) (numbers []int) {
	q := r.Take()
	for q.Size() > 0 {
		f, _ := wire.Next(q.Front())
		numbers = append(numbers, int(f.Seq()-first))
		q.Discard(len(f))
	}
	return numbers
}

func wantTaken(t *testing.T, r *Receiver, want ...int) {
	t.Helper()
	if got := taken(r); !slices.Equal(got, want) {
		t.Fatalf("the handler gets %v, want %v", got, want)
	}
}

// bundle is a frame from message number n on, relative to first. A single message is a plain frame.
func bundle(n int, bodies ...[]byte) wire.Frame {
	f := wire.Append(nil, wire.Header{Type: wire.Data, Dst: 2, Src: 1, Seq: first + uint64(n)}, bodies[0])
	for i, body := range bodies[1:] {
		f = append(f, make([]byte, wire.Bundling(i+1, len(body)))...)
		wire.Bundle(f, i+1, body)
	}
	return f
}

// deliveries takes what the handler gets now, message by message.
func deliveries(r *Receiver) (all []delivery) {
	q := r.Take()
	for q.Size() > 0 {
		chunk := q.Front()
		left, number := len(chunk), uint64(0)
		for w := wire.Walk(chunk); w.Next(); left = w.Left() {
			if len(all) == 0 || number == 0 || w.Frame.Seq() != all[len(all)-1].first {
				number = w.Frame.Seq()
			}
			all = append(all, delivery{w.Frame.Src(), number, w.Frame.Seq(), message{w.Frame.Port(), bytes.Clone(w.Body)}, left - w.Left()})
			number++
		}
		q.Discard(len(chunk))
	}
	return all
}
