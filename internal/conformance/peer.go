package main

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// peer is another member of the ring, played by this program.
type peer struct {
	ring.Ref
	w    *world
	idle bool // takes no part in traffic runs
	l    net.Listener
	in   chan wire.Frame // what the node sends over links, but for those about the connection
	ends chan struct{}   // one for each End

	key ed25519.PrivateKey // in a secure ring

	mu        sync.Mutex
	admission []byte // that the peer shows, in a secure ring
	links     []net.Conn
	shown     []shown  // what the node has shown on each link that it has dialled, in a secure ring
	up        int      // links that the node has opened and that stand
	from      []uint64 // the incarnations that the node has named, one for each of its hellos
	early     error    // what came before the answer to a hello
	cut       bool     // a link has ended within a frame
}

// peer adds a peer to the ring.
func (w *world) peer(id uint64) *peer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err) // of this machine, and not of the node
	}
	p := &peer{Ref: ring.Ref{ID: id, Incarnation: self.Incarnation + id}, w: w, l: l, in: make(chan wire.Frame, 10000), ends: make(chan struct{}, 1000)}
	if w.sec != nil {
		p.key = newKey()
		p.admission = w.sec.admission(p.Ref, secure.KeyOf(p.key))
	}
	w.peers = append(w.peers, p)
	w.wg.Go(p.accept)
	return p
}

func (p *peer) table() ring.Peer {
	return ring.Peer{ID: p.ID, Incarnation: p.Incarnation, Addr: p.l.Addr().String()}
}

// presents returns the admission that the peer shows, and present sets another.
func (p *peer) presents() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.admission
}

func (p *peer) present(admission []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.admission = admission
}

func (p *peer) close() {
	p.l.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.links {
		c.Close()
	}
}

func (p *peer) accept() {
	for {
		conn, err := p.l.Accept()
		if err != nil {
			return
		}
		p.keep(conn)
		p.w.wg.Go(func() {
			defer conn.Close()
			conn, s, err := p.w.accepted(conn, p.key, p.presents(), nil, secure.Protocol)
			if err != nil {
				return
			}
			conn.SetDeadline(time.Time{})
			h, err := wire.ReadHello(conn)
			if err == nil {
				p.mu.Lock()
				p.shown, p.from = append(p.shown, s), append(p.from, h.FromIncarnation)
				p.mu.Unlock()
				if p.w.slow {
					early := p.w.quiet(conn)
					p.mu.Lock()
					p.early = errors.Join(p.early, early)
					p.mu.Unlock()
				}
			}
			if err != nil || h.Role != wire.RoleLink || h.To != p.ID || h.ToIncarnation != p.Incarnation || h.From != self.ID {
				conn.Write(wire.Answer{Status: wire.WrongIdentity, Reason: "not here"}.Append(nil))
				return
			}
			conn.Write(wire.Answer{}.Append(nil))
			p.opened(1)
			p.read(conn, true, false)
			p.opened(-1)
		})
	}
}

func (p *peer) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links = append(p.links, c)
}

func (p *peer) opened(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up += n
}

// read takes the frames of one connection. theirs and ours say which directions are open.
func (p *peer) read(conn net.Conn, theirs, ours bool) {
	for {
		f, err := readFrame(conn)
		if err != nil {
			p.mu.Lock()
			p.cut = p.cut || errors.Is(err, errCut)
			p.mu.Unlock()
			return
		}
		switch f.Type() {
		case wire.Ping:
			conn.Write(bare(wire.Pong, f.Seq()))
		case wire.Share:
			theirs = true
			p.opened(1)
			defer p.opened(-1)
			conn.Write(bare(wire.Shared, 0))
		case wire.End:
			p.ends <- struct{}{}
			if theirs = false; !ours {
				return
			}
		case wire.Pong, wire.Violated:
			p.in <- f
		default:
			if !theirs {
				f = wire.Append(nil, wire.Header{Type: 0x1f}, []byte("sent before Shared"))
			}
			p.in <- f
		}
	}
}

func readFrame(r io.Reader) (wire.Frame, error) {
	f := make([]byte, wire.PrefixSize)
	switch _, err := io.ReadFull(r, f); err {
	case nil:
	case io.ErrUnexpectedEOF:
		return nil, errCut
	default:
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(f) & wire.MaxLength)
	if n < wire.HeaderSize-wire.PrefixSize || n > 1<<20 {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	f = append(f, make([]byte, n)...)
	if _, err := io.ReadFull(r, f[wire.PrefixSize:]); err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, errCut
	} else {
		return f, err
	}
}

var errCut = errors.New("the connection ended within a frame")

func bare(t wire.Type, seq uint64) []byte {
	return wire.Append(nil, wire.Header{Type: t, Seq: seq}, nil)
}

// isUp waits until the node has opened a link to the peer.
func (p *peer) isUp() error {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		up := p.up > 0
		p.mu.Unlock()
		if up {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the node has no link to node %d", p.ID)
		}
	}
}

// isDown waits until no link to the peer is left.
func (p *peer) isDown() error {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		up := p.up > 0
		p.mu.Unlock()
		if !up {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the node keeps its link to node %d", p.ID)
		}
	}
}

// hello dials the node with any hello, and returns the answer.
func hello(addr string, h wire.Hello, change func([]byte) []byte) (net.Conn, wire.Answer, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, wire.Answer{}, err
	}
	return introduce(conn, h, change)
}

// introduce sends a hello over a connection, and returns the answer.
func introduce(conn net.Conn, h wire.Hello, change func([]byte) []byte) (net.Conn, wire.Answer, error) {
	conn.SetDeadline(time.Now().Add(patience))
	b, err := h.Append(nil)
	if err != nil {
		return nil, wire.Answer{}, err
	}
	if change != nil {
		b = change(b)
	}
	conn.Write(b)
	a, err := wire.ReadAnswer(conn)
	if err != nil {
		conn.Close()
	}
	return conn, a, err
}

// linkHello is the hello of a link from a peer to the node.
func (j *joined) linkHello(from ring.Ref) wire.Hello {
	return wire.Hello{
		Role: wire.RoleLink, From: from.ID, FromIncarnation: from.Incarnation, To: self.ID, ToIncarnation: self.Incarnation,
		Codec: j.m.hello.Codec, RingName: j.m.hello.RingName,
	}
}

// raw opens a link to the node. Nothing reads it.
func (j *joined) raw(p *peer) (net.Conn, error) {
	h := j.linkHello(p.Ref)
	var conn net.Conn
	var a wire.Answer
	var err error
	if j.sec != nil {
		conn, a, _, err = secureHello(j.reg.Addr, secure.Protocol, p.key, p.presents(), h)
	} else {
		conn, a, err = hello(j.reg.Addr, h, nil)
	}
	if err == nil && a.Status != wire.OK {
		conn.Close()
		err = fmt.Errorf("the node refuses a link from node %d: status %d, %q", p.ID, a.Status, a.Reason)
	}
	if err == nil {
		p.keep(conn)
	}
	return conn, err
}

// link opens a link to the node, and reads what comes back.
func (j *joined) link(p *peer) (net.Conn, error) {
	conn, err := j.raw(p)
	if err == nil {
		conn.SetDeadline(time.Time{})
		j.wg.Go(func() { p.read(conn, false, true) })
	}
	return conn, err
}

// next waits for a frame of one of these types, and returns all that came before it too.
func (p *peer) next(ts ...wire.Type) (f wire.Frame, before []wire.Frame, err error) {
	timeout := time.After(patience)
	for {
		select {
		case f := <-p.in:
			if f.Type() == 0x1f {
				return nil, before, errors.New("a frame came in a direction that is not open")
			}
			if slices.Contains(ts, f.Type()) {
				return f, before, nil
			}
			before = append(before, f)
		case <-timeout:
			return nil, before, fmt.Errorf("no frame %v has come to node %d", ts[0], p.ID)
		}
	}
}

// pong sends a Ping and waits for the Pong: what was sent before was taken in.
func (p *peer) pong(conn net.Conn, seq uint64) error {
	conn.Write(bare(wire.Ping, seq))
	f, _, err := p.next(wire.Pong)
	if err == nil && f.Seq() != seq {
		err = fmt.Errorf("the Pong has seq %d, the Ping had %d", f.Seq(), seq)
	}
	return err
}

// closed waits until the node closes a connection, and returns the violation that it told.
func closed(conn net.Conn) (v wire.Violation, err error) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	for {
		f, err := readFrame(conn)
		if nerr, ok := errors.AsType[net.Error](err); ok && nerr.Timeout() {
			return v, errors.New("the node has not closed the connection")
		}
		if err != nil {
			return v, nil
		}
		if f.Type() == wire.Violated {
			if v, err = wire.ParseViolation(f); err != nil {
				return v, err
			}
		}
	}
}
