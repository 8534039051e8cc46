package stream

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/x/ringdht/internal/wire"
)

// receiverModel is the simplest model of a receiver. Its source is hostile: it puts one message into
// several frames.
type receiverModel struct {
	t        *testing.T
	r        *Receiver
	inc, gen uint64
	next     uint64
	first    uint64
	held     map[uint64]wire.Frame
	overlap  bool      // of what is held, perhaps
	inbox    []message // not taken
	bytes    int       // of those
	taken    int       // and not handled
	starved  bool
	cut      bool
	trimmed  uint64
}

func newReceiverModel(t *testing.T) *receiverModel {
	return &receiverModel{t: t, r: receiver(), inc: 7, gen: 3, first: first, next: first, held: make(map[uint64]wire.Frame)}
}

func (m *receiverModel) do(op byte, in *input) {
	r := m.r
	switch op % 8 {
	case 0, 1, 2:
		m.data(m.frame(in), int(in.byte())*8)
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
		m.take()
		if op > 200 {
			m.batch(in)
		}
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
		m.end(op, in.number(m.next))
	}
	n := m.bytes
	for _, f := range m.held {
		n += len(f)
	}
	if r.Bytes() != n {
		m.t.Fatalf("%d bytes, want %d", r.Bytes(), n)
	}
	if m.overlap = m.overlap && len(m.held) > 0; len(m.held) == 0 && (len(r.held) > 0 || r.heldBytes != 0) {
		m.t.Fatalf("%d frames are held with %d bytes, want none", len(r.held), r.heldBytes)
	}
}

// end closes, cuts or trims the stream.
func (m *receiverModel) end(op byte, seq uint64) {
	r := m.r
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

// frame makes up a frame of messages, in one case of eight with lengths that do not add up.
func (m *receiverModel) frame(in *input) wire.Frame {
	seq := in.number(m.next, m.next, m.first)
	bodies := [][]byte{m.body(in, 1)}
	for range in.byte() % 32 / 8 * (in.byte() % 8) { // up to 21 more
		bodies = append(bodies, m.body(in, 8))
	}
	f := bundle(0, bodies...)
	f.SetSeq(seq)
	if len(bodies) > 1 && in.byte()%8 == 0 {
		f[wire.HeaderSize+1] ^= 1 << (in.byte() % 8) // the count
	}
	return f
}

func (m *receiverModel) body(in *input, part int) []byte {
	b := in.byte()
	return bytes.Repeat([]byte{b}, int(b)/part)
}

// take compares what the handler gets.
func (m *receiverModel) take() {
	got := deliveries(m.r)
	if len(got) != len(m.inbox) || m.r.Pending() {
		m.t.Fatalf("the handler gets %d messages, want %d", len(got), len(m.inbox))
	}
	size := 0
	for i, d := range got {
		if !bytes.Equal(d.body, m.inbox[i].body) {
			m.t.Fatalf("message %d of %d for the handler is %x, want %x", i, len(got), d.body, m.inbox[i].body)
		}
		size += d.bytes
	}
	if size != m.bytes {
		m.t.Fatalf("%d bytes for the handler, want %d", size, m.bytes)
	}
	m.taken += len(m.inbox)
	m.inbox, m.bytes = nil, 0
}

// accept adds a frame to the inbox. Held frames that begin within it go.
func (m *receiverModel) accept(f wire.Frame) {
	for w := wire.Walk(f); w.Next(); {
		m.inbox = append(m.inbox, message{body: bytes.Clone(w.Body)})
		delete(m.held, m.next)
		m.next++
	}
	m.bytes += len(f)
}

// acceptHeld adds the held frames that are the next now.
func (m *receiverModel) acceptHeld() {
	for f, ok := m.held[m.next]; ok; f, ok = m.held[m.next] {
		m.accept(f)
	}
}

func (m *receiverModel) data(f wire.Frame, room int) {
	given, seq, size, n := room, f.Seq(), len(f), uint64(f.Messages())
	want, isHeld := Stale, m.held[seq] != nil
	switch {
	case !f.Sound():
		want = Unsound
	case m.cut && seq >= m.next && seq-m.next < maxAhead:
		want = Beyond
	case seq == m.next:
		if size > room {
			for _, f := range m.held {
				room += len(f)
			}
			clear(m.held)
			m.starved = true
		}
		if want = Full; size <= room {
			want, m.starved = Accepted, false
			m.accept(f)
			m.acceptHeld()
		}
	case seq >= m.first && seq < m.next && seq+n <= m.next || isHeld:
		want = Duplicate
	case seq > m.next && seq-m.next < maxAhead:
		if want = Full; size <= room/2 && !m.starved {
			want = Held
			for at, other := range m.held {
				m.overlap = m.overlap || at < seq+n && seq < at+uint64(other.Messages())
			}
			m.held[seq] = f
		}
	}
	if v, hole := m.r.Data(f, given); v != want || hole != (v == Held && len(m.held) == 1) {
		m.t.Fatalf("message %d and %d more in %d bytes, room for %d: verdict %d, hole %v, want %d", seq-m.first, n-1, len(f), given, v, hole, want)
	}
}

// batch gives the receiver several frames at once.
func (m *receiverModel) batch(in *input) {
	var all []byte
	seq := m.next
	for range in.byte() % 8 {
		f := m.frame(in)
		if in.byte()%4 > 0 {
			f.SetSeq(seq)
		}
		seq += uint64(f.Messages())
		all = append(all, f...)
	}
	room, want := int(in.byte())*16, 0
	if len(m.held) == 0 && !m.cut {
		for _, f := range frames(all) {
			if !f.Sound() || f.Seq() != m.next || want+len(f) > room {
				break
			}
			want += len(f)
			m.accept(f)
			m.starved = false
		}
	}
	if got := m.r.DataBatch(all, room); got != want {
		m.t.Fatalf("%d bytes of a batch were taken, want %d", got, want)
	}
}

// ack compares an acknowledgement with the model. What a source is told whose frames overlap does not
// matter.
func (m *receiverModel) ack() {
	f := frames(m.r.AppendAck(nil, 99))[0]
	a, ranges, err := wire.ParseAck(f.Body(), nil)
	window := uint32(99)
	if m.cut {
		window = 0
	}
	if m.overlap {
		return
	}
	if err != nil || f.Seq()+uint64(a.Received) != m.next || a.Window != window || (len(ranges) > 0) != (len(m.held) > 0) {
		m.t.Fatalf("%v: delivered %d, %+v, %v; next is %d, %d held", err, f.Seq(), a, ranges, m.next, len(m.held))
	}
	said, have, until := 0, 0, uint64(math.MaxUint64)
	for _, r := range ranges {
		said += int(r.N)
		if len(ranges) == wire.MaxRanges {
			until = m.next + uint64(r.From+r.N)
		}
	}
	for seq, f := range m.held {
		if seq >= until {
			continue
		}
		have += f.Messages()
		covered := false
		for _, r := range ranges {
			from := m.next + uint64(r.From)
			covered = covered || from <= seq && seq+uint64(f.Messages()) <= from+uint64(r.N)
		}
		if !covered {
			m.t.Fatalf("message %d is held, and not said to be", seq-m.next)
		}
	}
	if said != have {
		m.t.Fatalf("%d messages are said to be held, of %d", said, have)
	}
}
