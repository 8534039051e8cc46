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
}

type message struct {
	port uint8
	body []byte
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

// ended notes what a source believes at the end of a stream.
func (s *streamLog) ended(x *Sender) {
	s.isOver, s.back = true, int(x.Delivered()+x.Unknown()-s.first)
}

// handle judges one delivery of frame f to the handler of an incarnation of the sink. previous is the
// stream of the delivery before, from the same source to the same incarnation.
func (l *ledger) handle(sinkIncarnation uint64, f wire.Frame, seq uint64, body []byte, previous *streamLog) *streamLog {
	for _, s := range l.logs[f.Src()] {
		i := seq - s.first
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
		case m.port != f.Port() || !bytes.Equal(m.body, body):
			l.fail("message %d of stream %d of source %d was changed", i, s.index, s.source)
		case previous != nil && previous.index > s.index:
			l.fail("stream %d of source %d was delivered after stream %d", s.index, s.source, previous.index)
		}
		s.started++
		return s
	}
	l.fail("source %d never sent number %d", f.Src(), seq)
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
