package stream

import (
	"fmt"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/wire"
)

// State is the state of a sender's stream.
//
//	Opening ──Opened──▶ Open ──Close──▶ Closing ──Closed──▶ Ended
//	   └──refused, no route──────┴──reset, gone, farewell──▶ Ended
type State uint8

const (
	Opening State = iota // the sink was asked; messages have no final numbers yet
	Open
	Closing // idle; the sink was asked to forget the stream
	Ended   // see Err; nil after an orderly close
)

// Sender is the source's half of one stream. Methods that send append whole frames to out and
// return it, as append does.
type Sender struct {
	self, peer  uint64
	incarnation uint64 // incarnation of the source
	gen         uint64 // generation: which of the source's streams to this sink
	service     string // its name, for the sink
	port        uint8  // of the stream

	peerIncarnation  uint64 // incarnation of the sink, 0 before it has answered
	newerIncarnation uint64 // see NewerIncarnation
	state            State
	err              error
	peerLeft         bool   // the sink has left, and said what it has handled
	onEnd            func() // see OnEnd

	// Messages in [una, nxt) were sent and are not known to be delivered; they are in store.
	// Messages in [nxt, end) were accepted beyond the window; they are in backlog. Numbers
	// count from 0 until the sink has told the first.
	first          uint64
	una, nxt, end  uint64
	store, backlog fifo.Queue
	base           uint64 // number of the first message in store: una, or less if una is within a bundle
	bundling

	window   int    // bytes that the sink takes beyond una
	received uint64 // the sink has received everything below
	denied   bool   // while it closes: an answer says less than an earlier one
	flush    uint64 // ask once everything below has been sent

	questions
	recovery
	timing
	liveness

	deliveryTime         Time // see DeliveryTime
	retransmitted, stale uint64
	ranges               []wire.Range // scratch
}

// NewSender returns a stream to be opened by [Sender.Start]. gen must be greater than that of
// any earlier stream of the same incarnation to the same sink.
func NewSender(self, incarnation, peer, gen uint64) *Sender {
	return &Sender{
		self: self, incarnation: incarnation, peer: peer, gen: gen,
		recovery: recovery{cwnd: startCongestion, threshold: maxCongestion},
	}
}

// For makes the stream one for a named service, which has a port of its own. Call it before
// [Sender.Start].
func (s *Sender) For(port uint8, service string) { s.port, s.service = port, service }

// State returns the state of the stream.
func (s *Sender) State() State { return s.state }

// PeerIncarnation returns the incarnation of the sink that opened the stream, 0 before.
func (s *Sender) PeerIncarnation() uint64 { return s.peerIncarnation }

// NewerIncarnation returns the later incarnation of the source that the sink remembers, for
// which it takes nothing from this one. It is 0 if the sink has not said so, or has forgotten it
// and opened the stream. The stream goes on asking; the caller may begin a new incarnation.
func (s *Sender) NewerIncarnation() uint64 { return s.newerIncarnation }

// Err returns why the stream ended. It is nil before the end and after an orderly close.
func (s *Sender) Err() error { return s.err }

// First returns the number of the first message, 0 before the sink has told it.
func (s *Sender) First() uint64 { return s.first }

// Accepted returns the number that the next accepted message will have.
func (s *Sender) Accepted() uint64 { return s.end }

// Delivered returns the number below which every message is known to be delivered.
func (s *Sender) Delivered() uint64 { return s.una }

// Progress returns how many messages were accepted, and how many of them are known to be
// delivered. Unlike the numbers, the counts do not jump when the stream opens.
func (s *Sender) Progress() (accepted, delivered uint64) { return s.end - s.first, s.una - s.first }

// Pending returns how many accepted messages are not known to be delivered.
func (s *Sender) Pending() uint64 { return s.end - s.una }

// Bytes returns the memory of the messages, in bytes of frames.
func (s *Sender) Bytes() int { return s.store.Size() + s.backlog.Size() }

// Backlog returns the part of [Sender.Bytes] that the window has not admitted yet.
func (s *Sender) Backlog() int { return s.backlog.Size() }

// Retransmitted returns how many messages were sent again, and Stale how many answers were not of
// this stream, or not possible. Answers of this stream that say nothing new are dropped as well, and
// count nowhere: others have overtaken them, or a question was repeated.
func (s *Sender) Retransmitted() uint64 { return s.retransmitted }
func (s *Sender) Stale() uint64         { return s.stale }

// InFlight returns how many bytes of frames were sent and are not known to be delivered, and
// Window how many the sink allows.
func (s *Sender) InFlight() int { return s.store.Size() }
func (s *Sender) Window() int   { return s.window }

// DeliveryTime returns how long the delivery took that the latest answer reported, from the
// question to the answer, or 0 if it was not measured. The next call returns 0.
func (s *Sender) DeliveryTime() Time {
	took := s.deliveryTime
	s.deliveryTime = 0
	return took
}

// Start asks the sink to open the stream.
func (s *Sender) Start(now Time, out []byte) []byte {
	s.latest.at = now
	s.setDeadline(now + s.rto())
	return s.appendOpen(out)
}

// Opened handles the sink's grant. bundle is how long the bodies of bundles may be: at most
// [wire.MaxBundle], and 0 if the sink takes none.
func (s *Sender) Opened(now Time, gen uint64, b wire.OpenedBody, bundle int, out []byte) []byte {
	ours := gen == s.gen && b.SourceIncarnation == s.incarnation
	if ours && s.state != Opening && b.First == s.first {
		return out // the answer to a repeated question
	}
	if s.state != Opening || !ours || b.First > maxFirst {
		s.stale++
		return out
	}
	s.state, s.peerIncarnation, s.newerIncarnation = Open, b.SinkIncarnation, 0
	s.first, s.una, s.nxt, s.end, s.base = b.First, b.First, b.First, b.First+s.end, b.First
	s.received, s.latest.seq = b.First, b.First
	s.window = int(min(b.Window, MaxWindow))
	s.most = uint16(bundle)
	s.liveness = liveness{} // the path works
	if s.backoff == 0 {     // Karn's rule: after a repeat it is not known which one was answered
		s.sample(now - s.latest.at)
	}
	s.backoff = 0
	s.setDeadline(0)
	if s.flush > 0 {
		s.flush += b.First
	}
	return s.askFlush(now, s.release(out))
}

// Refused handles the sink's refusal. Accepted messages are not given up: the sender asks
// again, ever more slowly, until the sink has room for the stream. A sink that is leaving will
// have none, and one without the service handles none of them.
func (s *Sender) Refused(gen uint64, b wire.RefuseBody) {
	if s.state != Opening || gen != s.gen || b.SourceIncarnation != s.incarnation {
		s.stale++
		return
	}
	s.liveness = liveness{} // the path works
	switch {
	case b.Reason == wire.RefuseLeaving:
		s.finish(ErrLeft)
	case b.Reason == wire.RefuseService:
		s.finish(fmt.Errorf("%w: node %d does not handle the service %q: check the name, and that the node registers a handler for it before it joins", ErrNoService, s.peer, s.service))
	case b.Reason == wire.RefuseOlder && b.Remembered <= s.incarnation: // invalid: not later
		s.stale++
	case b.Reason == wire.RefuseOlder:
		s.newerIncarnation = b.Remembered // asking again changes nothing before the sink forgets
	case s.end == s.una:
		s.finish(fmt.Errorf("%w: %v", ErrRefused, b.Reason))
	}
}

// Room reports whether a message with a body of n bytes would be sent at once. With nothing
// outstanding there is room for one message, however small the window: a window divided among
// a thousand sources may be smaller than a message.
func (s *Sender) Room(n int) bool {
	if s.state != Open || s.backlog.Size() > 0 {
		return false
	}
	out := s.store.Size()
	return out == 0 || out+wire.HeaderSize+n <= min(s.window, s.cwnd)
}

// Push accepts a message on a stream that is open or opening. If there is room, it is
// [Sender.Admit]. Otherwise the message joins the backlog, is sent when the window allows, and the
// result is 0.
func (s *Sender) Push(port uint8, body []byte) (n int) {
	if s.Room(len(body)) {
		return s.Admit(port, body)
	}
	f := s.backlog.Reserve(wire.HeaderSize + len(body))
	wire.Header{Type: wire.Data, Port: port, Dst: s.peer, Src: s.self}.Put(f, len(body)) // no number yet
	copy(f[wire.HeaderSize:], body)
	s.end++
	return 0
}

// Admit is [Sender.Push] for callers that have checked [Sender.Room]. It returns by how many bytes
// the messages to send have grown, for [Sender.Last].
func (s *Sender) Admit(port uint8, body []byte) (n int) {
	n = s.write(port, body)
	s.end++
	s.sinceAsked += n
	return n
}

// Last returns the place of the last n admitted bytes, for [Sender.Copy]. They must begin with a
// frame.
func (s *Sender) Last(n int) fifo.Cursor { return s.store.Last(n) }

// Copy appends n bytes of consecutive admitted frames, from a place on, to a queue. It leaves
// out those that are known to be delivered. No message joins these frames any more.
func (s *Sender) Copy(from fifo.Cursor, n int, to *fifo.Queue) {
	s.bundling.end()
	s.store.Copy(from, n, to)
}

// Due reports whether it is time to [Sender.AskAhead]. No question is unanswered, and either
// half of the window was sent since the last one, or the timeout would bring one soon.
//
// Half a window: the sink acknowledges by itself after each quarter of its window, but the
// path may take less than that. A source that asks only when it has run out of room has to
// wait for the answer.
//
// Before the timeout: timeouts come at ticks. All streams of a node that send now and then
// would ask at the same tick, each question and each answer alone on its way, and would hold
// up everything else for milliseconds. A question that leaves with a message costs no write
// and no wake-up, and questions are spread like the messages.
//
// The question goes before the message, because the sink is done with the earlier ones. A
// question behind the message would be answered twice: when it arrives, and when the message
// is handled.
func (s *Sender) Due() bool {
	return !s.unanswered && (s.askSoon || s.sinceAsked > min(s.window, s.cwnd)/2)
}

// Ask makes sure that the sink tells when it has room for more: it asks about everything sent
// so far, at once or when the question under way has been answered. It is for a source that
// has run out of room.
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

// AskAhead is [Sender.Ask] just before the next message.
func (s *Sender) AskAhead(now Time, out []byte) []byte {
	out = s.Ask(now, out)
	s.askedAhead = true
	return out
}

// Flush asks the sink to acknowledge when everything accepted so far has been handled.
func (s *Sender) Flush(now Time, out []byte) []byte {
	switch s.state {
	case Opening:
		s.flush = s.end // Opened will ask
	case Open:
		s.flush = s.end
		out = s.askFlush(now, out)
	}
	return out
}

// askFlush asks for the flush, once. The sink answers twice: at once, and when the handler is
// done with all that was asked about. To ask again before that would only keep both ends busy.
func (s *Sender) askFlush(now Time, out []byte) []byte {
	if s.flush > s.una && s.nxt >= s.flush && s.latest.seq < s.flush {
		return s.sync(now, out)
	}
	return out
}

// sync asks about everything sent so far.
func (s *Sender) sync(now Time, out []byte) []byte {
	s.bundling.end() // a question is about whole frames
	s.ask(now, s.nxt, s.una, s.received)
	s.setDeadline(now + s.timeout())
	return s.appendFrame(out, wire.Sync, s.nxt, wire.AppendRound(nil, s.latest.round))
}

// Ack handles an acknowledgement. progress is true if more messages are known to be delivered
// now, or the window has grown.
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
	if s.isOurs(delivered, received, farthest) && s.contradicts(a.Round, delivered, received) {
		s.contradicted()
		return out, false, nil
	}
	// Delivered and received only grow. An answer with smaller ones is older than the last,
	// and has nothing new: the sink's handler and its reader answer each by itself.
	if s.state != Open && s.state != Closing || delivered < s.una || delivered > s.nxt || // not received > nxt alone: the sum wraps
		received < s.received ||
		received > s.nxt || farthest > s.nxt {
		if s.known(delivered, received, farthest) {
			s.denied = s.state == Closing
			s.heard(now, false)
		} else {
			s.stale++
		}
		return out, false, nil
	}
	window := int(min(a.Window, MaxWindow))
	progress = delivered > s.una || window > s.window
	fresh := delivered > s.una || received > s.received
	freed := s.store.Size()
	s.forget(delivered)
	freed -= s.store.Size()
	s.deliveryTime = s.delivered(delivered, now)
	s.window = window
	paused := s.resendAt > 0
	s.heard(now, fresh)
	if fresh {
		s.received = received
		s.backoff = 0
		s.setDeadline(now + s.rto())
		s.vainResends, s.resendAt = 0, 0
		s.grow(freed)
	}
	if q, ok := s.answer(a.Round); ok {
		if q.round == a.Round {
			s.sample(now - q.at)
		}
		if out = s.resend(now, q.seq, ranges, out); s.state == Ended {
			return out, false, nil
		}
	}
	if s.una >= s.latest.seq {
		s.unanswered = false // its answer is known already
	}
	out = s.release(out)
	switch {
	case s.una == s.nxt:
		s.setDeadline(0)
		s.liveness = liveness{}
	case s.unanswered || s.resendAt > 0:
		// The answer or a timeout brings the next question.
	case paused || len(ranges) > 0:
		// There is a hole, or the sink may have room again: ask what it has.
		out = s.sync(now, out)
	case s.backlog.Size() > 0 && s.latest.seq < s.nxt:
		out = s.sync(now, out)
	default:
		out = s.askFlush(now, out)
	}
	return out, progress, nil
}

// release sends the part of the backlog that the window admits now, in frames of their own: no message
// may join the latest frame when it is called.
func (s *Sender) release(out []byte) []byte {
	var from fifo.Cursor
	n := 0
	for s.backlog.Size() > 0 {
		f, _ := wire.Next(s.backlog.Front())
		if held := s.store.Size(); held > 0 && held+len(f) > min(s.window, s.cwnd) {
			break
		}
		more := s.write(f.Port(), f.Body())
		if n == 0 {
			from = s.store.Last(more)
		}
		n += more
		s.backlog.Discard(len(f))
	}
	if n == 0 {
		return out
	}
	var released fifo.Queue
	s.Copy(from, n, &released)
	for chunk := range released.Chunks() {
		out = append(out, chunk...)
	}
	released.Clear()
	return out
}

func (s *Sender) appendOpen(out []byte) []byte {
	return s.appendFrame(out, wire.Open, s.gen, wire.OpenBody{Incarnation: s.incarnation, Service: s.service}.Append(nil))
}

func (s *Sender) appendFrame(out []byte, t wire.Type, seq uint64, body []byte) []byte {
	return wire.Append(out, wire.Header{Type: t, Port: s.port, Dst: s.peer, Src: s.self, Seq: seq}, body)
}
