// Package ringotel traces requests between the nodes of a ring with OpenTelemetry: a span for each
// call at both ends, joined by the W3C trace context that goes along as metadata.
//
//	e := rpc.New(n, "words", rpc.WithMiddleware(ringotel.Middleware(nil)))
//
// A module of its own, so that ringdht does not require OpenTelemetry.
package ringotel

import (
	"context"
	"errors"

	"github.com/x/ringdht/rpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Middleware makes a span for each call that an endpoint makes or handles, with a tracer of the
// provider; nil is the global one. A span's name is "service/method". Its attributes are those of
// OpenTelemetry's conventions for RPC, the other node's ID, and the code of an error.
func Middleware(provider trace.TracerProvider) rpc.Middleware {
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	tracer := provider.Tracer("github.com/x/ringdht/contrib/otel")
	carrier := propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	return func(next rpc.Func) rpc.Func {
		return func(ctx context.Context, op *rpc.Op) (any, error) {
			kind := trace.SpanKindClient
			if op.Serving {
				kind = trace.SpanKindServer
				ctx = carrier.Extract(ctx, op.Meta)
			}
			ctx, span := tracer.Start(ctx, op.Service+"/"+op.Method, trace.WithSpanKind(kind), trace.WithAttributes(
				attribute.String("rpc.system", "ringdht"),
				attribute.String("rpc.service", op.Service),
				attribute.String("rpc.method", op.Method),
				attribute.String("ringdht.peer", op.Peer.String())))
			defer span.End()
			if !op.Serving {
				carrier.Inject(ctx, op.Meta)
			}
			answer, err := next(ctx, op)
			var said *rpc.Error
			if errors.As(err, &said) && said.Code != "" {
				span.SetAttributes(attribute.String("rpc.ringdht.code", said.Code))
			}
			if err != nil {
				span.RecordError(err)
				span.SetStatus(codes.Error, err.Error())
			}
			return answer, err
		}
	}
}
