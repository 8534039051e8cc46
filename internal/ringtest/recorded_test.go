package ringtest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/status"
)

// tap is a transport that records what a node sends over the connections that it dials.
type tap struct {
	ringdht.Transport
	mu   sync.Mutex
	sent []byte // over the first connection
	done bool
}

type tappedConn struct {
	net.Conn
	t     *tap
	first bool
}

func (t *tap) Dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := t.Transport.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	first := !t.done
	t.done = true
	return &tappedConn{conn, t, first}, nil
}

func (c *tappedConn) Write(b []byte) (int, error) {
	if c.first {
		c.t.mu.Lock()
		c.t.sent = append(c.t.sent, b...)
		c.t.mu.Unlock()
	}
	return c.Conn.Write(b)
}

// A recorded connection, with a registration in it, is sent again. The registry's part of the
// handshake is another one each time, so the rest is noise.
func recordedConnection(t *testing.T, s *scene) {
	wire := &tap{Transport: s.Net.Host(s.host)}
	n, err := ringtest.Join(s.Ctx(), s.Line(), nil, ringdht.WithTransport(wire))
	if err != nil {
		t.Fatal(err)
	}
	n.Leave(s.Ctx())
	s.WaitSettled()
	conn, err := s.Net.Host(s.host).Dial(s.Ctx(), s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	wire.mu.Lock()
	defer wire.mu.Unlock()
	conn.Write(wire.sent)
	if b, err := io.ReadAll(conn); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		t.Log(len(b), err)
	}
	ringtest.WaitUntil(t, "the refusal", func() bool { return s.Registry.Snapshot().Security.Refusals[status.RefusedHandshake] > 0 })
}
