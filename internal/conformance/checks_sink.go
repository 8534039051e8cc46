package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/wire"
)

// run is the traffic run of the checks, and runPort the port of its messages.
const (
	run     = 5
	runPort = 128 + run
)

// source is a stream from node A to the node under test.
type source struct {
	j     *joined
	a     *peer
	conn  net.Conn
	first uint64
	round uint32

	bundles bool // the sink takes them
}

const generation = 77

// streaming opens a stream from A.
func (w *world) streaming(then func(s *source) error) error {
	j, a, _, _, err := w.inRing(true)
	if err != nil {
		return err
	}
	conn, err := j.link(a)
	if err != nil {
		return err
	}
	s := &source{j: j, a: a, conn: conn}
	o, err := s.open(a.Incarnation, generation)
	if err != nil {
		return err
	}
	s.first = o.First
	return then(s)
}

// open sends Open and returns the answer.
func (s *source) open(inc, gen uint64) (o wire.OpenedBody, err error) {
	s.conn.Write(frame(wire.Open, self.ID, s.a.ID, gen, string(wire.OpenBody{Incarnation: inc}.Append(nil))))
	f, _, err := s.a.next(wire.Opened)
	if err == nil {
		o, err = wire.ParseOpened(f.Body())
		s.bundles = f[7]&bundle != 0
	}
	if err == nil && (f.Seq() != gen || f.Dst() != s.a.ID || f.Src() != self.ID || o.SourceIncarnation != inc || o.SinkIncarnation != self.Incarnation || o.First < 1 || o.First > 1<<62) {
		err = fmt.Errorf("the Opened is %x: %+v", f, o)
	}
	return o, err
}

// data sends messages by their place in the stream, each with its place as value.
func (s *source) data(places ...uint64) {
	for _, n := range places {
		s.conn.Write(s.message(n))
	}
}

// message is one message, by its place in the stream, which is its value.
func (s *source) message(place uint64) wire.Frame {
	var body [8]byte
	binary.BigEndian.PutUint32(body[:], uint32(place))
	f := frame(wire.Data, self.ID, s.a.ID, s.first+place, string(body[:]))
	f[6] = runPort
	return f
}

// sync asks, and waits for the Ack with done, which must come. It returns the first Ack of the round.
func (s *source) sync(sent, done uint64) (first wire.AckBody, ranges []wire.Range, err error) {
	s.round++
	s.conn.Write(frame(wire.Sync, self.ID, s.a.ID, s.first+sent, string(wire.AppendRound(nil, s.round))))
	for n := 0; ; n++ {
		f, _, err := s.a.next(wire.Ack)
		if err != nil {
			return first, ranges, fmt.Errorf("%d messages shall be handled: %w", done, err)
		}
		ack, held, err := wire.ParseAck(f.Body(), nil)
		if err != nil {
			return first, ranges, err
		}
		if ack.Round != s.round { // of an earlier one
			continue
		}
		if first.Round == 0 {
			first, ranges = ack, held
		}
		if f.Seq() > s.first+done || f.Seq() < s.first {
			return first, ranges, fmt.Errorf("the Ack says that all below message %d is handled, %d were sent whole", int64(f.Seq()-s.first), done)
		}
		if f.Seq() == s.first+done {
			return first, ranges, nil
		}
	}
}

// received asks for the summary of the run.
func (s *source) received(n, sum int64) error {
	if !s.j.reg.Traffic {
		return nil
	}
	if err := s.j.m.send(control.TypeCollect, control.Collect{Run: run}); err != nil {
		return err
	}
	got, err := next[control.Summary](s.j.m, control.TypeSummary)
	if err == nil && (got.Run != run || got.Received != n || got.SumReceived != sum) {
		err = fmt.Errorf("the node counts %d messages with the sum %d, sent were %d with %d", got.Received, got.SumReceived, n, sum)
	}
	return err
}

var sinkChecks = []check{
	{"R70", true, "a repeated Open gets the same first number; a late one gets no answer", func(w *world) error {
		return w.streaming(func(s *source) error {
			again, err := s.open(s.a.Incarnation, generation)
			if err == nil && again.First != s.first {
				err = errors.New("the first number of the repeated Open differs")
			}
			s.conn.Write(frame(wire.Open, self.ID, s.a.ID, generation-1, string(wire.OpenBody{Incarnation: s.a.Incarnation}.Append(nil))))
			s.conn.Write(frame(wire.Sync, self.ID, s.a.ID, s.first, "\x00\x00\x00\x01"))
			_, before, err2 := s.a.next(wire.Ack)
			if len(before) > 0 {
				err2 = fmt.Errorf("a late Open is answered with %x", before)
			}
			return errors.Join(err, err2)
		})
	}},
	{"R71", true, "the first number is random: a new stream has another", func(w *world) error {
		return w.streaming(func(s *source) error {
			o, err := s.open(s.a.Incarnation, generation+1)
			if err == nil && o.First == s.first {
				err = errors.New("two streams have the same first number")
			}
			return err
		})
	}},
	{"R72", true, "messages in order are handled once each, and acknowledged", func(w *world) error {
		return w.streaming(func(s *source) error {
			s.data(0, 1, 2, 3, 4)
			if _, _, err := s.sync(5, 5); err != nil {
				return err
			}
			return s.received(5, 10)
		})
	}},
	{"R73", true, "a Sync before the data is answered at once, and again when all is handled", func(w *world) error {
		return w.streaming(func(s *source) error {
			s.conn.Write(frame(wire.Sync, self.ID, s.a.ID, s.first+2, string(wire.AppendRound(nil, 1))))
			f, _, err := s.a.next(wire.Ack)
			if err != nil {
				return err
			}
			if f.Seq() != s.first {
				return fmt.Errorf("the Ack is %x", f)
			}
			s.data(0, 1)
			for f.Seq() != s.first+2 {
				if f, _, err = s.a.next(wire.Ack); err != nil {
					return err
				}
			}
			return nil
		})
	}},
	{"R74", true, "a frame of a stream that is not there, or with a number of none, is answered with Reset", func(w *world) error {
		return w.streaming(func(s *source) error {
			for _, seq := range []uint64{s.first - 1, s.first + 1<<21, s.first ^ 1<<40} {
				s.conn.Write(frame(wire.Sync, self.ID, s.a.ID, seq, "\x00\x00\x00\x01"))
				if f, _, err := s.a.next(wire.Reset); err != nil || f.Seq() != seq {
					return errors.Join(err, fmt.Errorf("the Reset is %x", f))
				}
			}
			_, _, err := s.sync(0, 0) // the stream stays
			return err
		})
	}},
	{"R75", true, "copies are dropped", func(w *world) error {
		return w.streaming(func(s *source) error {
			s.data(0, 0, 1, 0, 1, 1, 2, 0)
			if _, _, err := s.sync(3, 3); err != nil {
				return err
			}
			s.data(0, 1, 2)
			if _, _, err := s.sync(3, 3); err != nil {
				return err
			}
			return s.received(3, 3)
		})
	}},
	{"R72", true, "messages out of order are handled in order once the hole is filled", func(w *world) error {
		return w.streaming(func(s *source) error {
			s.data(3, 1, 2)
			ack, held, err := s.sync(4, 0)
			if err != nil {
				return err
			}
			if ack.Received != 0 {
				return fmt.Errorf("received is %d, and message 0 has not been sent", ack.Received)
			}
			next := uint32(0)
			for _, r := range held {
				if r.From <= next || r.N == 0 || r.From+r.N > 4 {
					return fmt.Errorf("the ranges are %v", held)
				}
				next = r.From + r.N
			}
			s.data(0, 1, 2, 3) // also what it holds
			if _, _, err := s.sync(4, 4); err != nil {
				return err
			}
			return s.received(4, 6)
		})
	}},
	{"R85", true, "done + received never goes back, with holes, copies and old rounds", (*world).neverGoesBack},
	{"R80", true, "Close is answered with Closed, also when the stream is gone; then Data gets a Reset", func(w *world) error {
		return w.streaming(func(s *source) error {
			s.data(0)
			if _, _, err := s.sync(1, 1); err != nil {
				return err
			}
			for range 2 {
				s.conn.Write(frame(wire.Close, self.ID, s.a.ID, s.first+1, ""))
				if f, _, err := s.a.next(wire.Closed); err != nil || f.Seq() != s.first+1 {
					return errors.Join(err, fmt.Errorf("the Closed is %x", f))
				}
			}
			s.data(1)
			_, _, err := s.a.next(wire.Reset)
			return err
		})
	}},
	{"R80", true, "Close with messages missing is answered with Ack", func(w *world) error {
		return w.streaming(func(s *source) error {
			s.data(0)
			s.conn.Write(frame(wire.Close, self.ID, s.a.ID, s.first+2, ""))
			_, before, err := s.a.next(wire.Ack)
			for _, f := range before {
				if f.Type() == wire.Closed {
					return errors.New("the Closed comes, and message 1 is missing")
				}
			}
			return err
		})
	}},
	{"R83", true, "an Open of an earlier life is refused with reason 3; one of a later life is taken", func(w *world) error {
		return w.streaming(func(s *source) error {
			s.conn.Write(frame(wire.Open, self.ID, s.a.ID, 1, string(wire.OpenBody{Incarnation: s.a.Incarnation - 5}.Append(nil))))
			f, _, err := s.a.next(wire.Refuse)
			if err != nil {
				return err
			}
			body, err := wire.ParseRefuse(f.Body())
			if err != nil || body.Reason != wire.RefuseOlder || body.Remembered != s.a.Incarnation || body.SourceIncarnation != s.a.Incarnation-5 {
				return errors.Join(err, fmt.Errorf("the Refuse is %x", f))
			}
			_, err = s.open(s.a.Incarnation+5, 1)
			return err
		})
	}},
}

// neverGoesBack reads the Acks of a stream whose messages come in any order.
func (w *world) neverGoesBack() error {
	return w.streaming(func(s *source) error {
		latest := s.first
		for i, sent := range [][]uint64{{0, 1, 2, 3}, {7, 6, 5}, {0, 1}, {4}, {9}, {3, 8, 8}, {0}} {
			s.data(sent...)
			round := uint32(i/2 + 1) // each comes twice
			s.conn.Write(frame(wire.Sync, self.ID, s.a.ID, s.first, string(wire.AppendRound(nil, round))))
			f, _, err := s.a.next(wire.Ack)
			if err != nil {
				return err
			}
			ack, _, err := wire.ParseAck(f.Body(), nil)
			if err != nil {
				return err
			}
			if at := f.Seq() + uint64(ack.Received); at < latest {
				return fmt.Errorf("behind an Ack for all below message %d comes one for all below %d", latest-s.first, int64(at-s.first))
			} else {
				latest = at
			}
		}
		s.round = 10
		_, _, err := s.sync(10, 10)
		return err
	})
}
