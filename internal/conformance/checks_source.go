package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/wire"
)

// sink is what the node sends to A in a traffic run.
type sink struct {
	j    *joined
	a    *peer
	conn net.Conn
	open wire.Frame // the first Open

	answer func(round uint32) // sends the latest Ack to another Sync; nil before the first
}

// sinking starts a run of n messages to A, and waits for Open.
func (w *world) sinking(n int64, then func(s *sink) error) error {
	j, a, b, c, err := w.inRing(true)
	if err != nil {
		return err
	}
	if !j.reg.Traffic {
		return fmt.Errorf("%w: the node takes no part in traffic runs", errSkipped)
	}
	b.idle, c.idle = true, true
	if err := j.tell(a, b); err != nil {
		return err
	}
	if _, _, err := j.untilLinked(); err != nil {
		return err
	}
	conn, err := j.link(a)
	if err != nil {
		return err
	}
	if err := j.m.send(control.TypeTask, control.Task{Run: run, Messages: n, Payload: 8}); err != nil {
		return err
	}
	f, _, err := a.next(wire.Open)
	if err != nil {
		return err
	}
	if o, err := wire.ParseOpen(f.Port(), f.Body()); err != nil || o.Incarnation != self.Incarnation || f.Src() != self.ID || f.Dst() != a.ID || f.Hops() != 0 || f.Port() != 0 {
		return errors.Join(err, fmt.Errorf("the Open is %x", f))
	}
	return then(&sink{j: j, a: a, conn: conn, open: f})
}

const sinkFirst = 1_000_000

// opened answers Open, with a window.
func (s *sink) opened(window uint32) { s.conn.Write(s.grant(window)) }

func (s *sink) grant(window uint32) wire.Frame {
	return frame(wire.Opened, self.ID, s.a.ID, s.open.Seq(), string(wire.OpenedBody{SourceIncarnation: self.Incarnation, SinkIncarnation: s.a.Incarnation, First: sinkFirst, Window: window}.Append(nil)))
}

// ack answers a Sync, and what asks again behind it.
func (s *sink) ack(done uint64, window, round uint32, held ...wire.Range) {
	s.acks(done, done, window, round, held...)
}

// acks acknowledges: all below done is handled, all below received has arrived.
func (s *sink) acks(done, received uint64, window, round uint32, held ...wire.Range) {
	s.answer = func(round uint32) {
		b := wire.AckBody{Received: uint32(received - done), Window: window, Round: round}.Append(nil, held)
		s.conn.Write(frame(wire.Ack, self.ID, s.a.ID, sinkFirst+done, string(b)))
	}
	s.answer(round)
}

// again answers a Sync that the node has sent since no answer came in time, as on a busy machine: as the
// Sync before it was, if it was.
func (s *sink) again(f wire.Frame) {
	if round, err := wire.ParseRound(f.Body()); err == nil && s.answer != nil {
		s.answer(round)
	}
}

// data waits for one message, by its place.
func (s *sink) data(place uint64) error {
	f, before, err := s.a.next(wire.Data, wire.Sync)
	for deadline := time.Now().Add(patience); err == nil && time.Now().Before(deadline); f, before, err = s.a.next(wire.Data, wire.Sync) {
		for _, f := range before {
			if f.Type() != wire.Open {
				return fmt.Errorf("before message %d came %x", place, f)
			}
		}
		if f.Type() == wire.Data {
			break
		}
		s.again(f)
	}
	if err == nil && (f.Seq() != sinkFirst+place || f.Port() != runPort || f[7] != 0 || len(f.Body()) != 8) {
		err = fmt.Errorf("message %d is %x", place, f)
	}
	return err
}

// sync waits for a Sync, before which no Data comes, and returns its round.
func (s *sink) sync(sent uint64) (round uint32, err error) {
	for {
		f, before, err := s.a.next(wire.Sync)
		if err != nil {
			return 0, err
		}
		if len(before) > 0 {
			return 0, fmt.Errorf("before the Sync came %x", before)
		}
		if round, err = wire.ParseRound(f.Body()); err != nil || f.Seq() == sinkFirst+sent {
			return round, err
		}
	}
}

// finished waits for the end of the run, and checks the Summary.
func (s *sink) finished(sent, unknown int64) error {
	f, err := next[control.Finished](s.j.m, control.TypeFinished)
	if err != nil {
		return err
	}
	if f.Run != run {
		return fmt.Errorf("the Finished is %+v", f)
	}
	s.j.m.send(control.TypeCollect, control.Collect{Run: run})
	got, err := next[control.Summary](s.j.m, control.TypeSummary)
	if err == nil && (got.Run != run || got.Sent != sent || got.Unknown != unknown) {
		err = fmt.Errorf("the Summary is %+v, want %d sent, %d unknown", got, sent, unknown)
	}
	return err
}

var sourceChecks = []check{
	{"R76", true, "Open is repeated, the same bytes, until an answer comes", func(w *world) error {
		return w.sinking(1, func(s *sink) error {
			f, _, err := s.a.next(wire.Open)
			if err == nil && string(f) != string(s.open) {
				err = fmt.Errorf("the Open %x comes again as %x", s.open, f)
			}
			return err
		})
	}},
	{"R77", true, "with a window of 1 one message is out at a time, and a Sync asks for room", func(w *world) error {
		return w.sinking(3, func(s *sink) error {
			s.opened(1)
			for n := range uint64(3) {
				if err := s.data(n); err != nil {
					return err
				}
				round, err := s.sync(n + 1)
				if err != nil {
					return err
				}
				s.ack(n+1, 1, round)
			}
			return s.finished(3, 0)
		})
	}},
	{"R78", true, "what an Ack shows as lost is sent again, and what it shows as held is not", func(w *world) error {
		return w.sinking(4, func(s *sink) error {
			s.opened(1 << 16)
			for n := range uint64(4) {
				if err := s.data(n); err != nil {
					return err
				}
			}
			round, err := s.sync(4)
			if err != nil {
				return err
			}
			s.ack(0, 1<<16, round, wire.Range{From: 1, N: 1}, wire.Range{From: 3, N: 1}) // 0 and 2 are lost
			if err := errors.Join(s.data(0), s.data(2)); err != nil {
				return err
			}
			if round, err = s.sync(4); err != nil {
				return err
			}
			s.ack(4, 1<<16, round)
			return s.finished(4, 0)
		})
	}},
	{"R78", true, "an Ack whose round answers no Sync causes nothing to be sent again", func(w *world) error {
		return w.sinking(2, func(s *sink) error {
			s.opened(1 << 16)
			if err := errors.Join(s.data(0), s.data(1)); err != nil {
				return err
			}
			round, err := s.sync(2)
			if err != nil {
				return err
			}
			s.ack(0, 1<<16, 0, wire.Range{From: 1, N: 1})
			s.ack(2, 1<<16, round)
			err = s.finished(2, 0)
			for {
				select {
				case f := <-s.a.in:
					if f.Type() == wire.Data {
						return fmt.Errorf("sent again: %x", f)
					}
				default:
					return err
				}
			}
		})
	}},
	{"R79", true, "an Opened for another generation or life is ignored", func(w *world) error {
		return w.sinking(1, func(s *sink) error {
			body := wire.OpenedBody{SourceIncarnation: self.Incarnation - 1, SinkIncarnation: s.a.Incarnation, First: 5, Window: 1000}
			s.conn.Write(frame(wire.Opened, self.ID, s.a.ID, s.open.Seq(), string(body.Append(nil))))
			body.SourceIncarnation++
			s.conn.Write(frame(wire.Opened, self.ID, s.a.ID, s.open.Seq()-1, string(body.Append(nil))))
			s.opened(1 << 16)
			if err := s.data(0); err != nil {
				return err
			}
			round, err := s.sync(1)
			if err != nil {
				return err
			}
			s.ack(1, 1<<16, round)
			return s.finished(1, 0)
		})
	}},
	{"R82", true, "a Sync without an answer is repeated; Data is not", func(w *world) error {
		return w.sinking(1, func(s *sink) error {
			s.opened(1 << 16)
			if err := s.data(0); err != nil {
				return err
			}
			first, err := s.sync(1)
			if err != nil {
				return err
			}
			second, err := s.sync(1)
			if err == nil && int32(second-first) <= 0 {
				err = fmt.Errorf("round %d follows round %d", second, first)
			}
			return err
		})
	}},
	{"R95", true, "Finished comes when all is delivered, and not before", func(w *world) error {
		return w.sinking(2, func(s *sink) error {
			s.opened(1 << 16)
			if err := errors.Join(s.data(0), s.data(1)); err != nil {
				return err
			}
			round, err := s.sync(2)
			if err != nil {
				return err
			}
			if err := s.j.m.barrier(); err != nil {
				return err
			}
			for _, m := range s.j.m.pending() {
				if m.t == control.TypeFinished {
					return errors.New("the Finished comes before the Ack")
				}
			}
			s.ack(2, 1<<16, round)
			return s.finished(2, 0)
		})
	}},
	{"R84", true, "a Reset ends the stream: what was out has an unknown outcome, and is not sent again", func(w *world) error {
		return w.sinking(2, func(s *sink) error {
			s.opened(1 << 16)
			if err := errors.Join(s.data(0), s.data(1)); err != nil {
				return err
			}
			s.conn.Write(frame(wire.Reset, self.ID, s.a.ID, sinkFirst+1<<21, "")) // of another stream: ignored
			s.ack(1, 1<<16, 0)
			s.conn.Write(frame(wire.Reset, self.ID, s.a.ID, sinkFirst+2, ""))
			return s.finished(2, 1)
		})
	}},
	{"R81", true, "a Farewell ends the stream, and is confirmed with Close, each time", func(w *world) error {
		return w.sinking(1, func(s *sink) error {
			s.opened(1 << 16)
			if err := s.data(0); err != nil {
				return err
			}
			for range 2 {
				s.conn.Write(frame(wire.Farewell, self.ID, s.a.ID, sinkFirst+1, ""))
				if f, _, err := s.a.next(wire.Close); err != nil || f.Seq() != sinkFirst+1 {
					return errors.Join(err, fmt.Errorf("the Close is %x", f))
				}
			}
			return s.finished(1, 0)
		})
	}},
	{"R96", true, "a Task without messages, as the first of its run, is answered with Finished at once", func(w *world) error {
		j, _, _, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		if !j.reg.Traffic {
			return fmt.Errorf("%w: the node takes no part in traffic runs", errSkipped)
		}
		j.m.send(control.TypeTask, control.Task{Run: run, Payload: 8})
		f, err := next[control.Finished](j.m, control.TypeFinished)
		if err == nil && f.Run != run {
			err = fmt.Errorf("the Finished is %+v", f)
		}
		return err
	}},
	{"R97", true, "Explain is answered with the pairs of the Summary", func(w *world) error {
		return w.sinking(1, func(s *sink) error {
			s.opened(1 << 16)
			if err := s.data(0); err != nil {
				return err
			}
			round, err := s.sync(1)
			if err != nil {
				return err
			}
			s.ack(1, 1<<16, round)
			if err := s.finished(1, 0); err != nil {
				return err
			}
			s.j.m.send(control.TypeExplain, control.Explain{Run: run})
			p, err := next[control.Pairs](s.j.m, control.TypePairs)
			if err == nil && (p.Run != run || len(p.Sent) != 1 || p.Sent[0].ID != s.a.ID || p.Sent[0].N != 1 || len(p.Received) != 0) {
				err = fmt.Errorf("the Pairs are %+v", p)
			}
			return err
		})
	}},
}
