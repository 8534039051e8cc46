package stream

import (
	"bytes"
	"fmt"

	"github.com/x/ringdht/internal/wire"
)

// ledger knows which messages were accepted and which were handled, and nothing of the frames
// in between. It judges; the first violation stays in err.
type ledger struct {
	err   error
	drawn map[uint64]uint64 // first number to the sink's incarnation that drew it
	logs  map[uint64][]*streamLog
}

// streamLog is one stream from the moment it opened.
type streamLog struct {
	index           int // among the streams of this source
	source          uint64
	inc, gen        uint64
	sinkIncarnation uint64
	first           uint64
	sent            []message
	isOver          bool
	started         int // by the handler
	done            int // by the handler
	back            int // the source knows that from this one on none was handled; 0 if it does not know
	grant           int // the largest window ever granted
	largest         int // frame

	frames  map[uint64]string // that have left, by the number of the first message
	left    uint64            // below it everything has left, or was acknowledged before
	resent  uint64            // messages that left again
	bundled int               // messages that shared a frame
}

type message struct {
	port uint8
	body []byte
}

// delivery is a message that the handler gets.
type delivery struct {
	source, number uint64
	first          uint64 // of its frame
	message
	bytes int // of the inbox
}

func newLedger() *ledger {
	return &ledger{drawn: make(map[uint64]uint64), logs: make(map[uint64][]*streamLog)}
}

func (l *ledger) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

// opened starts the account of a stream.
func (l *ledger) opened(source, inc, gen, first uint64) *streamLog {
	sinkIncarnation, ok := l.drawn[first]
	if !ok {
		l.fail("source %d opened a stream at %d, which no sink drew", source, first)
	}
	s := &streamLog{index: len(l.logs[source]), source: source, inc: inc, gen: gen, sinkIncarnation: sinkIncarnation, first: first}
	for _, old := range l.logs[source] {
		if old.first == first {
			l.fail("source %d opened two streams at %d", source, first)
		}
	}
	l.logs[source] = append(l.logs[source], s)
	return s
}

func (s *streamLog) accepted(number uint64, port uint8, body []byte) error {
	if want := s.first + uint64(len(s.sent)); number != want {
		return fmt.Errorf("a message got number %d, want %d", number, want)
	}
	s.sent = append(s.sent, message{port, bytes.Clone(body)})
	s.largest = max(s.largest, wire.HeaderSize+len(body))
	return nil
}

// leaves notes that a frame leaves the source. It may leave again, and then has not changed. No message
// is in two frames.
func (s *streamLog) leaves(f wire.Frame) error {
	if s == nil {
		return fmt.Errorf("a message left before its stream was open")
	}
	old, again := s.frames[f.Seq()]
	switch {
	case again && old != string(f):
		return fmt.Errorf("the frame from message %d on was %d bytes and is %d bytes now, or has changed", f.Seq()-s.first, len(old), len(f))
	case again:
		s.resent += uint64(f.Messages())
		return nil
	case f.Seq() < s.left:
		return fmt.Errorf("message %d is in two frames", f.Seq()-s.first)
	case len(f) > wire.HeaderSize+wire.MaxBundle && f.Messages() > 1:
		return fmt.Errorf("a bundle of %d bytes", len(f))
	}
	if s.frames == nil {
		s.frames = make(map[uint64]string)
	}
	if n := f.Messages(); n > 1 {
		s.bundled += n
	}
	s.frames[f.Seq()] = string(f)
	s.left = f.Seq() + uint64(f.Messages())
	return nil
}

// ended notes what a source believes at the end of a stream.
func (s *streamLog) ended(x *Sender) {
	s.isOver, s.back = true, int(x.Delivered()+x.Unknown()-s.first)
}

// handle judges one delivery to the handler of an incarnation of the sink. previous is the
// stream of the delivery before, from the same source to the same incarnation.
func (l *ledger) handle(sinkIncarnation uint64, d delivery, previous *streamLog) *streamLog {
	for _, s := range l.logs[d.source] {
		i := d.number - s.first
		if i >= uint64(len(s.sent)) {
			continue
		}
		switch m := s.sent[i]; {
		case s.sinkIncarnation != sinkIncarnation:
			l.fail("incarnation %d of the sink got message %d of a stream with incarnation %d", sinkIncarnation, i, s.sinkIncarnation)
		case s.isOver && int(i) >= s.back:
			l.fail("message %d of stream %d of source %d was delivered after it had come back", i, s.index, s.source)
		case int(i) < s.started:
			l.fail("message %d of stream %d of source %d was delivered twice", i, s.index, s.source)
		case int(i) > s.started:
			l.fail("message %d of stream %d of source %d was delivered before message %d", i, s.index, s.source, s.started)
		case m.port != d.port || !bytes.Equal(m.body, d.body):
			l.fail("message %d of stream %d of source %d was changed", i, s.index, s.source)
		case previous != nil && previous.index > s.index:
			l.fail("stream %d of source %d was delivered after stream %d", s.index, s.source, previous.index)
		}
		s.started++
		return s
	}
	l.fail("source %d never sent number %d", d.source, d.number)
	return nil
}

// check compares a sender's state with the ledger.
func (l *ledger) check(s *streamLog, x *Sender) {
	if x.Accepted() != s.first+uint64(len(s.sent)) {
		l.fail("the sender accepted %d messages, %d were given", x.Accepted()-s.first, len(s.sent))
	}
	if n := x.Delivered() - s.first; n > uint64(s.done) {
		l.fail("%d messages are said to be delivered, the handler is done with %d", n, s.done)
	}
	if x.Pending() != x.Accepted()-x.Delivered() {
		l.fail("%d messages are said to be pending, of %d", x.Pending(), x.Accepted()-x.Delivered())
	}
	if x.Retransmitted() != s.resent {
		l.fail("%d messages are said to have been sent again, %d were", x.Retransmitted(), s.resent)
	}
	if out := x.Bytes() - x.Backlog(); out > max(s.grant, s.largest) {
		l.fail("%d bytes are under way, the largest grant was %d and the largest message %d", out, s.grant, s.largest)
	}
	if s.isOver && s.started > s.back {
		l.fail("%d messages came to the handler, those from %d on are said not to be handled", s.started, s.back)
	}
	if x.State() == Ended && x.Err() == nil && s.done != len(s.sent) {
		l.fail("an orderly end with %d of %d messages handled", s.done, len(s.sent))
	}
}
