package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/x/ringdht/internal/codec"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// The ring of every check. The node under test is self.
const (
	bits     = 16
	hopLimit = 100
	payload  = 1000
	identity = "00112233445566778899aabbccddeeff"
)

// patience bounds the time for all that a node must do. It has startTime to come to life.
var patience = 10 * time.Second

const startTime = time.Minute

// lease is the lease of the ring. Tests take a longer one, for machines that do much else.
var lease = 3 * time.Second

var self = ring.Ref{ID: 1000, Incarnation: 1 << 60}

// world is a node under test with its registry and its peers.
type world struct {
	config
	cmd     *exec.Cmd
	stdin   io.Closer
	reg     net.Listener
	members chan *member // connections with the role member, after their handshake
	peers   []*peer
	epoch   uint64
	started bool      // the node was waited for
	sec     *security // nil in an open ring
	slow    bool      // answers to hellos come late, and nothing may come before them
	shows   screen    // what the node prints
	wg      sync.WaitGroup
}

func newWorld(c config) (*world, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &world{config: c, reg: l, members: make(chan *member, 100)}
	registry := l.Addr().String()
	if c.secure {
		w.sec = newSecurity()
		registry = w.sec.line(registry)
	}
	args := make([]string, len(c.command))
	for i, a := range c.command {
		args[i] = strings.ReplaceAll(a, "{registry}", registry)
	}
	w.cmd = exec.Command(args[0], args[1:]...)
	both := io.MultiWriter(&w.shows, c.log)
	w.cmd.Stdout, w.cmd.Stderr, w.cmd.WaitDelay = both, both, time.Second
	if w.stdin, err = w.cmd.StdinPipe(); err == nil { // some programs end with their input
		err = w.cmd.Start()
	}
	if err != nil {
		l.Close()
		w.wg.Wait()
		return nil, err
	}
	return w, nil
}

func (w *world) close() {
	w.cmd.Process.Kill()
	w.stdin.Close()
	w.cmd.Wait()
	w.reg.Close()
	for _, p := range w.peers {
		p.close()
	}
	w.wg.Wait()
	close(w.members)
	for m := range w.members {
		m.conn.Close()
	}
}

func (w *world) acceptMembers() {
	for {
		conn, err := w.reg.Accept()
		if err != nil {
			return
		}
		m := &member{w: w, got: make(chan message, 1000)}
		if w.sec == nil {
			m.conn = conn
		} else {
			m.conn, m.shown, m.err = w.accepted(conn, w.sec.registry, nil, w.sec.succession, secure.Protocol, secure.JoinProtocol)
		}
		conn.SetDeadline(time.Now().Add(patience))
		if m.err == nil {
			m.hello, m.err = wire.ReadHello(m.conn)
		}
		if m.err == nil && w.slow {
			m.err = w.quiet(m.conn)
		}
		switch m.hello.Codec {
		case "json":
			m.codec = codec.JSON{}
		case "msgpack":
			m.codec = codec.Msgpack{}
		default:
			m.err = errors.Join(m.err, fmt.Errorf("codec %q: this program knows json and msgpack", m.hello.Codec))
		}
		if m.err == nil {
			conn.SetDeadline(time.Time{})
			m.conn.Write(wire.Answer{}.Append(nil))
			w.wg.Go(m.read)
		} else {
			m.conn.Close()
		}
		select {
		case w.members <- m:
		default:
			conn.Close()
		}
	}
}

// member is a connection of the node to the registry.
type member struct {
	w          *world
	conn       net.Conn
	codec      control.Codec
	hello      wire.Hello
	shown      shown        // in a secure ring
	err        error        // of the handshake
	got        chan message // all but Beats, which are answered; closed at the end
	beats      []time.Time  // guarded by mu
	muted      bool         // guarded by mu: Beats get no answer, and unanswered counts them
	unanswered int
	mu         sync.Mutex
}

type message struct {
	t    wire.Type
	body []byte
}

func (m *member) read() {
	defer close(m.got)
	defer m.conn.Close()
	for {
		head := make([]byte, wire.PrefixSize)
		if _, err := io.ReadFull(m.conn, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head)&wire.MaxLength)
		if _, err := io.ReadFull(m.conn, body); err != nil {
			return
		}
		t := wire.Type(head[0])
		if t == control.TypeBeat {
			m.mu.Lock()
			m.beats = append(m.beats, time.Now())
			muted := m.muted
			if muted {
				m.unanswered++
			}
			m.mu.Unlock()
			if !muted {
				m.send(control.TypeBeatAnswer, control.BeatAnswer{Every: 1})
			}
		}
		select {
		case m.got <- message{t, body}:
		default:
			return
		}
	}
}

func (m *member) send(t wire.Type, v any) error {
	b, err := control.Encode(m.codec, t, v)
	if err == nil {
		_, err = m.conn.Write(b)
	}
	return err
}

// connection waits for the node to dial the registry.
func (w *world) connection() (*member, error) {
	wait := patience
	if !w.started {
		w.started, wait = true, startTime
		w.wg.Go(w.acceptMembers)
	}
	select {
	case m := <-w.members:
		return m, m.err
	case <-time.After(wait):
		return nil, errors.New("the node has not dialled the registry")
	}
}

// next waits for a message of one type, and leaves out all others.
func next[T any](m *member, t wire.Type) (v T, err error) {
	timeout := time.After(patience)
	for {
		select {
		case got, ok := <-m.got:
			if !ok {
				return v, fmt.Errorf("the node has closed the connection to the registry, message 0x%02X was due", uint8(t))
			}
			if got.t != t {
				continue
			}
			if err := m.codec.Decode(got.body, &v); err != nil {
				return v, fmt.Errorf("message 0x%02X: %w", uint8(t), err)
			}
			return v, nil
		case <-timeout:
			return v, fmt.Errorf("message 0x%02X has not come", uint8(t))
		}
	}
}

// beatsWithin reports whether n Beats in succession have come within a time. A busy machine may delay
// any, so it looks at all of them, and a check waits until some were in time.
func (m *member) beatsWithin(n int, d time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := n; i <= len(m.beats); i++ {
		if m.beats[i-1].Sub(m.beats[i-n]) <= d {
			return true
		}
	}
	return false
}

// pending returns the messages that have come, without Beats.
func (m *member) pending() (all []message) {
	for {
		select {
		case got, ok := <-m.got:
			if !ok {
				return all
			}
			if got.t != control.TypeBeat {
				all = append(all, got)
			}
		default:
			return all
		}
	}
}

// ended waits until the node has closed the connection.
func (m *member) ended() error {
	timeout := time.After(patience)
	for {
		select {
		case _, ok := <-m.got:
			if !ok {
				return nil
			}
		case <-timeout:
			return errors.New("the node has not closed the connection to the registry")
		}
	}
}

// barrier returns when the node has handled all that was sent before: it answers a Ping.
func (m *member) barrier() error {
	m.mu.Lock()
	before := len(m.beats)
	m.mu.Unlock()
	for range 2 { // one Beat may be under way
		if err := m.send(control.TypePing, control.Ping{}); err != nil {
			return err
		}
		deadline := time.Now().Add(patience)
		for {
			m.mu.Lock()
			n := len(m.beats)
			m.mu.Unlock()
			if n > before {
				before = n
				break
			}
			if time.Now().After(deadline) {
				return errors.New("the node has not answered Ping with a Beat")
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// joined is a node that is a member.
type joined struct {
	*world
	m   *member
	reg control.Register
}

func terms() control.Registered {
	return control.Registered{
		ID: self.ID, Incarnation: self.Incarnation, Members: 1, Bits: bits, MaxPayload: payload, HopLimit: hopLimit,
		Lease: lease.Milliseconds(),
	}
}

// join admits the node.
func (w *world) join() (*joined, error) {
	m, err := w.connection()
	if err != nil {
		return nil, err
	}
	req, err := next[control.Register](m, control.TypeRegister)
	if err != nil {
		return nil, err
	}
	return &joined{w, m, req}, w.admit(m)
}

// inRing joins, gives the node a table, and waits for Linked. The ring: C 500, the node 1000, A
// 2000, B 40000. The table has A and B.
func (w *world) inRing(ready bool) (j *joined, a, b, c *peer, err error) {
	if j, err = w.join(); err != nil {
		return
	}
	a, b, c = w.peer(2000), w.peer(40000), w.peer(500)
	if err = j.tell(a, b); err != nil {
		return
	}
	if _, err = next[control.Linked](j.m, control.TypeLinked); err != nil {
		return
	}
	if ready {
		if err = j.m.send(control.TypeReady, control.Ready{Epoch: j.epoch}); err == nil {
			err = j.m.barrier()
		}
	}
	return
}

// tell sends a Manifest with a table of the next epoch.
func (j *joined) tell(entries ...*peer) error {
	j.epoch++
	m := control.Manifest{Identity: identity, Epoch: j.epoch, Incarnation: self.Incarnation + 1000, Members: int64(len(entries) + 2)}
	for _, p := range entries {
		m.Entries = append(m.Entries, p.table())
	}
	m.Successors = m.Entries
	for _, p := range j.peers {
		m.Others, m.Incs = append(m.Others, p.ID), append(m.Incs, p.Incarnation)
		if p.idle {
			m.Idle = append(m.Idle, p.ID)
		}
	}
	return j.m.send(control.TypeManifest, m)
}
