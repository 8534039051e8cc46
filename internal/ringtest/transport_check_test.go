package ringtest_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/status"
)

// odd is a transport that changes what TCP's methods return.
type odd struct {
	ringdht.TCP
	listener func(net.Listener) net.Listener
	conn     func(net.Conn) net.Conn
}

func (o odd) Listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := o.TCP.Listen(ctx, addr)
	if err == nil && o.listener != nil {
		wrapped := o.listener(l)
		if wrapped == nil || handshake.IsNil(wrapped) {
			l.Close()
		}
		return wrapped, nil
	}
	return l, err
}

func (o odd) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := o.TCP.Dial(ctx, addr)
	if err == nil && o.conn != nil {
		wrapped := o.conn(c)
		if wrapped == nil || handshake.IsNil(wrapped) {
			c.Close()
		}
		return wrapped, nil
	}
	return c, err
}

// valueConn and valueListener are values that cannot be compared, nor be keys of a map.
type valueConn struct {
	net.Conn
	closed func()
}

func (c valueConn) Close() error { c.closed(); return c.Conn.Close() }

type valueListener struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l valueListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

// oddConn is a connection whose methods return what the test sets.
type oddConn struct {
	net.Conn
	local, remote net.Addr
	deadline      error
}

func (c *oddConn) LocalAddr() net.Addr  { return c.local }
func (c *oddConn) RemoteAddr() net.Addr { return c.remote }
func (c *oddConn) SetDeadline(t time.Time) error {
	if c.deadline != nil {
		return c.deadline
	}
	return c.Conn.SetDeadline(t)
}

type oddListener struct {
	net.Listener
	addr net.Addr
}

func (l *oddListener) Addr() net.Addr { return l.addr }

type here struct{}

func (here) Network() string { return "odd" }
func (here) String() string  { return "here" }

// accepting wraps the connections that a listener accepts.
func accepting(wrap func(net.Conn) net.Conn) func(net.Listener) net.Listener {
	return func(l net.Listener) net.Listener { return valueListener{l, wrap} }
}

// A ring works over connections and listeners that are values with funcs, as types of a program
// may be.
func TestTransportOfValues(t *testing.T) {
	var open atomic.Int64
	wrap := func(c net.Conn) net.Conn {
		open.Add(1)
		var once atomic.Bool
		return valueConn{c, func() {
			if once.CompareAndSwap(false, true) {
				open.Add(-1)
			}
		}}
	}
	tr := ringtest.New(t, nil, ringdht.WithTransport(odd{listener: accepting(wrap), conn: wrap}))
	for range 4 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(2)
	tr.Run(status.Traffic{Messages: 500})
	if err := tr.Nodes[3].Leave(tr.Ctx()); err != nil {
		t.Error(err)
	}
	tr.Nodes = tr.Nodes[:3]
	tr.Run(status.Traffic{Messages: 500})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- tr.Registry.Serve(valueListener{l, wrap}) }()
	tr.Addr = l.Addr().String()
	tr.Join(nil, ringdht.WithTraffic())
	tr.Close()
	if err := <-served; !errors.Is(err, ringdht.ErrClosed) {
		t.Error(err)
	}
	if n := open.Load(); n != 0 {
		t.Errorf("%d connections are open at the end", n)
	}
}

// A transport that returns nonsense causes an error that says so, and no panic.
func TestTransportFaults(t *testing.T) {
	broken := errors.New("no deadlines here")
	conn := func(f func(*oddConn)) func(net.Conn) net.Conn {
		return func(c net.Conn) net.Conn {
			o := &oddConn{Conn: c, local: c.LocalAddr(), remote: c.RemoteAddr()}
			f(o)
			return o
		}
	}
	ok := ringtest.New(t, nil)
	for name, tt := range map[string]struct {
		transport odd
		want      string
	}{
		"no connection":           {odd{conn: func(net.Conn) net.Conn { return nil }}, "the transport ringtest_test.odd returned neither a connection to"},
		"a nil connection":        {odd{conn: func(net.Conn) net.Conn { return (*net.TCPConn)(nil) }}, "neither a connection"},
		"no deadlines":            {odd{conn: conn(func(c *oddConn) { c.deadline = broken })}, "takes no deadline: no deadlines here"},
		"no local address":        {odd{conn: conn(func(c *oddConn) { c.local = nil })}, "comes from an address that is nil"},
		"a nil local address":     {odd{conn: conn(func(c *oddConn) { c.local = (*net.TCPAddr)(nil) })}, "comes from an address that is nil"},
		"a local address of sort": {odd{conn: conn(func(c *oddConn) { c.local = here{} })}, `comes from the address "here", which is not host:port: say with WithAdvertise`},
		"no listener":             {odd{listener: func(net.Listener) net.Listener { return nil }}, "neither a listener on"},
		"a nil listener":          {odd{listener: func(net.Listener) net.Listener { return (*net.TCPListener)(nil) }}, "neither a listener on"},
		"no address to listen on": {odd{listener: func(l net.Listener) net.Listener { return &oddListener{l, nil} }}, "listens on an address that is nil"},
		"an address of sort":      {odd{listener: func(l net.Listener) net.Listener { return &oddListener{l, here{}} }}, `listens on the address "here", which is not host:port`},
	} {
		if n, err := ringtest.Join(ok.Ctx(), ok.Line(), nil, ringdht.WithTransport(tt.transport)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				n.Close()
			}
		}
		if tt.transport.listener == nil {
			continue
		}
		r, err := ringdht.NewRegistry(ringdht.WithTransport(tt.transport))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Listen(ok.Ctx(), "127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("registry, %s: %v", name, err)
		}
		r.Close()
	}
	for _, l := range []net.Listener{nil, (*net.TCPListener)(nil)} {
		if err := ok.Registry.Serve(l); err == nil || !strings.Contains(err.Error(), "nil") {
			t.Error(err)
		}
	}
}

// A registry's transport may not know the addresses of its connections: then newcomers need an
// address. A connection without deadlines is refused.
func TestTransportFaultsAccepted(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*oddConn)
		want   string // the answer that a node gets
		log    string
	}{
		"no remote address":      {func(c *oddConn) { c.remote = nil }, "origin as an address that is nil", "WithAdvertise"},
		"a remote address of it": {func(c *oddConn) { c.remote = here{} }, `origin as the address \"here\"`, "WithAdvertise"},
		"no deadlines":           {func(c *oddConn) { c.deadline = errors.New("none") }, "", "takes no deadline: none"},
	} {
		t.Run(name, func(t *testing.T) {
			log := ringtest.NewLog()
			listener := accepting(func(c net.Conn) net.Conn {
				o := &oddConn{Conn: c, local: c.LocalAddr(), remote: c.RemoteAddr()}
				tt.change(o)
				return o
			})
			tr := ringtest.New(t, nil, log.Option(), ringdht.WithTransport(odd{listener: listener}))
			_, err := ringtest.Join(tr.Ctx(), tr.Line(), nil)
			if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(tt.want, `\"`, `"`)) {
				t.Errorf("%v, expected %q", err, tt.want)
			}
			log.WaitFor(t, "refused", tt.log)
		})
	}
	t.Run("no addresses at all", func(t *testing.T) {
		wrap := func(c net.Conn) net.Conn { return &oddConn{Conn: c} }
		log := ringtest.NewLog()
		tr := ringtest.New(t, nil, log.Option(), ringdht.WithTransport(odd{listener: accepting(wrap), conn: wrap}))
		for range 3 { // the addresses are not needed if the node gives one
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			addr := l.Addr().String()
			l.Close()
			tr.Join(nil, ringdht.WithListen(addr), ringdht.WithAdvertise(addr), ringdht.WithTraffic())
		}
		tr.Setup(1)
		tr.Run(status.Traffic{Messages: 100})
	})
	t.Run("nothing accepted", func(t *testing.T) {
		var calls atomic.Int64
		log := ringtest.NewLog()
		listener := func(l net.Listener) net.Listener { return &forgetful{Listener: l, calls: &calls} }
		tr := ringtest.New(t, nil, log.Option(), ringdht.WithTransport(odd{listener: listener}))
		tr.Join(nil)
		tr.Join(nil)
		log.WaitFor(t, "cannot accept", "forgetful returned neither a connection nor an error")
		tr.Setup(1)
	})
}

// forgetful returns nothing twice before each connection.
type forgetful struct {
	net.Listener
	calls *atomic.Int64
}

func (f *forgetful) Accept() (net.Conn, error) {
	switch f.calls.Add(1) % 3 {
	case 1:
		return nil, nil
	case 2:
		return (*net.TCPConn)(nil), nil
	}
	return f.Listener.Accept()
}
