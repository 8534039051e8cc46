// Package structs is the common approach: a struct per message, encoded with msgpack onto a
// TCP connection and flushed; each relay decodes and encodes it again.
package structs

import (
	"bufio"
	"context"
	"net"
	"sync"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/systems/relay"
)

// New returns the system.
func New() bench.System { return relay.System{Title: "struct per message", Listen: listen} }

// message is the struct. Its field names go over the wire, as by default.
type message struct {
	Source  int    `codec:"source"`
	Sink    int    `codec:"sink"`
	Payload []byte `codec:"payload"`
}

// One handle for all, as its documentation advises: it caches what it learns about types.
var handle = newHandle()

func newHandle() *codec.MsgpackHandle {
	h := new(codec.MsgpackHandle)
	h.WriteExt = true // the current format, which separates strings from bytes
	return h
}

type wire struct {
	accept    func(int) *relay.Inbound
	listeners []net.Listener
	readers   sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn
	closed bool
}

func listen(t bench.Topology, accept func(int) *relay.Inbound) (relay.Wire, error) {
	w := &wire{accept: accept}
	for node := range t.Nodes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.Close()
			return nil, err
		}
		w.listeners = append(w.listeners, l)
		w.readers.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				w.keep(c)
				w.readers.Go(func() { w.read(node, c) })
			}
		})
	}
	return w, nil
}

// keep remembers a connection for Close.
func (w *wire) keep(c net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, c)
	if w.closed {
		c.Close()
	}
}

func (w *wire) read(node int, c net.Conn) {
	defer c.Close()
	in := w.accept(node)
	if in == nil {
		return
	}
	d := codec.NewDecoder(bufio.NewReader(c), handle)
	for {
		var m message
		if d.Decode(&m) != nil || in.Handle(relay.Frame{Src: m.Source, Dst: m.Sink, Payload: m.Payload}) != nil {
			return
		}
	}
}

func (w *wire) Open(ctx context.Context, from, to int) (relay.Link, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", w.listeners[to].Addr().String())
	if err != nil {
		return nil, err
	}
	w.keep(c)
	b := bufio.NewWriter(c)
	return &link{b, codec.NewEncoder(b, handle)}, nil
}

func (w *wire) Close() error {
	w.mu.Lock()
	w.closed = true
	for _, c := range w.conns {
		c.Close()
	}
	w.mu.Unlock()
	for _, l := range w.listeners {
		l.Close()
	}
	w.readers.Wait()
	return nil
}

type link struct {
	b *bufio.Writer
	e *codec.Encoder
}

func (l *link) Send(f relay.Frame) error {
	if err := l.e.Encode(&message{f.Src, f.Dst, f.Payload}); err != nil {
		return err
	}
	return l.b.Flush()
}

func (l *link) Flush() error { return nil }
