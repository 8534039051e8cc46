// Package grpc relays over bidirectional gRPC streams, one for each link.
//
// A codec carries source, sink, length and payload as bytes instead of a protobuf message with
// three fields. That needs no protoc, and is faster. There is no encryption. The HTTP/2 windows are
// fixed and large, as gRPC's documentation advises for throughput, which also turns off their
// probing. The buffers are twice the default.
//
// Batched, a gRPC message carries up to 32 KiB of frames, gathered as with libp2p: a link is
// flushed after everything that came in has been passed on. Larger batches would come from
// gRPC's pool of 1 MiB buffers.
package grpc

import (
	"context"
	"errors"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/systems/relay"
)

// New returns the system.
func New() bench.System {
	return relay.System{Title: "gRPC streams", Listen: func(t bench.Topology, accept func(int) *relay.Inbound) (relay.Wire, error) {
		return listen(t, accept, false)
	}}
}

// Batched returns the system with many frames in a gRPC message.
func Batched() bench.System {
	return relay.System{Title: "gRPC streams, batched", Listen: func(t bench.Topology, accept func(int) *relay.Inbound) (relay.Wire, error) {
		return listen(t, accept, true)
	}}
}

const (
	window = 1 << 20
	buffer = 64 << 10
	batch  = 32 << 10 // of frames in a message
)

var stream = grpc.StreamDesc{StreamName: "Link", ClientStreams: true, ServerStreams: true}

type wire struct {
	batched bool
	servers []*grpc.Server
	addrs   []string
	conns   []*grpc.ClientConn
	ctx     context.Context // of all streams
	cancel  context.CancelFunc
	serving sync.WaitGroup
}

func listen(t bench.Topology, accept func(int) *relay.Inbound, batched bool) (relay.Wire, error) {
	w := &wire{batched: batched}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	for node := range t.Nodes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
		s := grpc.NewServer(grpc.ForceServerCodecV2(frames{}), grpc.WaitForHandlers(true),
			grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
			grpc.ReadBufferSize(buffer), grpc.WriteBufferSize(buffer), grpc.MaxRecvMsgSize(t.Payload+1<<20))
		d := stream
		d.Handler = func(_ any, s grpc.ServerStream) error { return w.read(s, accept(node)) }
		s.RegisterService(&grpc.ServiceDesc{ServiceName: "Relay", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{d}}, nil)
		w.serving.Go(func() { _ = s.Serve(l) }) // it fails when it is stopped
		w.servers = append(w.servers, s)
		w.addrs = append(w.addrs, l.Addr().String())
	}
	return w, nil
}

func (w *wire) read(s grpc.ServerStream, in *relay.Inbound) error {
	if in == nil {
		return errors.New("too late")
	}
	var r received
	for {
		if err := s.RecvMsg(&r); err != nil {
			return err
		}
		for rest := r.bytes; len(rest) > 0; {
			f, n := relay.ParseFrame(rest)
			if n == 0 {
				return errors.New("half a frame")
			}
			rest = rest[n:]
			if err := in.Handle(f); err != nil {
				return err
			}
		}
		if w.batched {
			if err := in.Drained(); err != nil {
				return err
			}
		}
	}
}

func (w *wire) Open(_ context.Context, _, to int) (relay.Link, error) {
	c, err := grpc.NewClient("passthrough:///"+w.addrs[to], grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(frames{})), grpc.WithDisableRetry(),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		grpc.WithReadBufferSize(buffer), grpc.WithWriteBufferSize(buffer))
	if err != nil {
		return nil, err
	}
	w.conns = append(w.conns, c)
	// It waits for the connection, and its lifetime is the wire's and not the caller's.
	s, err := c.NewStream(w.ctx, &stream, "/Relay/Link", grpc.WaitForReady(true))
	if err != nil {
		return nil, err
	}
	return &link{s: s, batched: w.batched}, nil
}

func (w *wire) Close() error {
	w.cancel()
	var err error
	for _, c := range w.conns {
		err = errors.Join(err, c.Close())
	}
	for _, s := range w.servers {
		s.Stop()
	}
	w.serving.Wait()
	return err
}

// link is one stream. It encodes frames at once. SendMsg waits while 64 KiB are queued for the
// connection.
type link struct {
	s       grpc.ClientStream
	batched bool
	open    *[]byte // frames that are not sent yet, or nil
}

func (l *link) Send(f relay.Frame) error {
	size := overhead + len(f.Payload)
	if l.open != nil && len(*l.open)+size > cap(*l.open) {
		if err := l.Flush(); err != nil {
			return err
		}
	}
	if l.open == nil {
		if l.batched {
			size = max(size, batch)
		}
		l.open = pool.Get(size)
		*l.open = (*l.open)[:0]
	}
	*l.open = relay.AppendFrame(*l.open, f)
	if l.batched {
		return nil
	}
	return l.Flush()
}

func (l *link) Flush() error {
	if l.open == nil {
		return nil
	}
	b := l.open
	l.open = nil
	return l.s.SendMsg(b)
}

const overhead = 12 // of relay.AppendFrame

var pool = mem.DefaultBufferPool()

// frames is the codec: bytes.
type frames struct{}

func (frames) Name() string { return "frames" }

// Marshal takes over the memory, which goes back to the pool once it has been sent.
func (frames) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.NewBuffer(v.(*[]byte), pool)}, nil
}

// received is the frames of a gRPC message. Their memory is reused.
type received struct{ bytes []byte }

func (frames) Unmarshal(data mem.BufferSlice, v any) error {
	r := v.(*received)
	size := data.Len()
	if cap(r.bytes) < size {
		r.bytes = make([]byte, size)
	}
	r.bytes = r.bytes[:size]
	data.CopyTo(r.bytes)
	return nil
}
