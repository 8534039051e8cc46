package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/wire"
)

// taker is a sink that has granted bundles, and takes apart what the node sends.
type taker struct {
	*sink
	frames []wire.Frame // in order; none comes twice
	next   uint64       // messages in them
	sum    int64        // of their values
}

// bundled is sinking with a sink that takes bundles.
func (w *world) bundled(n int64, window uint32, then func(t *taker) error) error {
	return w.sinking(n, func(s *sink) error {
		o := s.grant(window)
		o[7] |= bundle
		s.conn.Write(o)
		return then(&taker{sink: s})
	})
}

// end is the number behind a frame, from the first of the stream on.
func end(f wire.Frame) uint64 {
	all, _ := messages(f)
	return f.Seq() - sinkFirst + uint64(len(all))
}

// take reads new frames until a Sync, and returns its round. The Sync has the number at their end.
func (t *taker) take() (round uint32, err error) {
	f, before, err := t.a.next(wire.Sync)
	if err != nil {
		return 0, err
	}
	for _, f := range before {
		if f.Type() != wire.Data {
			continue
		}
		all, err := messages(f)
		if err != nil {
			return 0, err
		}
		if f.Seq() != sinkFirst+t.next || f.Port() != runPort || f[7]&^bundle != 0 {
			return 0, fmt.Errorf("message %d is due, and the frame is %x", t.next, f)
		}
		for _, m := range all {
			if len(m) != 8 {
				return 0, fmt.Errorf("a message of 8 bytes is due, and has %d", len(m))
			}
			t.sum += int64(int32(binary.BigEndian.Uint32(m)))
		}
		t.next += uint64(len(all))
		t.frames = append(t.frames, f)
	}
	if round, err = wire.ParseRound(f.Body()); err == nil && f.Seq() != sinkFirst+t.next {
		err = fmt.Errorf("%d messages have come whole, and the Sync is %x", t.next, f)
	}
	return round, err
}

// takeAll reads until n messages have come, and acknowledges none. The window must be large enough.
func (t *taker) takeAll(n uint64) (round uint32, err error) {
	for t.next < n && err == nil {
		round, err = t.take()
	}
	if err == nil && uint64(len(t.frames)) == n {
		err = fmt.Errorf("%w: the node sends no bundles", errSkipped)
	}
	return round, err
}

// repeated waits for exactly these frames, and then a Sync, whose round it returns.
func (t *taker) repeated(frames ...wire.Frame) (round uint32, err error) {
	f, before, err := t.a.next(wire.Sync)
	for deadline := time.Now().Add(patience); err == nil && len(before) == 0 && time.Now().Before(deadline); {
		t.again(f)
		f, before, err = t.a.next(wire.Sync)
	}
	if err != nil {
		return 0, err
	}
	if len(before) != len(frames) {
		return 0, fmt.Errorf("%d frames were lost, and %d come again", len(frames), len(before))
	}
	for i, f := range frames {
		if !bytes.Equal(before[i], f) {
			return 0, fmt.Errorf("the frame %x was lost, and %x comes", f, before[i])
		}
	}
	return wire.ParseRound(f.Body())
}

// account waits for the end of the run. The node counts what has come, by messages.
func (t *taker) account(n int64) error {
	if _, err := next[control.Finished](t.j.m, control.TypeFinished); err != nil {
		return err
	}
	t.j.m.send(control.TypeCollect, control.Collect{Run: run})
	got, err := next[control.Summary](t.j.m, control.TypeSummary)
	if err == nil && (got.Sent != n || got.SumSent != t.sum || got.Unknown != 0) {
		err = fmt.Errorf("the Summary is %+v; %d messages have come, with the sum %d", got, n, t.sum)
	}
	return err
}

var bundleSourceChecks = []check{
	{"R86", true, "a sink that grants no bundles gets none", func(w *world) error {
		return w.sinking(50, func(s *sink) error {
			s.opened(1 << 16)
			for n := range uint64(50) {
				if err := s.data(n); err != nil {
					return err
				}
			}
			round, err := s.sync(50)
			if err != nil {
				return err
			}
			s.ack(50, 1<<16, round)
			return s.finished(50, 0)
		})
	}},
	{"R86", true, "bundles are well formed, of one port, with consecutive numbers", func(w *world) error {
		const n = 20_000 // so many that they are sent while others leave
		return w.bundled(n, 1<<16, func(t *taker) error {
			for t.next < n {
				round, err := t.take()
				if err != nil {
					return err
				}
				t.acks(t.next, t.next, 1<<16, round)
			}
			if len(t.frames) == n {
				return fmt.Errorf("%w: the node sends no bundles", errSkipped)
			}
			return t.account(n)
		})
	}},
	{"R77", true, "with a window of 1 one message is out at a time, also where bundles are taken", func(w *world) error {
		return w.bundled(3, 1, func(t *taker) error {
			for n := range uint64(3) {
				round, err := t.take()
				for deadline := time.Now().Add(patience); err == nil && t.next == n && time.Now().Before(deadline); {
					if t.answer != nil {
						t.answer(round)
					}
					round, err = t.take()
				}
				if err != nil || t.next != n+1 {
					return errors.Join(err, fmt.Errorf("%d messages have come, %d of them are acknowledged", t.next, n))
				}
				t.acks(n+1, n+1, 1, round)
			}
			return t.account(3)
		})
	}},
	{"R88", true, "a lost bundle is sent again whole, the same bytes, and no other is", func(w *world) error {
		return w.bundled(300, 1<<16, func(t *taker) error {
			round, err := t.takeAll(300)
			if err != nil {
				return err
			}
			f := t.frames
			if len(f) < 3 {
				return fmt.Errorf("300 messages of 8 bytes came in %d frames, and none is longer than %d bytes", len(f), payload)
			}
			second := wire.Range{From: uint32(end(f[0])), N: uint32(end(f[1]) - end(f[0]))}
			t.acks(0, 0, 1<<16, round, second)
			if round, err = t.repeated(append([]wire.Frame{f[0]}, f[2:]...)...); err != nil {
				return err
			}
			part := end(f[0]) + (end(f[1])-end(f[0]))/2 // of the second frame is handled
			t.acks(part, end(f[1]), 1<<16, round)
			if round, err = t.repeated(f[2:]...); err != nil {
				return err
			}
			t.acks(300, 300, 1<<16, round)
			return t.account(300)
		})
	}},
	{"R89", true, "a bundle counts whole against the window until all of it is acknowledged", func(w *world) error {
		return w.bundled(500, 600, func(t *taker) error {
			round, err := t.take()
			if err != nil {
				return err
			}
			out := 0
			for _, f := range t.frames {
				out += len(f)
			}
			if out > 600 && t.next > 1 {
				return fmt.Errorf("with a window of 600 bytes %d are out", out)
			}
			if end(t.frames[0]) < 4 {
				return fmt.Errorf("%w: the node sends no bundles", errSkipped)
			}
			t.acks(end(t.frames[0])-1, t.next, uint32(out)+31, round) // no room for a frame
			was := t.next
			if round, err = t.take(); err != nil || t.next > was {
				return errors.Join(err, fmt.Errorf("%d bytes are out, and of the first frame one message is not acknowledged: the window of %d has no room, and %d messages come", out, out+31, t.next-was))
			}
			for err == nil && t.next < 500 {
				t.acks(t.next, t.next, 1<<16, round)
				round, err = t.take()
			}
			t.acks(t.next, t.next, 1<<16, round)
			return errors.Join(err, t.account(500))
		})
	}},
}
