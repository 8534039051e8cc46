package ringtest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// churnLedger has what became of each message of TestChurn. A message is its source's serial number
// and its own.
type churnLedger struct {
	mu       sync.Mutex
	sources  map[uint32]*churnSource
	problems []error
}

// churnSource has the messages of one source, by number.
type churnSource struct {
	fate []fate
	last map[uint32]uint32 // by the serial number of the sink: the message handled last, and one
}

// fate is a set of what became of a message.
type fate uint8

const (
	accepted   fate = 1 << iota
	handled         // by a sink's handler
	unknown         // reported: it may have been handled
	notHandled      // reported: it was not handled
)

func newChurnLedger() *churnLedger { return &churnLedger{sources: make(map[uint32]*churnSource)} }

// source returns that of a serial number. It needs mu.
func (l *churnLedger) source(serial uint32) *churnSource {
	s := l.sources[serial]
	if s == nil {
		s = &churnSource{last: make(map[uint32]uint32)}
		l.sources[serial] = s
	}
	return s
}

// send sends the next message of a node. One that Send does not accept must not arrive.
func (l *churnLedger) send(ctx context.Context, n *churnNode, to ringdht.ID) {
	l.mu.Lock()
	s := l.source(n.serial)
	number := uint32(len(s.fate))
	s.fate = append(s.fate, 0)
	l.mu.Unlock()
	body := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, n.serial), number)
	if n.Send(ctx, to, body) == nil {
		l.mu.Lock()
		s.fate[number] |= accepted
		l.mu.Unlock()
	}
}

// handled notes that a sink's handler was given a message.
func (l *churnLedger) handled(sink uint32, body []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	serial, number := parseChurnBody(body)
	s := l.source(serial)
	if s.fate[number]&handled != 0 {
		l.problem("message %d of node %d was handled twice", number, serial)
	}
	if s.last[sink] > number {
		l.problem("message %d of node %d was handled after message %d", number, serial, s.last[sink]-1)
	}
	s.last[sink] = number + 1
	s.fate[number] |= handled
}

// undelivered notes a report of messages that are not known to be delivered.
func (l *churnLedger) undelivered(u status.Undelivered) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if uint64(len(u.Bodies)) != u.Messages {
		l.problem("%d messages to node %d are reported with %d bodies", u.Messages, u.Sink, len(u.Bodies))
	}
	for i, body := range u.Bodies {
		serial, number := parseChurnBody(body)
		how := unknown
		if uint64(len(u.Bodies)-i) <= u.NotHandled {
			how = notHandled
		}
		l.source(serial).fate[number] |= how
	}
}

// closed notes the error with which a node has ended.
func (l *churnLedger) closed(serial uint32, err error) {
	var undelivered *status.UndeliveredError
	switch {
	case err == nil:
	case errors.As(err, &undelivered):
		for _, u := range undelivered.Streams {
			l.undelivered(u)
		}
	default:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.problem("node %d ended: %v", serial, err)
	}
}

func parseChurnBody(body []byte) (serial, number uint32) {
	return binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
}

// check fails the test unless each accepted message was handled once, or was reported, and none was
// handled that was not accepted or was reported as not handled.
func (l *churnLedger) check(t *testing.T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := make(map[fate]int)
	for serial, s := range l.sources {
		for number, f := range s.fate {
			count[f]++
			switch {
			case f == accepted:
				l.problem("message %d of node %d was accepted, and neither handled nor reported", number, serial)
			case f&notHandled != 0 && f&handled != 0:
				l.problem("message %d of node %d was handled, and reported as not handled", number, serial)
			case f&accepted == 0 && f != 0:
				l.problem("message %d of node %d was not accepted, and %b", number, serial, f)
			}
		}
	}
	t.Logf("messages: %d handled, %d reported as not handled, %d of unknown outcome of which %d were handled; %d not accepted",
		count[accepted|handled], count[accepted|notHandled], count[accepted|unknown]+count[accepted|unknown|handled], count[accepted|unknown|handled], count[0])
	for _, err := range l.problems[:min(len(l.problems), 20)] {
		t.Error(err)
	}
	if more := len(l.problems) - 20; more > 0 {
		t.Errorf("and %d more problems", more)
	}
}

// problem notes what should not be. It needs mu.
func (l *churnLedger) problem(format string, args ...any) {
	l.problems = append(l.problems, fmt.Errorf(format, args...))
}
