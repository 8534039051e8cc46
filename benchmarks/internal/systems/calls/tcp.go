package calls

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// tcp is ping-pong over raw TCP: a connection for each call in flight, and a goroutine at each end
// of it. Relays copy what one read brings.
type tcp struct{}

func (tcp) Name() string                 { return "raw TCP ping-pong" }
func (tcp) Supports(bench.Topology) bool { return true }

func (tcp) Start(_ context.Context, t bench.Topology, _ func(int, []byte)) (bench.Net, error) {
	n := &tcpNet{}
	next := ""
	for node := t.Nodes - 1; node > 0; node-- {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(err, n.Close())
		}
		n.listeners = append(n.listeners, l)
		to := next
		n.wg.Go(func() { n.accept(l, to) })
		next = l.Addr().String()
	}
	n.first = next
	return n, nil
}

type tcpNet struct {
	first     string
	listeners []net.Listener
	wg        sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func (n *tcpNet) keep(c net.Conn) net.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, c)
	return c
}

func (n *tcpNet) accept(l net.Listener, next string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		n.keep(c)
		if next == "" {
			n.wg.Go(func() { pass(c, c) })
			continue
		}
		onward, err := net.Dial("tcp", next)
		if err != nil {
			c.Close()
			return
		}
		n.keep(onward)
		n.wg.Go(func() { pass(c, onward) })
		n.wg.Go(func() { pass(onward, c) })
	}
}

// pass writes what comes in, read by read.
func pass(from, to net.Conn) {
	b := make([]byte, 64<<10)
	for {
		k, err := from.Read(b)
		if err != nil {
			return
		}
		if _, err := to.Write(b[:k]); err != nil {
			return
		}
	}
}

func (n *tcpNet) Sender(int) bench.Sender {
	c, err := net.Dial("tcp", n.first)
	if err == nil {
		n.keep(c)
	}
	return &tcpCaller{conn: c, err: err}
}

type tcpCaller struct {
	none
	conn   net.Conn
	err    error
	answer []byte
}

func (c *tcpCaller) Send(_ int, payload []byte) error {
	if c.err != nil {
		return c.err
	}
	if len(c.answer) != len(payload) {
		c.answer = make([]byte, len(payload))
	}
	if _, err := c.conn.Write(payload); err != nil {
		return err
	}
	_, err := io.ReadFull(c.conn, c.answer)
	return err
}

func (n *tcpNet) Close() error {
	for _, l := range n.listeners {
		l.Close()
	}
	n.mu.Lock()
	for _, c := range n.conns {
		c.Close()
	}
	n.mu.Unlock()
	n.wg.Wait()
	return nil
}
