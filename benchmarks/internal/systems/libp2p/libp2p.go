// Package libp2p relays over streams of go-libp2p: a host per node, TCP, yamux, no
// encryption, and permanent streams. Frames are batched by hand, as users do for speed: a
// link's writer is flushed after everything that came in has been passed on.
//
// It sets yamux' read buffer. libp2p turns that off, since its encryption brings a buffer;
// without either, yamux reads every header by a system call of its own.
package libp2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/systems/relay"
)

// New returns the system.
func New() bench.System { return relay.System{Title: "libp2p streams", Listen: listen} }

const (
	proto  = protocol.ID("/relay/1")
	buffer = 64 << 10 // also the longest message of yamux
)

type wire struct {
	hosts  []host.Host
	buffer int

	mu      sync.Mutex
	closed  bool
	readers sync.WaitGroup
}

func listen(t bench.Topology, accept func(int) *relay.Inbound) (relay.Wire, error) {
	muxer := *yamux.DefaultTransport
	muxer.ReadBufSize = buffer
	w := &wire{buffer: max(buffer, t.Payload+64)}
	for node := range t.Nodes {
		h, err := libp2p.New(
			libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
			libp2p.Transport(tcp.NewTCPTransport), libp2p.Muxer(yamux.ID, &muxer), libp2p.NoSecurity,
			libp2p.ResourceManager(&network.NullResourceManager{}), // its limits are below 100 nodes
			libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false),
		)
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
		w.hosts = append(w.hosts, h)
		h.SetStreamHandler(proto, func(s network.Stream) {
			w.mu.Lock()
			if w.closed {
				w.mu.Unlock()
				_ = s.Reset()
				return
			}
			w.readers.Add(1)
			w.mu.Unlock()
			defer w.readers.Done()
			w.read(s, accept(node))
		})
	}
	return w, nil
}

func (w *wire) read(s network.Stream, in *relay.Inbound) {
	defer s.Reset()
	if in == nil {
		return
	}
	b := bufio.NewReaderSize(s, w.buffer)
	for {
		if _, err := b.Peek(b.Buffered() + 1); err != nil {
			return
		}
		batch, _ := b.Peek(b.Buffered())
		whole := 0
		for {
			f, size := relay.ParseFrame(batch[whole:])
			if size == 0 {
				break
			}
			whole += size
			if in.Handle(f) != nil {
				return
			}
		}
		if _, err := b.Discard(whole); err != nil {
			return
		}
		if in.Drained() != nil {
			return
		}
	}
}

func (w *wire) Open(ctx context.Context, from, to int) (relay.Link, error) {
	there := peer.AddrInfo{ID: w.hosts[to].ID(), Addrs: w.hosts[to].Addrs()}
	if err := w.hosts[from].Connect(ctx, there); err != nil {
		return nil, fmt.Errorf("libp2p: connecting %d with %d: %w", from, to, err)
	}
	s, err := w.hosts[from].NewStream(ctx, there.ID, proto)
	if err != nil {
		return nil, fmt.Errorf("libp2p: a stream from %d to %d: %w", from, to, err)
	}
	return link{bufio.NewWriterSize(s, w.buffer)}, nil
}

func (w *wire) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	var err error
	for _, h := range w.hosts {
		err = errors.Join(err, h.Close())
	}
	w.readers.Wait()
	return err
}

type link struct{ b *bufio.Writer }

func (l link) Send(f relay.Frame) error {
	_, err := l.b.Write(relay.AppendFrame(l.b.AvailableBuffer(), f))
	return err
}

func (l link) Flush() error { return l.b.Flush() }
