package calls

import (
	"context"
	"errors"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// unary is unary gRPC with protobuf. In a chain each relay handles the call by making the next one.
type unary struct{}

func (unary) Name() string                 { return "gRPC unary" }
func (unary) Supports(bench.Topology) bool { return true }

const unaryMethod = "/Calls/Call"

func (unary) Start(_ context.Context, t bench.Topology, _ func(int, []byte)) (bench.Net, error) {
	n := &unaryNet{}
	for node := t.Nodes - 1; node > 0; node-- {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(err, n.Close())
		}
		s := grpc.NewServer()
		next := n.first
		s.RegisterService(&grpc.ServiceDesc{ServiceName: "Calls", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
			MethodName: "Call",
			Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				in := new(wrapperspb.BytesValue)
				if err := decode(in); err != nil || next == nil {
					return in, err
				}
				out := new(wrapperspb.BytesValue)
				return out, next.Invoke(ctx, unaryMethod, in, out)
			},
		}}}, nil)
		n.servers = append(n.servers, s)
		n.wg.Go(func() { _ = s.Serve(l) }) // it fails when it is stopped
		c, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, errors.Join(err, n.Close())
		}
		n.conns = append(n.conns, c)
		n.first = c
	}
	return n, nil
}

type unaryNet struct {
	servers []*grpc.Server
	conns   []*grpc.ClientConn
	first   *grpc.ClientConn
	wg      sync.WaitGroup
}

func (n *unaryNet) Sender(int) bench.Sender { return unaryCaller{conn: n.first} }

type unaryCaller struct {
	none
	conn *grpc.ClientConn
}

func (c unaryCaller) Send(_ int, payload []byte) error {
	return c.conn.Invoke(context.Background(), unaryMethod, wrapperspb.Bytes(payload), new(wrapperspb.BytesValue))
}

func (n *unaryNet) Close() error {
	for _, c := range n.conns {
		c.Close()
	}
	for _, s := range n.servers {
		s.Stop()
	}
	n.wg.Wait()
	return nil
}
