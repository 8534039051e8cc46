package ringotel

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/leaks"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/rpc"
)

func TestMain(m *testing.M) { leaks.Main(m) }

const (
	outer = rpc.Method[int, int]("outer")
	inner = rpc.Method[int, int]("inner")
)

var errOdd = rpc.NewError("odd", "an odd number")

// A call whose handler makes another one has four spans in one trace, each the child of the one
// before.
func TestSpansOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans := tracetest.NewSpanRecorder()
		provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))
		ends := startRing(t, provider, 2)
		a, b := ends[0], ends[1]
		_, err := outer.Call(t.Context(), a.Endpoint, b.id, 1)
		if !errors.Is(err, errOdd) {
			t.Errorf("error %v", err)
		}
		synctest.Wait()
		if err := provider.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		all := spans.Ended() // the innermost first
		if len(all) != 4 {
			t.Fatalf("%d spans", len(all))
		}
		for i, want := range []struct {
			name string
			kind trace.SpanKind
		}{{"s/inner", trace.SpanKindServer}, {"s/inner", trace.SpanKindClient}, {"s/outer", trace.SpanKindServer}, {"s/outer", trace.SpanKindClient}} {
			s := all[i]
			if s.Name() != want.name || s.SpanKind() != want.kind {
				t.Errorf("span %d is %s, %v", i, s.Name(), s.SpanKind())
			}
			if s.SpanContext().TraceID() != all[3].SpanContext().TraceID() {
				t.Errorf("span %d is of another trace", i)
			}
			if i < 3 && s.Parent().SpanID() != all[i+1].SpanContext().SpanID() {
				t.Errorf("span %d is not the child of the next", i)
			}
			if s.Status().Code != codes.Error {
				t.Errorf("span %d has the status %v", i, s.Status())
			}
		}
	})
}

type end struct {
	*rpc.Endpoint
	id ringdht.ID
}

// startRing starts a ring whose nodes call back in the handler of outer.
func startRing(t *testing.T, provider trace.TracerProvider, nodes int) (all []end) {
	network := memnet.New(1)
	r, err := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if _, err := r.Listen(t.Context(), "registry:1"); err != nil {
		t.Fatal(err)
	}
	var members []*ringdht.Node
	for i := range nodes {
		n := ringdht.NewNode(ringdht.WithTransport(network.Host(fmt.Sprint("host", i))))
		t.Cleanup(func() { n.Close() })
		e := rpc.New(n, "s", rpc.WithMiddleware(Middleware(provider)))
		inner.Handle(e, func(context.Context, int) (int, error) { return 0, errOdd })
		outer.Handle(e, func(ctx context.Context, x int) (int, error) {
			return inner.Call(ctx, e, rpc.FromContext(ctx).Peer, x)
		})
		if err := n.Join(t.Context(), "registry:1"); err != nil {
			t.Fatal(err)
		}
		members, all = append(members, n), append(all, end{e, n.ID()})
	}
	if _, err := r.Setup(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, n := range members {
		if err := n.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
