package stream

import (
	"fmt"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

// State is where a sender's stream stands.
//
//	Opening ──Opened──▶ Open ──Close──▶ Closing ──Closed──▶ Ended
//	   └──refused, no route──────┴──reset, gone, farewell──▶ Ended
type State uint8

const (
	Opening State = iota // the sink was asked, messages cannot be numbered yet
	Open
	Closing // idle; the sink was asked to forget it
	Ended   // Err says why; nil after an orderly close
)

// Sender is the source's half of one stream. Methods that have something to send
// append whole frames to out and return it, as append does.
type Sender struct {
	self, peer  uint64
	incarnation uint64 // incarnation of the source
	gen         uint64 // which of the source's streams to this sink

	peerIncarnation  uint64 // incarnation of the sink, once it has answered
	newerIncarnation uint64 // see Outlived
	state            State
	err              error
	peerLeft         bool   // the sink has left, and said how far it came
	onEnd            func() // see OnEnd

	// Messages [una, nxt) were sent and are not known to be delivered; they are
	// in store. Messages [nxt, end) were accepted beyond the window and wait in
	// backlog. Until the sink says where numbers start they count from 0.
	first          uint64
	una, nxt, end  uint64
	store, backlog fifo.Queue

	window   int    // bytes the sink takes beyond una
	received uint64 // the farthest the sink is known to have received
	flush    uint64 // ask as soon as everything below has been sent

	questions
	recovery
	timing

	deliveryTime         Time // see Took
	retransmitted, stale uint64
	ranges               []wire.Range // scratch
}

// NewSender returns a stream that is about to open. gen must be greater than
// that of any earlier stream of the same life to the same sink.
func NewSender(self, incarnation, peer, gen uint64) *Sender {
	return &Sender{
		self: self, incarnation: incarnation, peer: peer, gen: gen,
		recovery: recovery{cwnd: startCongestion, threshold: maxCongestion},
	}
}

// State returns where the stream stands.
func (s *Sender) State() State { return s.state }

// PeerLife is the incarnation of the sink that opened the stream, 0 before it did.
func (s *Sender) PeerLife() uint64 { return s.peerIncarnation }

// NewerIncarnation is the later life of the source that the sink remembers, so that it takes nothing
// from this one; 0 if it has not said so, or has forgotten it and opened the stream. The stream goes on asking: what can be done about
// it, a new life, is not the stream's affair.
func (s *Sender) NewerIncarnation() uint64 { return s.newerIncarnation }

// Err says why the stream ended, nil while it stands or after an orderly close.
func (s *Sender) Err() error { return s.err }

// Accepted is the number behind the last message accepted.
func (s *Sender) Accepted() uint64 { return s.end }

// Delivered is the number below which every message is known to be delivered.
func (s *Sender) Delivered() uint64 { return s.una }

// Progress is how many messages were accepted, and how many of them are known to be
// delivered. In contrast to the numbers it does not jump when the stream opens.
func (s *Sender) Progress() (accepted, delivered uint64) { return s.end - s.first, s.una - s.first }

// Pending is how many accepted messages are not known to be delivered.
func (s *Sender) Pending() uint64 { return s.end - s.una }

// Bytes is the memory the messages take, in bytes of frames.
func (s *Sender) Bytes() int { return s.store.Size() + s.backlog.Size() }

// Backlog is the part of [Sender.Bytes] that the window did not admit yet.
func (s *Sender) Backlog() int { return s.backlog.Size() }

// Retransmitted counts messages sent again; Stale counts answers that belong to
// another life or an earlier question.
func (s *Sender) Retransmitted() uint64 { return s.retransmitted }
func (s *Sender) Stale() uint64         { return s.stale }

// InFlight is how many bytes of frames were sent and are not known to be delivered, and
// Window how many the sink lets be.
func (s *Sender) InFlight() int { return s.store.Size() }
func (s *Sender) Window() int   { return s.window }

// DeliveryTime is how long the delivery took that the latest answer has told of, from the
// question to the answer, or 0 if that was not measured. The next call returns 0.
func (s *Sender) DeliveryTime() Time {
	took := s.deliveryTime
	s.deliveryTime = 0
	return took
}

// Start asks the sink to open the stream.
func (s *Sender) Start(now Time, out []byte) []byte {
	s.latest.at = now
	s.setDeadline(now + s.rto())
	return s.appendFrame(out, wire.Open, s.gen, wire.OpenBody{Incarnation: s.incarnation}.Append(nil))
}

// Opened takes the sink's grant.
func (s *Sender) Opened(now Time, gen uint64, b wire.OpenedBody, out []byte) []byte {
	if s.state != Opening || gen != s.gen || b.SourceIncarnation != s.incarnation || b.First > maxFirst {
		s.stale++
		return out
	}
	s.state, s.peerIncarnation, s.newerIncarnation = Open, b.SinkIncarnation, 0
	s.first, s.una, s.nxt, s.end = b.First, b.First, b.First, b.First+s.end
	s.received, s.latest.seq = b.First, b.First
	s.window = int(min(b.Window, MaxWindow))
	if s.backoff == 0 { // Karn's rule: after a repeat nobody knows which one was answered
		s.sample(now - s.latest.at)
	}
	s.backoff = 0
	s.setDeadline(0)
	for early := range s.backlog.Chunks() {
		for len(early) > 0 {
			var f wire.Frame
			f, early = wire.Next(early)
			f.SetSeq(f.Seq() + b.First)
		}
	}
	if s.flush > 0 {
		s.flush += b.First
	}
	return s.askFlush(now, s.release(out))
}

// Refused takes the sink's refusal. What was accepted already is not given up for
// it: the sink is asked again, ever more slowly, until it has room for the stream. One that
// leaves will not have.
func (s *Sender) Refused(gen uint64, b wire.RefuseBody) {
	if s.state != Opening || gen != s.gen || b.SourceIncarnation != s.incarnation {
		s.stale++
		return
	}
	switch {
	case b.Reason == wire.RefuseLeaving:
		s.finish(ErrLeft)
	case b.Reason == wire.RefuseOlder && b.Remembered <= s.incarnation: // makes no sense
		s.stale++
	case b.Reason == wire.RefuseOlder:
		s.newerIncarnation = b.Remembered // asking again changes nothing before the sink forgets
	case s.end == s.una:
		s.finish(fmt.Errorf("%w: %v", ErrRefused, b.Reason))
	}
}

// Room says whether a message with a body of n bytes would be sent at once. With
// nothing outstanding one message always is, however small the window: a window
// shared among a thousand sources may be smaller than a message.
func (s *Sender) Room(n int) bool {
	if s.state != Open || s.backlog.Size() > 0 {
		return false
	}
	out := s.store.Size()
	return out == 0 || out+wire.HeaderSize+n <= min(s.window, s.cwnd)
}

// Allowance is how many bytes of frames may be admitted one after the other before there
// has to be another look whether there is [Sender.Room], and whether it is [Sender.Due].
func (s *Sender) Allowance() int {
	if s.state != Open || s.backlog.Size() > 0 || s.askSoon {
		return 0
	}
	most := min(s.window, s.cwnd)
	n := most - s.store.Size()
	if !s.unanswered {
		n = min(n, most/2-s.sinceAsked)
	}
	return max(0, n)
}

// Push accepts a message on a stream that is open or opening. If there is room it
// returns the frame to be sent, valid until the next call; otherwise the message
// joins the backlog and is sent when the window allows.
func (s *Sender) Push(port uint8, body []byte) wire.Frame {
	if !s.Room(len(body)) {
		s.fill(s.backlog.Reserve(wire.HeaderSize+len(body)), port, body)
		return nil
	}
	return s.Admit(port, body)
}

// Admit is [Sender.Push] for who has seen that there is [Sender.Room].
func (s *Sender) Admit(port uint8, body []byte) wire.Frame {
	f := wire.Frame(s.store.ReserveFrame(wire.HeaderSize + len(body)))
	s.fill(f, port, body)
	s.nxt++
	s.sinceAsked += len(f)
	return f
}

// Last is the place of the message that was admitted last, whose frame has n bytes, for
// [Sender.View].
func (s *Sender) Last(n int) fifo.Cursor { return s.store.Last(n) }

// View appends n bytes of frames that were admitted, one behind the other from a place
// on, to a queue: all of them that are not known to be delivered. They are not copied, and
// must not be changed.
func (s *Sender) View(from fifo.Cursor, n int, to *fifo.Queue) { s.store.View(from, n, to) }

// Due says that it is time to [Sender.AskAhead]: half of what may be outstanding was sent
// since the last question, or the clock would bring one soon, and none is unanswered. A
// sink speaks up by itself after a quarter of the window that it grants, but the path may
// take less than that, and who asks only when he has run out of room waits for the answer.
//
// What the clock brings comes at a tick, for all streams of a node that send now and then
// at the same one: each question alone on its way, and its answer, which holds up
// everything else for milliseconds. One that leaves with a message costs no write and
// nobody's waking up, and those of many streams are spread as their messages are. It goes
// before the message, since the sink is done with what went before: one that followed it
// would be answered twice, when it arrives and when the message is handled.
func (s *Sender) Due() bool {
	return !s.unanswered && (s.askSoon || s.sinceAsked > min(s.window, s.cwnd)/2)
}

func (s *Sender) fill(f wire.Frame, port uint8, body []byte) {
	wire.Header{Type: wire.Data, Port: port, Dst: s.peer, Src: s.self, Seq: s.end}.Put(f, len(body))
	copy(f[wire.HeaderSize:], body)
	s.end++
}

// Ask makes sure that the sink says when it has room for more: that a question
// is under way that covers all that was sent, or will be as soon as the one under
// way is answered. It is for a source that has run out of room.
func (s *Sender) Ask(now Time, out []byte) []byte {
	if s.state != Open {
		return out
	}
	s.flush = max(s.flush, s.nxt)
	if s.unanswered {
		return out
	}
	return s.askFlush(now, out)
}

// AskAhead is [Sender.Ask] right before the next message.
func (s *Sender) AskAhead(now Time, out []byte) []byte {
	out = s.Ask(now, out)
	s.askedAhead = true
	return out
}

// Flush asks the sink to say when everything accepted so far is delivered.
func (s *Sender) Flush(now Time, out []byte) []byte {
	switch s.state {
	case Opening:
		s.flush = s.end // asked when it has opened
	case Open:
		s.flush = s.end
		out = s.askFlush(now, out)
	}
	return out
}

// askFlush asks once: the sink answers at once and again when it is done with all
// that was asked for, so to ask again before that would only keep both ends busy.
func (s *Sender) askFlush(now Time, out []byte) []byte {
	if s.flush > s.una && s.nxt >= s.flush && s.latest.seq < s.flush {
		return s.sync(now, out)
	}
	return out
}

func (s *Sender) sync(now Time, out []byte) []byte {
	s.ask(s.nxt, now)
	s.setDeadline(now + s.timeout())
	return s.appendFrame(out, wire.Sync, s.nxt, wire.AppendRound(nil, s.latest.round))
}

// Ack takes an acknowledgement. It reports whether anything more is now known to
// be delivered, or there is more room.
func (s *Sender) Ack(now Time, delivered uint64, b []byte, out []byte) (_ []byte, progress bool, err error) {
	a, ranges, err := wire.ParseAck(b, s.ranges[:0])
	s.ranges = ranges
	if err != nil {
		return out, false, err
	}
	received := delivered + uint64(a.Received)
	farthest := received
	if n := len(ranges); n > 0 {
		farthest += uint64(ranges[n-1].From) + uint64(ranges[n-1].N)
	}
	// What the sink is done with and has received only grows, so an answer that
	// knows of less than was known before is older, and there is nothing in it.
	if s.state != Open && s.state != Closing || delivered < s.una || delivered > s.nxt || // not received > nxt alone: the sum wraps
		received < s.received ||
		received > s.nxt || farthest > s.nxt {
		s.stale++
		return out, false, nil
	}
	acked := s.store.Size()
	s.store.DiscardFrames(int(delivered - s.una))
	s.una = delivered
	s.deliveryTime = s.delivered(delivered, now)
	acked -= s.store.Size()
	window := int(min(a.Window, MaxWindow))
	progress = acked > 0 || window > s.window
	s.window = window
	paused := s.resendAt > 0
	if acked > 0 || received > s.received {
		s.received = received
		s.backoff = 0
		s.setDeadline(now + s.rto())
		s.vainResends, s.resendAt = 0, 0
		s.grow(acked)
	}
	if q, ok := s.answer(a.Round); ok {
		if q.round == a.Round {
			s.sample(now - q.at)
		}
		out = s.resend(now, q.seq, ranges, out)
	}
	if s.una >= s.latest.seq {
		s.unanswered = false // whatever it would say is known
	}
	out = s.release(out)
	switch {
	case s.una == s.nxt:
		s.setDeadline(0)
	case s.unanswered || s.resendAt > 0:
		// The answer, or the clock, brings the next question.
	case paused || len(ranges) > 0:
		// There is a hole, or the sink may have room again: ask what is missing.
		out = s.sync(now, out)
	case s.backlog.Size() > 0 && s.latest.seq < s.nxt:
		out = s.sync(now, out)
	default:
		out = s.askFlush(now, out)
	}
	return out, progress, nil
}

// release sends what the window now admits of the backlog.
func (s *Sender) release(out []byte) []byte {
	for s.backlog.Size() > 0 {
		f, _ := wire.Next(s.backlog.Front())
		if n := s.store.Size(); n > 0 && n+len(f) > min(s.window, s.cwnd) {
			break
		}
		copy(s.store.ReserveFrame(len(f)), f)
		out = append(out, f...)
		s.backlog.Discard(len(f))
		s.nxt++
	}
	return out
}

func (s *Sender) appendFrame(out []byte, t wire.Type, seq uint64, body []byte) []byte {
	return wire.Append(out, wire.Header{Type: t, Dst: s.peer, Src: s.self, Seq: seq}, body)
}
