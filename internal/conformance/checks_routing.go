package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"

	"github.com/x/ringdht/internal/wire"
)

var routingChecks = []check{
	{"R60", true, "a relayed frame has one hop more, and nothing else changes, also unknown flags and types", func(w *world) error {
		return w.relaying(func(j *joined, c net.Conn, a, b *peer) error {
			for i, t := range []wire.Type{wire.Data, wire.Cast, wire.Ack, wire.NoRoute, 0x20, 0x2f} {
				f := frame(t, a.ID, 500, uint64(i), "body")
				f[7] = 0xf0
				f.SetHops(3)
				c.Write(f)
				f.SetHops(4)
				got, _, err := a.next(t)
				if err != nil {
					return err
				}
				if !bytes.Equal(got, f) {
					return fmt.Errorf("%x became %x", f, got)
				}
			}
			return nil
		})
	}},
	{"R61", true, "a frame goes to the last entry that does not lie behind its sink", func(w *world) error {
		return w.relaying(func(j *joined, c net.Conn, a, b *peer) error {
			for i, x := range []struct {
				dst uint64
				to  *peer
			}{{2000, a}, {2001, a}, {39999, a}, {40000, b}, {40001, b}, {65535, b}, {0, b}, {499, b}} {
				c.Write(frame(wire.Data, x.dst, 500, uint64(i), ""))
				f, _, err := x.to.next(wire.Data)
				if err != nil {
					return fmt.Errorf("for node %d: %w", x.dst, err)
				}
				if f.Dst() != x.dst {
					return fmt.Errorf("the frame for node %d took another way", x.dst)
				}
			}
			return nil
		})
	}},
	{"R62", true, "the order of frames from one link to another stays", func(w *world) error {
		return w.relaying(func(j *joined, c net.Conn, a, b *peer) error {
			var all []byte
			for i := range uint64(1000) {
				all = append(all, frame(wire.Data, a.ID, 500, i, "in order")...)
			}
			c.Write(all)
			for i := range uint64(1000) {
				if f, _, err := a.next(wire.Data); err != nil || f.Seq() != i {
					return errors.Join(err, fmt.Errorf("frame %d did not come in its place", i))
				}
			}
			return nil
		})
	}},
	{"R63", true, "a frame that has overshot its sink is dropped", func(w *world) error {
		j, a, b, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		conn, err := j.link(a)
		if err != nil {
			return err
		}
		conn.Write(frame(wire.Data, b.ID, 500, 1, "")) // from A to B by way of this node: around the ring
		conn.Write(frame(wire.Sync, self.ID, b.ID, 77, "\x00\x00\x00\x01"))
		_, before, err := b.next(wire.Reset)
		if len(before) > 0 {
			return fmt.Errorf("passed on: %x", before)
		}
		return err
	}},
	{"R67", true, "a frame that takes a detour goes over the link to its sink, or is dropped", (*world).detours},
	{"R64", true, "a frame at the hop limit is dropped, and its source told: NoRoute 2", func(w *world) error {
		return w.relaying(func(j *joined, c net.Conn, a, b *peer) error {
			f := frame(wire.Data, a.ID, 500, 7, "")
			f.SetHops(hopLimit - 1)
			c.Write(f)
			return noRoute(b, wire.Data, wire.HopLimit, a.ID, 7)
		})
	}},
	{"R64", true, "a frame that has crossed as many links as may be is taken at its sink", func(w *world) error {
		return w.relaying(func(j *joined, c net.Conn, a, b *peer) error {
			f := frame(wire.Sync, self.ID, b.ID, 7, "\x00\x00\x00\x01")
			f.SetHops(hopLimit - 1)
			c.Write(f)
			_, _, err := b.next(wire.Reset)
			return err
		})
	}},
	{"R65", true, "answers are never answered: at the hop limit they are dropped", func(w *world) error {
		return w.relaying(func(j *joined, c net.Conn, a, b *peer) error {
			for _, t := range []wire.Type{wire.Opened, wire.Refuse, wire.Ack, wire.Reset, wire.Closed, wire.Cast, wire.Traced, wire.NoRoute, wire.Farewell, 0x20} {
				f := frame(t, a.ID, 500, 7, "")
				f.SetHops(hopLimit - 1)
				c.Write(f)
			}
			c.Write(frame(wire.Sync, self.ID, b.ID, 7, "\x00\x00\x00\x01"))
			_, before, err := b.next(wire.Reset)
			if len(before) > 0 {
				return fmt.Errorf("it answers with %x", before)
			}
			return err
		})
	}},
	{"R66", true, "an authoritative node answers for an ID without a node: NoRoute 1", func(w *world) error {
		return w.relaying(func(j *joined, c net.Conn, a, b *peer) error {
			c.Write(frame(wire.Open, 1500, 500, 7, "12345678"))
			return noRoute(b, wire.Open, wire.NoSuchNode, 1500, 7)
		})
	}},
	{"R55", true, "before Ready a node is not authoritative: it drops frames for an ID without a node", func(w *world) error {
		j, _, b, c, err := w.inRing(false)
		if err != nil {
			return err
		}
		conn, err := j.link(c)
		if err != nil {
			return err
		}
		conn.Write(frame(wire.Open, 1500, 500, 7, "12345678"))
		conn.Write(frame(wire.Sync, self.ID, b.ID, 7, "\x00\x00\x00\x01"))
		_, before, err := b.next(wire.Reset)
		if len(before) > 0 {
			return fmt.Errorf("it answers with %x", before)
		}
		return err
	}},
	{"R90", true, "a Trace is passed on and answered by relay and sink", func(w *world) error {
		return w.relaying(func(j *joined, c net.Conn, a, b *peer) error {
			c.Write(frame(wire.Trace, a.ID, 500, 7, ""))
			if _, _, err := a.next(wire.Trace); err != nil {
				return err
			}
			c.Write(frame(wire.Trace, self.ID, 500, 8, ""))
			for range 2 {
				f, _, err := b.next(wire.Traced)
				if err != nil {
					return err
				}
				if want := map[uint64]string{7: "\x00\x01\x00", 8: "\x00\x01\x01"}[f.Seq()]; string(f.Body()) != want || f.Dst() != 500 || f.Src() != self.ID {
					return fmt.Errorf("the Traced is %x", f)
				}
			}
			return nil
		})
	}},
	{"R68", true, "bodies of wrong lengths, casts on reserved ports and unknown reasons drop the frame only", func(w *world) error {
		return w.relaying(func(j *joined, c net.Conn, a, b *peer) error {
			for t := wire.Open; t <= wire.NoRoute; t++ {
				for _, body := range []string{"", "1", "12345678901234567890123456789012345678901"} {
					c.Write(frame(t, self.ID, 500, 7, body))
				}
			}
			f := frame(wire.Cast, self.ID, 500, 0, "reserved")
			f[6] = 77
			c.Write(f)
			c.Write(frame(wire.Sync, self.ID, a.ID, 7, "\x00\x00\x00\x01"))
			_, _, err := a.next(wire.Reset)
			return errors.Join(err, j.m.barrier())
		})
	}},
}

// detours checks that a waypoint passes a frame that takes a detour straight to its sink, or not at all.
func (w *world) detours() error {
	return w.relaying(func(j *joined, c net.Conn, a, b *peer) error {
		detoured := func(dst, seq uint64) wire.Frame {
			f := frame(wire.Data, dst, 500, seq, "body")
			f[7] = 1
			return f
		}
		c.Write(detoured(41000, 1)) // without the flag it would go to B
		f := detoured(b.ID, 2)
		c.Write(f)
		f.SetHops(1)
		got, _, err := b.next(wire.Data)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, f) {
			return fmt.Errorf("%x came to node %d, want %x", got, b.ID, f)
		}
		return nil
	})
}

// relaying opens a link from C, which lies before the node.
func (w *world) relaying(then func(j *joined, c net.Conn, a, b *peer) error) error {
	j, a, b, c, err := w.inRing(true)
	if err != nil {
		return err
	}
	conn, err := j.link(c)
	if err != nil {
		return err
	}
	return then(j, conn, a, b)
}

func frame(t wire.Type, dst, src, seq uint64, body string) wire.Frame {
	return wire.Append(nil, wire.Header{Type: t, Dst: dst, Src: src, Seq: seq}, []byte(body))
}

// noRoute waits for a NoRoute to node 500.
func noRoute(b *peer, t wire.Type, why wire.NoRouteReason, dst, seq uint64) error {
	f, _, err := b.next(wire.NoRoute)
	if err != nil {
		return err
	}
	body, err := wire.ParseNoRoute(f.Body())
	if err != nil || body != (wire.NoRouteBody{Type: t, Reason: why, Dst: dst}) || f.Seq() != seq || f.Dst() != 500 || f.Src() != self.ID || f.Hops() != 0 {
		return fmt.Errorf("NoRoute is %x: %+v", f, body)
	}
	return nil
}
