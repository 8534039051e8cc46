package stream

import (
	"bytes"
	"testing"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

// senderModel is the simplest model of a sender. What is admitted waits until leave, so that messages
// share frames.
type senderModel struct {
	t        *testing.T
	s        *Sender
	now      Time
	bodies   [][]byte // accepted, from first on
	ports    []uint8
	first    uint64
	admitted uint64 // below it everything was admitted
	una      uint64
	bundle   int // how long bundles may be
	ended    bool

	waiting int         // bytes that were admitted and have not left
	from    fifo.Cursor // where they begin
	left    uint64      // below it everything has left, or was acknowledged before it could
	frames  map[uint64]wire.Frame
}

func newSenderModel(t *testing.T) *senderModel {
	m := &senderModel{t: t, s: NewSender(1, 7, 2, 3), now: 1000 * ms, frames: make(map[uint64]wire.Frame)}
	m.s.OnEnd(m.pending)
	m.send(m.s.Start(m.now, nil))
	return m
}

func (m *senderModel) do(op byte, in *input) {
	s := m.s
	m.now += Time(in.byte()) * ms
	was := s.State()
	opened := false
	switch op % 12 {
	case 0, 1, 2:
		if s.State() == Open {
			m.push(op/12%2, int(in.byte())*int(op%12*3+1)) // up to 1,785 bytes
		}
	case 3:
		m.send(s.Ask(m.now, nil))
	case 4:
		m.send(s.Flush(m.now, nil))
	case 5:
		m.send(s.Tick(m.now, nil))
		m.leave()
	case 6:
		m.send(s.Close(m.now, nil))
	case 7:
		b := wire.OpenedBody{SourceIncarnation: in.number(7), SinkIncarnation: 9, First: in.number(first, 1<<63), Window: uint32(in.byte()) << (in.byte() % 24)}
		bundle := []int{0, 50, 300, wire.MaxBundle}[in.byte()%4]
		out := s.Opened(m.now, in.number(3), b, bundle, nil)
		if opened = was == Opening && s.State() == Open; opened {
			m.first, m.admitted, m.left, m.una, m.bundle = b.First, b.First, b.First, b.First, bundle
		}
		m.send(out)
	case 8:
		m.ack(in)
	case 9: // and of any form
		out, _, _ := s.Ack(m.now, in.number(s.una, s.nxt), in.bytes(int(in.byte())), nil)
		m.send(out)
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
		m.leave()
	}
	m.check(opened)
}

// push gives the sender a message, and as many like it as have room before a question is due, 20 at most.
func (m *senderModel) push(port uint8, size int) {
	s := m.s
	room := s.Room(size)
	for range 20 {
		body := bytes.Repeat([]byte{byte(len(m.bodies))}, size)
		m.bodies, m.ports = append(m.bodies, body), append(m.ports, port)
		grown := s.Push(port, body)
		if (grown > 0) != room || grown > wire.HeaderSize+size {
			m.t.Fatalf("room: %v, and a message of %d bytes takes %d", room, size, grown)
		}
		if !room {
			return
		}
		m.admitted++
		if m.waiting == 0 {
			m.from = s.Last(grown)
		}
		m.waiting += grown
		if !s.Room(size) || s.Due() {
			return
		}
	}
}

// ack gives the sender an acknowledgement of the right form.
func (m *senderModel) ack(in *input) {
	s := m.s
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
	m.send(out)
}

// leave sends what was admitted.
func (m *senderModel) leave() {
	if m.waiting > 0 {
		var q fifo.Queue
		m.s.Copy(m.from, m.waiting, &q)
		m.waiting = 0
		for chunk := range q.Chunks() {
			m.sent(chunk)
		}
		q.Clear()
	}
}

// send sends frames behind all that was admitted before them.
func (m *senderModel) send(out []byte) {
	if len(out) > 0 {
		m.leave()
		m.sent(out)
	}
}

// sent checks frames that leave: each message is in one frame, in order, and a frame that leaves again
// has not changed, and has a message that is not known to be delivered.
func (m *senderModel) sent(out []byte) {
	if len(out) > m.size(m.s.base, m.first+uint64(len(m.bodies)))+2*100 {
		m.t.Fatalf("%d bytes at once", len(out))
	}
	for _, f := range frames(out) {
		if f.Src() != 1 || f.Dst() != 2 {
			m.t.Fatal("a frame from or to another node")
		}
		if f.Type() != wire.Data {
			continue
		}
		n := uint64(f.Messages())
		old, again := m.frames[f.Seq()]
		switch {
		case again && !bytes.Equal(old, f):
			m.t.Fatalf("the frame from message %d on was %x and is %x", f.Seq()-m.first, old, f)
		case !again && (f.Seq() < m.left || f.Seq() > max(m.left, m.s.una)):
			m.t.Fatalf("message %d was sent out of turn", f.Seq()-m.first)
		case f.Seq()+n <= m.s.una:
			m.t.Fatalf("message %d was sent again, all is delivered below %d", f.Seq()-m.first, m.s.una-m.first)
		case n > 1 && len(f) > wire.HeaderSize+m.bundle || !f.Sound():
			m.t.Fatalf("a bundle of %d messages and %d bytes, for %d", n, len(f), m.bundle)
		}
		i := f.Seq() - m.first
		for w := wire.Walk(f); w.Next(); i++ {
			if i >= uint64(len(m.bodies)) || !bytes.Equal(m.bodies[i], w.Body) || m.ports[i] != f.Port() || n > 1 && len(w.Body) > wire.MaxBundled {
				m.t.Fatalf("message %d is not what was accepted", i)
			}
		}
		m.frames[f.Seq()] = bytes.Clone(f) // the queue is used again
		m.left = max(m.left, f.Seq()+n)
		m.admitted = max(m.admitted, f.Seq()+n)
	}
}

// size is the number of bytes of messages in frames of their own.
func (m *senderModel) size(from, to uint64) (n int) {
	for i := from - m.first; i < min(to-m.first, uint64(len(m.bodies))); i++ {
		n += wire.HeaderSize + len(m.bodies[i])
	}
	return n
}

// pending checks that what is pending can be read, also at the end.
func (m *senderModel) pending() {
	i := m.s.una - m.first
	for port, body := range m.s.Unacknowledged() {
		if i >= uint64(len(m.bodies)) || m.ports[i] != port || !bytes.Equal(m.bodies[i], body) {
			m.t.Fatalf("pending message %d is not what was accepted", i)
		}
		i++
	}
	if m.first > 0 && i != uint64(len(m.bodies)) {
		m.t.Fatalf("messages are pending up to %d, of %d", i, len(m.bodies))
	}
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
	if s.una < m.una || s.una > m.admitted || s.nxt != m.admitted || s.end != end || s.Pending() != end-s.una {
		m.t.Fatalf("una %d nxt %d end %d; before %d, sent %d, accepted %d", s.una, s.nxt, s.end, m.una, m.admitted, end)
	}
	m.una = s.una
	if m.ended {
		m.waiting = 0
		if n := s.Unknown(); n != m.admitted-s.una && (n != 0 || s.Err() != ErrLeft && s.Pending() > 0) {
			m.t.Fatalf("%d of unknown outcome, %d were sent and not delivered: %v", n, m.admitted-s.una, s.Err())
		}
		if s.Bytes() != 0 || s.Waiting() || s.Err() == nil && s.Pending() > 0 {
			m.t.Fatalf("after its end %d bytes, waiting %v, %v with %d pending", s.Bytes(), s.Waiting(), s.Err(), s.Pending())
		}
		return
	}
	m.pending()
	m.checkStore()
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

// checkStore checks what is kept: the frames of which a message is not known to be delivered.
func (m *senderModel) checkStore() {
	s := m.s
	kept, low := 0, s.una
	for seq, f := range m.frames {
		if seq+uint64(f.Messages()) > s.una {
			kept += len(f)
			low = min(low, seq)
		}
	}
	if m.waiting == 0 && (s.InFlight() != kept || s.base != low) {
		m.t.Fatalf("%d bytes are kept from message %d on, want %d from %d on", s.InFlight(), s.base-m.first, kept, low-m.first)
	}
	if n := m.size(s.base, m.admitted); s.InFlight() > n || m.bundle == 0 && s.InFlight() != n {
		m.t.Fatalf("%d bytes are kept, %d in frames of their own", s.InFlight(), n)
	}
	if n := m.size(m.admitted, m.first+uint64(len(m.bodies))); s.Backlog() != n {
		m.t.Fatalf("a backlog of %d bytes, want %d", s.Backlog(), n)
	}
}
