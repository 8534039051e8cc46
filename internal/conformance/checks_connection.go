package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/wire"
)

var handshakeChecks = []check{
	{"R1", true, "the node introduces itself to the registry: role 1, no IDs, the ring's name", func(w *world) error {
		m, err := w.connection()
		if err == nil && (m.hello.Role != wire.RoleMember || m.hello.From|m.hello.To|m.hello.FromIncarnation|m.hello.ToIncarnation != 0 || m.hello.RingName != w.ring) {
			err = fmt.Errorf("the hello is %+v", m.hello)
		}
		return err
	}},
	{"R2", true, "the node sends nothing behind a hello before the answer, to the registry and to a peer", func(w *world) error {
		w.slow = true
		_, a, _, _, err := w.inRing(false)
		if err != nil {
			return err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.early
	}},
	{"R3", true, "another ring, another codec and an unknown role are refused with status 2, 3 and 5", func(w *world) error {
		return w.answers([]handshake{
			{func(h *wire.Hello) { h.RingName += "x" }, nil, wire.WrongRing},
			{func(h *wire.Hello) { h.Codec = "x" }, nil, wire.WrongCodec},
			{func(h *wire.Hello) { h.Codec, h.RingName = "x", "x" }, nil, wire.WrongRing},
			{func(h *wire.Hello) { h.Role = wire.RoleMember }, nil, wire.WrongRole},
			{func(h *wire.Hello) { h.Role = 9 }, nil, wire.WrongRole},
			{func(h *wire.Hello) { h.Role, h.Codec = wire.RoleProbe, "x" }, nil, wire.WrongCodec},
		})
	}},
	{"R4", true, "version 1 is refused with status 1; a later one that still speaks 2 is taken, with more behind its names", func(w *world) error {
		return w.answers([]handshake{
			{nil, func(b []byte) []byte { b[4], b[48] = 1, 0; return b }, wire.BadVersion},
			{nil, func(b []byte) []byte { b[4], b[48] = 9, 9; return b }, wire.BadVersion},
			{nil, func(b []byte) []byte { b[4], b[48] = 9, 2; return b }, wire.OK},
			{nil, func(b []byte) []byte { b[7] += 3; return append(b, "new"...) }, wire.OK},
		})
	}},
	{"R5", true, "a probe is answered with the HMAC of its nonce, by the token of Register", func(w *world) error {
		m, err := w.connection()
		if err != nil {
			return err
		}
		req, err := next[control.Register](m, control.TypeRegister)
		if err != nil {
			return err
		}
		const nonce = 0x1112131415161718
		var key, message [8]byte
		binary.BigEndian.PutUint64(key[:], req.Token)
		binary.BigEndian.PutUint64(message[:], nonce)
		mac := hmac.New(sha256.New, key[:])
		mac.Write(message[:])
		want := binary.BigEndian.Uint64(mac.Sum(nil))
		conn, a, err := hello(req.Addr, wire.Hello{Role: wire.RoleProbe, Token: nonce, Codec: m.hello.Codec, RingName: m.hello.RingName}, nil)
		if err != nil {
			return err
		}
		conn.Close()
		if a.Status != wire.OK || a.Token != want || req.Token == 0 {
			return fmt.Errorf("the token of Register is %d, the nonce %d: the answer has status %d and %d, want %d", req.Token, uint64(nonce), a.Status, a.Token, want)
		}
		return nil
	}},
	{"R6", true, "what is no hello, or one too long or too short, ends its connection, and nothing else", func(w *world) error {
		j, err := w.join()
		if err != nil {
			return err
		}
		for _, b := range []string{"GET / HTTP/1.1\r\n\r\n", "RDHT\x02\x02\xff\xff", "RDHT\x02\x02\x00\x03abc", "\x16\x03\x01\x00\x01\x01\x00\x00"} {
			conn, err := net.Dial("tcp", j.reg.Addr)
			if err != nil {
				return err
			}
			conn.Write([]byte(b))
			conn.SetDeadline(time.Now().Add(patience))
			_, err = conn.Read(make([]byte, 2000))
			conn.Close()
			if nerr, ok := errors.AsType[net.Error](err); ok && nerr.Timeout() {
				return fmt.Errorf("%q does not end the connection", b)
			}
		}
		return j.m.barrier()
	}},
	{"R7", true, "a link for another node, another incarnation, or from the node itself is refused with status 4", func(w *world) error {
		return w.answers([]handshake{
			{func(h *wire.Hello) { h.To++ }, nil, wire.WrongIdentity},
			{func(h *wire.Hello) { h.ToIncarnation-- }, nil, wire.WrongIdentity},
			{func(h *wire.Hello) { h.From = self.ID }, nil, wire.WrongIdentity},
			{func(h *wire.Hello) { h.From = 1 << bits }, nil, wire.WrongIdentity},
			{nil, nil, wire.OK},
		})
	}},
}

type handshake struct {
	change func(*wire.Hello)
	bytes  func([]byte) []byte
	want   wire.Status
}

// answers dials a member with one hello after the other.
func (w *world) answers(all []handshake) error {
	j, err := w.join()
	if err != nil {
		return err
	}
	if err := j.m.barrier(); err != nil {
		return err
	}
	for _, c := range all {
		h := wire.Hello{Role: wire.RoleLink, From: 2000, FromIncarnation: 7, To: self.ID, ToIncarnation: self.Incarnation, Codec: j.m.hello.Codec, RingName: j.m.hello.RingName}
		if c.change != nil {
			c.change(&h)
		}
		conn, a, err := hello(j.reg.Addr, h, c.bytes)
		if err != nil {
			return fmt.Errorf("%+v: %w", h, err)
		}
		conn.Close()
		if a.Status != c.want {
			return fmt.Errorf("%+v is answered with status %d (%q), want %d", h, a.Status, a.Reason, c.want)
		}
	}
	return nil
}

var linkChecks = append([]check{
	{"R14", true, "unknown types of the ranges for extensions do not end a link, and are not answered", func(w *world) error {
		j, a, _, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		conn, err := j.link(a)
		if err != nil {
			return err
		}
		for t := wire.Type(0x20); t < 0x40; t++ {
			h := wire.Header{Type: t, Seq: 1}
			if t < 0x30 {
				h.Dst, h.Src = self.ID, a.ID
			}
			conn.Write(wire.Append(nil, h, []byte("from a later program")))
		}
		if err := a.pong(conn, 9); err != nil {
			return err
		}
		return j.m.barrier()
	}},
	{"R14", true, "unknown messages 0x80 to 0xBF do not end the connection to the registry", func(w *world) error {
		j, err := w.join()
		if err != nil {
			return err
		}
		for t := wire.Type(0x80); t <= 0xBF; t++ {
			j.m.send(t, control.Linked{Epoch: 1})
		}
		return j.m.barrier()
	}},
	{"R26", true, "a Ping is answered with a Pong of the same seq", func(w *world) error {
		j, a, _, _, err := w.inRing(false)
		if err != nil {
			return err
		}
		conn, err := j.link(a)
		if err != nil {
			return err
		}
		return errors.Join(a.pong(conn, 1<<63), a.pong(conn, 5))
	}},
	{"R27", true, "a Share from the accepting side is answered with Shared, and frames come in over that connection", func(w *world) error {
		j, a, b, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		a.mu.Lock()
		conn := a.links[0] // the node has dialled it
		a.mu.Unlock()
		conn.Write(bare(wire.Share, 0))
		f, before, err := a.next(wire.Shared)
		if err != nil {
			return err
		}
		if !f.IsBare(wire.Shared) || len(before) > 0 {
			return fmt.Errorf("before Shared came %x", before)
		}
		conn.Write(wire.Append(nil, wire.Header{Type: wire.Sync, Dst: self.ID, Src: b.ID, Seq: 77}, []byte{0, 0, 0, 1}))
		_, _, err = b.next(wire.Reset)
		return errors.Join(err, j.m.barrier())
	}},
	{"R28", true, "after End the node closes a connection on which it does not send", func(w *world) error {
		j, a, _, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		conn, err := j.raw(a)
		if err != nil {
			return err
		}
		conn.Write(bare(wire.End, 0))
		v, err := closed(conn)
		if err == nil && v.Code != 0 {
			err = fmt.Errorf("it says %w", v)
		}
		return err
	}},
	{"R13", true, "a link that ends within a frame is closed, and nothing else", func(w *world) error {
		j, a, _, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		conn, err := j.raw(a)
		if err != nil {
			return err
		}
		data := frame(wire.Data, self.ID, a.ID, 1, "cut")
		conn.Write(data[:len(data)-2])
		conn.(*net.TCPConn).CloseWrite()
		if _, err := closed(conn); err != nil {
			return err
		}
		return j.m.barrier()
	}},
	{"R16", true, "a violation ends its link, without another one in answer, and no control character of it is printed", func(w *world) error {
		j, a, _, _, err := w.inRing(true)
		if err != nil {
			return err
		}
		conn, err := j.raw(a)
		if err != nil {
			return err
		}
		conn.Write(wire.Violation{Code: 21, Rule: "R21", Text: "\x1b[2Jcleared\r\x07"}.Append(nil))
		v, err := closed(conn)
		if err == nil && v.Code != 0 {
			err = fmt.Errorf("it answers with %w", v)
		}
		return errors.Join(err, j.m.barrier(), w.shows.err())
	}},
	{"R16", true, "a violation from the registry ends the connection, without another one in answer, and the node comes back", func(w *world) error {
		var answered error
		err := w.back(func(j *joined) {
			j.m.send(control.TypeViolation, control.Violation{Code: 41, Rule: "R41", Text: "\x1b[2Jcleared\r\x07"})
			for got := range j.m.got {
				if got.t == control.TypeViolation {
					answered = errors.New("it answers with a violation")
				}
			}
		})
		return errors.Join(err, answered, w.shows.err())
	}},
}, violationChecks()...)

// violationChecks are one check for each way to break a rule on a link.
func violationChecks() (all []check) {
	data := wire.Append(nil, wire.Header{Type: wire.Data, Dst: self.ID, Src: 2000, Seq: 1}, nil)
	for _, v := range []struct {
		rule wire.Rule
		what string
		send []byte
	}{
		{wire.ErrType, "type 0", []byte{0, 0, 0, 28}},
		{wire.ErrType, "an unknown type outside the ranges", wire.Append(nil, wire.Header{Type: 0x1f}, nil)},
		{wire.ErrType, "a control frame on a link", []byte{0x48, 0, 0, 28}},
		{wire.ErrTooLong, "a frame that is too long, by its prefix alone", []byte{4, 0xff, 0xff, 0xff}},
		{wire.ErrShort, "a frame shorter than its header", []byte{4, 0, 0, 5, 1, 2, 3, 4, 5}},
		{wire.ErrNotOpen, "a frame after End", append(bare(wire.End, 0), data...)},
		{wire.ErrNotBare, "a Ping with a body", wire.Append(nil, wire.Header{Type: wire.Ping}, []byte{1})},
		{wire.ErrNotBare, "a Ping with a sink", wire.Append(nil, wire.Header{Type: wire.Ping, Dst: 5}, nil)},
		{wire.ErrPong, "a Pong that answers nothing", bare(wire.Pong, 1)},
		{wire.ErrShare, "a Share from the dialling side", bare(wire.Share, 0)},
		{wire.ErrShared, "a Shared that answers nothing", bare(wire.Shared, 0)},
	} {
		told := func(named bool) func(w *world) error {
			return func(w *world) error {
				j, a, _, _, err := w.inRing(true)
				if err != nil {
					return err
				}
				if err := a.isUp(); err != nil {
					return err
				}
				conn, err := j.raw(a)
				if err != nil {
					return err
				}
				conn.Write(v.send)
				said, err := closed(conn)
				if err != nil {
					return err
				}
				if named && said.Code != uint64(v.rule) {
					return fmt.Errorf("the violation that was told is %+v", said)
				}
				return j.m.barrier()
			}
		}
		all = append(all, check{v.rule.String(), true, v.what + " ends the link, and nothing else", told(false)})
		all = append(all, check{"R15", false, "the node says that it ended a link for " + v.what, told(true)})
	}
	return all
}
