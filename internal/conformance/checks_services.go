package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/x/ringdht/internal/wire"
)

// unknown is the name of a service that no node under test handles.
const unknown = "no node has this service"

// on makes a frame one of the stream of a port.
func on(port uint8, f wire.Frame) wire.Frame {
	f[6] = port
	return f
}

// refused waits for the Refuse of an Open for an unknown service.
func (s *source) refused(port uint8, gen uint64) error {
	f, _, err := s.a.next(wire.Refuse)
	if err != nil {
		return err
	}
	b, err := wire.ParseRefuse(f.Body())
	if err != nil || b.Reason != wire.RefuseService || b.SourceIncarnation != s.a.Incarnation || f.Seq() != gen || f.Dst() != s.a.ID || f.Src() != self.ID {
		return fmt.Errorf("the Refuse is %x: %+v", f, b)
	}
	if f.Port() != port {
		return fmt.Errorf("the Refuse has port %d, the Open had %d", f.Port(), port)
	}
	return nil
}

// serviceChecks need no service but that of port 0. R93 has no check, since it is about two others.
var serviceChecks = []check{
	{"R91", true, "an unknown service is refused, each time, and the stream of port 0 goes on", func(w *world) error {
		return w.streaming(func(s *source) error {
			for _, port := range []uint8{1, 127, 1} {
				open := wire.OpenBody{Incarnation: s.a.Incarnation, Service: unknown}
				s.conn.Write(on(port, frame(wire.Open, self.ID, s.a.ID, generation+1, string(open.Append(nil)))))
				if err := s.refused(port, generation+1); err != nil {
					return err
				}
			}
			s.data(0)
			_, _, err := s.sync(1, 1)
			return errors.Join(err, s.received(1, 0))
		})
	}},
	{"R68", true, "an Open with a name too long, or with none on a port from 1 to 127, is dropped only", func(w *world) error {
		return w.streaming(func(s *source) error {
			for _, name := range []string{"", unknown + unknown + unknown} {
				open := wire.OpenBody{Incarnation: s.a.Incarnation, Service: name}
				s.conn.Write(on(9, frame(wire.Open, self.ID, s.a.ID, generation+1, string(open.Append(nil)))))
			}
			s.conn.Write(frame(wire.Sync, self.ID, s.a.ID, s.first, "\x00\x00\x00\x01"))
			_, before, err := s.a.next(wire.Ack)
			if len(before) > 0 {
				err = fmt.Errorf("the answer is %x", before)
			}
			return err
		})
	}},
	{"R92", true, "frames on a port without a stream are answered with that port", func(w *world) error {
		return w.streaming(func(s *source) error {
			for _, x := range []struct {
				t, answer wire.Type
				body      string
			}{{wire.Data, wire.Reset, "message"}, {wire.Sync, wire.Reset, "\x00\x00\x00\x01"}, {wire.Close, wire.Closed, ""}} {
				s.conn.Write(on(9, frame(x.t, self.ID, s.a.ID, s.first, x.body)))
				f, _, err := s.a.next(x.answer)
				if err != nil {
					return err
				}
				if f.Port() != 9 || f.Seq() != s.first {
					return fmt.Errorf("the answer to a %v on port 9 is %x", x.t, f)
				}
			}
			s.data(0) // the stream of port 0 is still there
			_, _, err := s.sync(1, 1)
			return err
		})
	}},
	{"R92", true, "a NoRoute has the port of its frame", func(w *world) error {
		return w.relaying(func(_ *joined, c net.Conn, a, b *peer) error {
			c.Write(on(9, frame(wire.Data, 1500, 500, 7, "message")))
			f, _, err := b.next(wire.NoRoute)
			if err == nil && f.Port() != 9 {
				err = fmt.Errorf("its port is %d", f.Port())
			}
			return err
		})
	}},
	{"R92", true, "messages on another port are not of the stream, also in a bundle", func(w *world) error {
		return w.streaming(func(s *source) error {
			f := s.message(0)
			f[6] = 77
			s.conn.Write(f)
			if s.bundles {
				f = s.bundle(0, 3)
				f[6] = 77
				s.conn.Write(f)
			}
			if _, _, err := s.sync(1, 0); err != nil {
				return err
			}
			s.data(0)
			_, _, err := s.sync(1, 1)
			return errors.Join(err, s.received(1, 0))
		})
	}},
}
