// Package grpc relays over bidirectional gRPC streams, one for each link.
//
// A codec carries source, sink and payload as bytes instead of a protobuf message with three
// fields. That needs no protoc, and is faster. There is no encryption. The HTTP/2 windows are
// fixed and large, as gRPC's documentation advises for throughput, which also turns off their
// probing. The buffers are twice the default.
package grpc

import (
	"context"
	"encoding/binary"
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
func New() bench.System { return relay.System{Title: "gRPC streams", Listen: listen} }

const (
	window = 1 << 20
	buffer = 64 << 10
)

var stream = grpc.StreamDesc{StreamName: "Link", ClientStreams: true, ServerStreams: true}

type wire struct {
	servers []*grpc.Server
	addrs   []string
	conns   []*grpc.ClientConn
	ctx     context.Context // of all streams
	cancel  context.CancelFunc
	serving sync.WaitGroup
}

func listen(t bench.Topology, accept func(int) *relay.Inbound) (relay.Wire, error) {
	w := new(wire)
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
		d.Handler = func(_ any, s grpc.ServerStream) error { return read(s, accept(node)) }
		s.RegisterService(&grpc.ServiceDesc{ServiceName: "Relay", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{d}}, nil)
		w.serving.Go(func() { _ = s.Serve(l) }) // it fails when it is stopped
		w.servers = append(w.servers, s)
		w.addrs = append(w.addrs, l.Addr().String())
	}
	return w, nil
}

func read(s grpc.ServerStream, in *relay.Inbound) error {
	if in == nil {
		return errors.New("too late")
	}
	var r received
	for {
		if err := s.RecvMsg(&r); err != nil {
			return err
		}
		if err := in.Handle(r.Frame); err != nil {
			return err
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
	return link{s}, nil
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

type link struct{ s grpc.ClientStream }

// Send encodes at once. It waits while 64 KiB are queued for the connection.
func (l link) Send(f relay.Frame) error { return l.s.SendMsg(&f) }

func (l link) Flush() error { return nil }

// frames is the codec: source and sink, 32 bits each, and the payload.
type frames struct{}

func (frames) Name() string { return "frames" }

func (frames) Marshal(v any) (mem.BufferSlice, error) {
	f := v.(*relay.Frame)
	pool := mem.DefaultBufferPool()
	b := pool.Get(8 + len(f.Payload))
	binary.BigEndian.PutUint32(*b, uint32(f.Src))
	binary.BigEndian.PutUint32((*b)[4:], uint32(f.Dst))
	copy((*b)[8:], f.Payload)
	return mem.BufferSlice{mem.NewBuffer(b, pool)}, nil
}

// received is a frame and its memory, which is reused.
type received struct {
	relay.Frame
	memory []byte
}

func (frames) Unmarshal(data mem.BufferSlice, v any) error {
	r := v.(*received)
	size := data.Len()
	if size < 8 {
		return errors.New("short frame")
	}
	if cap(r.memory) < size {
		r.memory = make([]byte, size)
	}
	b := r.memory[:size]
	data.CopyTo(b)
	r.Frame = relay.Frame{Src: int(binary.BigEndian.Uint32(b)), Dst: int(binary.BigEndian.Uint32(b[4:])), Payload: b[8:]}
	return nil
}
