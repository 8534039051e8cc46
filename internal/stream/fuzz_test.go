package stream

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/x/ringdht/internal/wire"
)

// FuzzStream feeds operations and frames made of arbitrary bytes to both halves. They are not
// connected: each must keep to its model whatever the other side sends.
func FuzzStream(f *testing.F) {
	open := []byte{7, 1, 0, 0, 0, 0, 200, 5, 0, 0} // a window of 6,400 bytes
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		ops := bytes.Clone(open)
		for range 400 {
			ops = append(ops, byte(r.Uint32()))
		}
		f.Add(ops)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := input(data[:min(len(data), 4000)])
		src, dst := newSenderModel(t), newReceiverModel(t)
		for len(in) > 0 {
			if op := in.byte(); op < 128 {
				src.do(op, &in)
			} else {
				dst.do(op, &in)
			}
		}
	})
}

// input deals out the bytes of a test case, and zeroes behind its end.
type input []byte

func (in *input) byte() byte {
	if len(*in) == 0 {
		return 0
	}
	b := (*in)[0]
	*in = (*in)[1:]
	return b
}

func (in *input) bytes(n int) []byte {
	b := make([]byte, n)
	*in = (*in)[copy(b, *in):]
	return b
}

// number returns a number near one of the interesting ones, or any other.
func (in *input) number(near ...uint64) uint64 {
	how := in.byte()
	if how == 255 {
		return binary.BigEndian.Uint64(in.bytes(8))
	}
	return near[int(how)%len(near)] + uint64(int64(int8(in.byte())))
}

// senderModel is the simplest model of a sender.
type senderModel struct {
	t      *testing.T
	s      *Sender
	now    Time
	bodies [][]byte // accepted, from first on
	first  uint64
	sent   uint64 // below it everything was sent
	una    uint64
	ended  bool
}

func newSenderModel(t *testing.T) *senderModel {
	m := &senderModel{t: t, s: NewSender(1, 7, 2, 3), now: 1000 * ms}
	m.frames(m.s.Start(m.now, nil))
	return m
}

func (m *senderModel) do(op byte, in *input) {
	s := m.s
	m.now += Time(in.byte()) * ms
	was := s.State()
	opened := false
	switch op % 12 {
	case 0, 1, 2:
		if s.State() != Open {
			break
		}
		body := bytes.Repeat([]byte{byte(len(m.bodies))}, int(in.byte())*int(op%12+1))
		room := s.Room(len(body))
		m.bodies = append(m.bodies, body)
		f := pushFrame(s, op, body)
		if (f != nil) != room {
			m.t.Fatal("Push and Room disagree")
		}
		m.frames(f)
	case 3:
		m.frames(s.Ask(m.now, nil))
	case 4:
		m.frames(s.Flush(m.now, nil))
	case 5:
		m.frames(s.Tick(m.now, nil))
	case 6:
		m.frames(s.Close(m.now, nil))
	case 7:
		b := wire.OpenedBody{SourceIncarnation: in.number(7), SinkIncarnation: 9, First: in.number(first, 1<<63), Window: uint32(in.byte()) << (in.byte() % 24)}
		m.frames(s.Opened(m.now, in.number(3), b, 0, nil))
		if opened = was == Opening && s.State() == Open; opened {
			m.first, m.sent, m.una = b.First, b.First, b.First
		}
	case 8: // an acknowledgement of the right form
		delivered := in.number(s.una, s.nxt)
		a := wire.AckBody{Received: uint32(in.number(0, s.nxt-delivered)), Window: uint32(in.byte()) << (in.byte() % 24), Round: uint32(in.number(uint64(s.latest.round)))}
		var ranges []wire.Range
		for from, n := uint32(0), in.byte()%40; n > 0; n-- {
			r := wire.Range{From: from + 1 + uint32(in.byte()%8), N: 1 + uint32(in.byte()%8)}
			from = r.From + r.N
			ranges = append(ranges, r)
		}
		out, _, err := s.Ack(m.now, delivered, a.Append(nil, ranges), nil)
		if err != nil {
			m.t.Fatal(err)
		}
		m.frames(out)
	case 9: // and of any
		out, _, _ := s.Ack(m.now, in.number(s.una, s.nxt), in.bytes(int(in.byte())), nil)
		m.frames(out)
	case 10:
		switch seq := in.number(s.una, s.nxt, 3); in.byte() % 4 {
		case 0:
			s.Reset(seq)
		case 1:
			s.NoRoute(seq, wire.NoRouteBody{Type: wire.Type(in.byte() % 14), Reason: wire.NoRouteReason(in.byte() % 4)})
		case 2:
			s.Refused(seq, wire.RefuseBody{SourceIncarnation: in.number(7), Reason: wire.RefuseReason(in.byte() % 4)})
		case 3:
			switch took := s.Farewell(m.now, seq); {
			case took && was != Open && was != Closing:
				m.t.Fatalf("a farewell in state %d", was)
			case took && (seq != s.una || s.Unknown() != 0 || s.State() != Ended):
				m.t.Fatalf("a farewell at %d: state %d, una %d, %d of unknown outcome", seq, s.State(), s.una, s.Unknown())
			}
		}
	case 11:
		s.Closed(in.number(s.una, s.nxt))
	}
	m.check(opened)
}

// frames checks what a call sent: new messages in order and once, old ones unchanged, and none
// that is known to be delivered.
func (m *senderModel) frames(out []byte) {
	if len(out) > m.size(m.una, m.sent+uint64(len(m.bodies)))+2*100 {
		m.t.Fatalf("%d bytes at once", len(out))
	}
	for _, f := range frames(out) {
		if f.Src() != 1 || f.Dst() != 2 {
			m.t.Fatal("a frame from or to another node")
		}
		if f.Type() != wire.Data {
			continue
		}
		i := f.Seq() - m.first
		if i >= uint64(len(m.bodies)) || !bytes.Equal(m.bodies[i], f.Body()) {
			m.t.Fatalf("message %d is not what was accepted", i)
		}
		if f.Seq() > m.sent || f.Seq() < m.s.una {
			m.t.Fatalf("message %d was sent out of turn", i)
		}
		m.sent = max(m.sent, f.Seq()+1)
	}
}

func (m *senderModel) size(from, to uint64) (n int) {
	for i := from - m.first; i < min(to-m.first, uint64(len(m.bodies))); i++ {
		n += wire.HeaderSize + len(m.bodies[i])
	}
	return n
}

func (m *senderModel) check(opened bool) {
	s := m.s
	if m.ended && s.State() != Ended {
		m.t.Fatal("a stream came back to life")
	}
	m.ended = s.State() == Ended
	if s.State() == Opening {
		return
	}
	if len(m.bodies) == 0 && !opened && m.first == 0 { // ended before it opened
		return
	}
	end := m.first + uint64(len(m.bodies))
	if s.una < m.una || s.una > m.sent || s.nxt != m.sent || s.end != end || s.Pending() != end-s.una {
		m.t.Fatalf("una %d nxt %d end %d; before %d, sent %d, accepted %d", s.una, s.nxt, s.end, m.una, m.sent, end)
	}
	m.una = s.una
	if m.ended {
		if n := s.Unknown(); n != m.sent-s.una && (n != 0 || s.Err() != ErrLeft && s.Pending() > 0) {
			m.t.Fatalf("%d of unknown outcome, %d were sent and not delivered: %v", n, m.sent-s.una, s.Err())
		}
		if s.Bytes() != 0 || s.Waiting() || s.Err() == nil && s.Pending() > 0 {
			m.t.Fatalf("after its end %d bytes, waiting %v, %v with %d pending", s.Bytes(), s.Waiting(), s.Err(), s.Pending())
		}
		return
	}
	if s.Bytes() != m.size(s.una, end) || s.Backlog() != m.size(s.nxt, end) {
		m.t.Fatalf("%d bytes, %d of them backlog", s.Bytes(), s.Backlog())
	}
	if s.Backlog() > 0 && s.una == s.nxt {
		m.t.Fatal("a backlog and nothing under way that could free it")
	}
	if (s.una != s.nxt || s.State() != Open) != s.Waiting() {
		m.t.Fatal("waiting for nothing, or not for something")
	}
	if s.cwnd < minCongestion || s.cwnd > maxCongestion || s.deadline > m.now+MaxRTO || s.resendAt > m.now+MaxRTO {
		m.t.Fatal(s.cwnd, s.deadline, s.resendAt)
	}
}

// receiverModel is the simplest model of a receiver.
type receiverModel struct {
	t        *testing.T
	r        *Receiver
	inc, gen uint64
	next     uint64
	first    uint64
	held     map[uint64]int
	inbox    []uint64 // numbers not taken
	bytes    int      // of those
	taken    int      // and not handled
	starved  bool
	cut      bool
	trimmed  uint64
}

func newReceiverModel(t *testing.T) *receiverModel {
	return &receiverModel{t: t, r: receiver(), inc: 7, gen: 3, first: first, next: first, held: make(map[uint64]int)}
}

func (m *receiverModel) do(op byte, in *input) {
	r := m.r
	switch op % 8 {
	case 0, 1, 2:
		m.data(in.number(m.next, m.next, m.first), wire.HeaderSize+int(in.byte()), int(in.byte())*8)
	case 3:
		seq := in.number(m.next, r.done)
		if v := r.Sync(seq, binary.BigEndian.Uint32(in.bytes(4))); v == Accepted && (seq < m.first || seq > m.next+maxAhead) {
			m.t.Fatalf("a question about %d was accepted", seq)
		}
		m.ack()
	case 4:
		inc, gen, to := in.number(m.inc), in.number(m.gen), in.number(1<<40, m.next+1<<30)>>1
		newer := inc > m.inc || inc == m.inc && gen > m.gen
		if ok := r.Open(inc, gen, to); ok != (newer || inc == m.inc && gen == m.gen) {
			m.t.Fatal("open", ok)
		}
		if newer {
			m.inc, m.gen, m.first, m.next, m.starved = inc, gen, to, to, false
			clear(m.held)
		}
	case 5:
		q := r.Take()
		for _, number := range m.inbox {
			f, _ := wire.Next(q.Front())
			if f.Seq() != number || len(f) != wire.HeaderSize+len(f.Body()) {
				m.t.Fatalf("the handler gets %d, want %d", f.Seq(), number)
			}
			q.Discard(len(f))
		}
		if q.Size() != 0 || r.Pending() {
			m.t.Fatal("more for the handler than there is")
		}
		m.taken += len(m.inbox)
		m.inbox, m.bytes = m.inbox[:0], 0
	case 6:
		n := min(m.taken, int(in.byte()))
		m.taken -= n
		r.Handled(uint64(n))
		if r.done > m.next || r.done < m.first {
			m.t.Fatal("done with", r.done)
		}
		if left := m.next - r.done + r.formerUnhandled; left != uint64(m.taken+len(m.inbox)) {
			m.t.Fatalf("%d deliveries left, want %d", left, m.taken+len(m.inbox))
		}
		m.ack()
	case 7:
		seq := in.number(m.next)
		if ok := r.Close(seq); ok != (seq == m.next && m.taken+len(m.inbox)+len(m.held) == 0) {
			m.t.Fatal("close", ok)
		}
		if op > 250 {
			m.cut = true
			clear(m.held)
			r.Cut()
		}
		if r.Drained() != (m.cut && r.done == m.next && r.formerUnhandled == 0) || r.Drained() && frames(r.AppendFarewell(nil))[0].Seq() != m.next {
			m.t.Fatal("farewell", r.Drained(), m.cut, r.done, m.next)
		}
		if op > 200 {
			if m.trimmed == m.next {
				clear(m.held)
			}
			if m.trimmed = 0; len(m.held) > 0 {
				m.trimmed = m.next
			}
			r.Trim()
		}
	}
	n := m.bytes
	for _, size := range m.held {
		n += size
	}
	if r.Bytes() != n {
		m.t.Fatalf("%d bytes, want %d", r.Bytes(), n)
	}
}

func (m *receiverModel) data(seq uint64, size, room int) {
	f := wire.Append(nil, wire.Header{Type: wire.Data, Dst: 2, Src: 1, Seq: seq}, make([]byte, size-wire.HeaderSize))
	given := room
	want, isHeld := Stale, m.held[seq] > 0
	switch {
	case m.cut && seq >= m.next && seq-m.next < maxAhead:
		want = Beyond
	case seq == m.next:
		if size > room {
			for _, n := range m.held {
				room += n
			}
			clear(m.held)
			m.starved = true
		}
		if want = Full; size <= room {
			want, m.starved = Accepted, false
			for ok := true; ok; {
				m.inbox = append(m.inbox, m.next)
				m.bytes += size
				m.next++
				size, ok = m.held[m.next]
				delete(m.held, m.next)
			}
		}
	case seq >= m.first && seq < m.next || isHeld:
		want = Duplicate
	case seq > m.next && seq-m.next < maxAhead:
		if want = Full; size <= room/2 && !m.starved {
			want = Held
			m.held[seq] = size
		}
	}
	if v, hole := m.r.Data(f, given); v != want || hole != (v == Held && len(m.held) == 1) {
		m.t.Fatalf("message %d of %d bytes in %d: verdict %d, hole %v, want %d", seq-m.first, len(f), given, v, hole, want)
	}
}

// ack compares an acknowledgement with the model.
func (m *receiverModel) ack() {
	f := frames(m.r.AppendAck(nil, 99))[0]
	a, ranges, err := wire.ParseAck(f.Body(), nil)
	window := uint32(99)
	if m.cut {
		window = 0
	}
	if err != nil || f.Seq()+uint64(a.Received) != m.next || a.Window != window || (len(ranges) > 0) != (len(m.held) > 0) {
		m.t.Fatalf("%v: delivered %d, %+v, %v; next is %d, %d held", err, f.Seq(), a, ranges, m.next, len(m.held))
	}
	n := 0
	for _, r := range ranges {
		for i := range r.N {
			if m.held[m.next+uint64(r.From+i)] == 0 {
				m.t.Fatal("a message is said to be held that is not")
			}
			n++
		}
	}
	if len(ranges) < wire.MaxRanges && n != len(m.held) {
		m.t.Fatalf("%d messages are said to be held, of %d", n, len(m.held))
	}
}
