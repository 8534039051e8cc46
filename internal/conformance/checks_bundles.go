package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/x/ringdht/internal/wire"
)

// bundle is the flag of a bundle, and of an Opened of a sink that takes them. The checks know the
// layout by themselves, and use nothing of package wire for it.
const bundle = 2

// joinedFrame makes the messages of plain frames one bundle.
func joinedFrame(plain ...wire.Frame) wire.Frame {
	f := append(wire.Frame{}, plain[0][:wire.HeaderSize]...)
	f[7] |= bundle
	f = binary.BigEndian.AppendUint16(f, uint16(len(plain)))
	for _, p := range plain {
		f = append(binary.BigEndian.AppendUint16(f, uint16(len(p.Body()))), p.Body()...)
	}
	return resized(f)
}

// resized sets the length of a frame to that of its bytes.
func resized(f wire.Frame) wire.Frame {
	binary.BigEndian.PutUint32(f, uint32(f[0])<<24|uint32(len(f)-wire.PrefixSize))
	return f
}

// messages takes a Data frame apart.
func messages(f wire.Frame) (all [][]byte, err error) {
	if f[7]&bundle == 0 {
		return [][]byte{f.Body()}, nil
	}
	b := f.Body()
	if len(b) < 2 || len(b) > payload {
		return nil, fmt.Errorf("a bundle with a body of %d bytes", len(b))
	}
	count := int(binary.BigEndian.Uint16(b))
	for b = b[2:]; len(b) >= 2; {
		n := 2 + int(binary.BigEndian.Uint16(b))
		if n > len(b) {
			break
		}
		all, b = append(all, b[2:n]), b[n:]
	}
	if len(b) > 0 || count != len(all) || count == 0 {
		return nil, fmt.Errorf("the bundle %x says that it has %d messages; %d are whole, and %d bytes are left", f, count, len(all), len(b))
	}
	return all, nil
}

// bundle makes n messages from a place on one frame.
func (s *source) bundle(place, n uint64) wire.Frame {
	var plain []wire.Frame
	for i := range n {
		plain = append(plain, s.message(place+i))
	}
	return joinedFrame(plain...)
}

// bundling is streaming to a node that takes bundles.
func (w *world) bundling(then func(s *source) error) error {
	return w.streaming(func(s *source) error {
		if !s.bundles {
			return fmt.Errorf("%w: the node takes no bundles", errSkipped)
		}
		return then(s)
	})
}

var bundleSinkChecks = []check{
	{"R14", true, "the flag of bundles means nothing on frames of other types", func(w *world) error {
		return w.streaming(func(s *source) error {
			for _, x := range []struct {
				f      wire.Frame
				answer wire.Type
			}{
				{frame(wire.Open, self.ID, s.a.ID, generation, string(wire.OpenBody{Incarnation: s.a.Incarnation}.Append(nil))), wire.Opened},
				{frame(wire.Sync, self.ID, s.a.ID, s.first, "\x00\x00\x00\x01"), wire.Ack},
				{frame(wire.Trace, self.ID, s.a.ID, 9, ""), wire.Traced},
				{frame(wire.Close, self.ID, s.a.ID, s.first, ""), wire.Closed},
			} {
				x.f[7] |= bundle
				s.conn.Write(x.f)
				if _, _, err := s.a.next(x.answer); err != nil {
					return err
				}
			}
			cast := frame(wire.Cast, self.ID, s.a.ID, 0, "\xff\xff\xff\xff")
			cast[7] |= bundle
			s.conn.Write(cast)
			return s.a.pong(s.conn, 45)
		})
	}},
	{"R87", true, "each Opened of a stream grants bundles, or none does", func(w *world) error {
		return w.streaming(func(s *source) error {
			granted := s.bundles
			_, err := s.open(s.a.Incarnation, generation)
			if err == nil && s.bundles != granted {
				err = errors.New("the repeated Opened says otherwise")
			}
			return err
		})
	}},
	{"R87", true, "the messages of bundles are handled one by one, in order with those of plain frames", func(w *world) error {
		return w.bundling(func(s *source) error {
			s.data(0)
			s.conn.Write(s.bundle(1, 5))
			s.conn.Write(s.bundle(6, 1))
			s.data(7)
			s.conn.Write(joinedFrame(s.message(8), frame(wire.Data, 0, 0, 0, ""), s.message(10))) // an empty one, which has no value
			const most = (payload - 2) / 10
			s.conn.Write(s.bundle(11, most)) // as long as may be
			if _, _, err := s.sync(11+most, 11+most); err != nil {
				return err
			}
			const n = 11 + most
			return s.received(n-1, n*(n-1)/2-9)
		})
	}},
	{"R87", true, "copies of bundles are dropped, and one behind a hole is taken whole, then or later", func(w *world) error {
		return w.bundling(func(s *source) error {
			s.conn.Write(s.bundle(4, 3))
			ack, held, err := s.sync(7, 0)
			if err != nil {
				return err
			}
			if ack.Received != 0 || len(held) > 1 || len(held) == 1 && held[0] != (wire.Range{From: 4, N: 3}) {
				return fmt.Errorf("messages 4 to 6 have come in one bundle: the Ack says that %d are received, and %v are held", ack.Received, held)
			}
			for _, f := range []wire.Frame{s.bundle(4, 3), s.bundle(0, 4), s.bundle(4, 3), s.bundle(0, 4)} {
				s.conn.Write(f)
			}
			if _, _, err := s.sync(7, 7); err != nil {
				return err
			}
			return s.received(7, 21)
		})
	}},
	{"R87", true, "a bundle of which a part was received is dropped whole, also behind a hole", func(w *world) error {
		return w.bundling(func(s *source) error {
			s.data(0, 1)
			if _, _, err := s.sync(2, 2); err != nil {
				return err
			}
			s.conn.Write(s.bundle(0, 4))
			if _, _, err := s.sync(2, 2); err != nil {
				return err
			}
			for _, f := range []wire.Frame{s.bundle(6, 4), s.bundle(8, 4), s.bundle(6, 5), s.bundle(2, 4), s.bundle(6, 4), s.bundle(8, 4)} {
				s.conn.Write(f)
			}
			if _, _, err := s.sync(10, 10); err != nil {
				return err
			}
			s.conn.Write(s.bundle(8, 4))
			s.data(10, 11)
			if _, _, err := s.sync(12, 12); err != nil {
				return err
			}
			if err := s.received(12, 66); err != nil {
				return err
			}
			s.conn.Write(frame(wire.Close, self.ID, s.a.ID, s.first+12, "")) // nothing is held any more
			_, _, err := s.a.next(wire.Closed)
			return err
		})
	}},
	{"R87", true, "a bundle that is not well formed is dropped, and nothing else happens", func(w *world) error {
		return w.bundling(func(s *source) error {
			for _, place := range []uint64{0, 3} { // the next message, and one behind a hole
				for _, f := range s.unsound(place) {
					s.conn.Write(f)
				}
			}
			ack, held, err := s.sync(0, 0)
			if err != nil || ack.Received != 0 || len(held) > 0 {
				return errors.Join(err, fmt.Errorf("the Ack is %+v, and %v are held", ack, held))
			}
			s.conn.Write(s.bundle(0, 3))
			if _, _, err := s.sync(3, 3); err != nil {
				return err
			}
			return errors.Join(s.received(3, 3), s.a.pong(s.conn, 45))
		})
	}},
	{"R87", true, "a bundle of no stream is answered with Reset, with the number of its first message", func(w *world) error {
		return w.bundling(func(s *source) error {
			s.conn.Write(s.bundle(0, 3))
			if _, _, err := s.sync(3, 3); err != nil {
				return err
			}
			s.conn.Write(frame(wire.Close, self.ID, s.a.ID, s.first+3, ""))
			if _, _, err := s.a.next(wire.Closed); err != nil {
				return err
			}
			s.conn.Write(s.bundle(1, 3))
			f, _, err := s.a.next(wire.Reset)
			if err == nil && f.Seq() != s.first+1 {
				err = fmt.Errorf("the Reset is %x", f)
			}
			return err
		})
	}},
}

// unsound makes frames of three messages that are not well formed.
func (s *source) unsound(place uint64) (all []wire.Frame) {
	for _, spoil := range []func(f wire.Frame) wire.Frame{
		func(f wire.Frame) wire.Frame { return f[:32] },                               // no count
		func(f wire.Frame) wire.Frame { return f[:33] },                               // half of one
		func(f wire.Frame) wire.Frame { return f[:34] },                               // nothing behind it
		func(f wire.Frame) wire.Frame { f[33] = 0; return f[:34] },                    // a count of 0
		func(f wire.Frame) wire.Frame { f[33] = 0; return f },                         // and messages
		func(f wire.Frame) wire.Frame { f[33] = 2; return f },                         // too few
		func(f wire.Frame) wire.Frame { f[33] = 4; return f },                         // too many
		func(f wire.Frame) wire.Frame { f[32], f[33] = 0xff, 0xff; return f },         // far too many
		func(f wire.Frame) wire.Frame { f[35] = 200; return f },                       // a length beyond the end
		func(f wire.Frame) wire.Frame { f[34] = 0xff; return f },                      // and far beyond it
		func(f wire.Frame) wire.Frame { f[55] = 0; return f },                         // a length that leaves bytes
		func(f wire.Frame) wire.Frame { return f[:len(f)-1] },                         // a byte too short
		func(f wire.Frame) wire.Frame { return f[:len(f)-9] },                         // half a length
		func(f wire.Frame) wire.Frame { return append(f, 0) },                         // a byte behind
		func(f wire.Frame) wire.Frame { return append(f, 0, 0) },                      // an empty message more than the count
		func(f wire.Frame) wire.Frame { return append(f[:32], make([]byte, 200)...) }, // zeros
	} {
		all = append(all, resized(spoil(s.bundle(place, 3))))
	}
	return all
}
