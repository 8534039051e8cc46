package topic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/rpc"
)

func TestEnvelope(t *testing.T) {
	for _, meta := range []rpc.Meta{nil, {"user": "ada"}, {"": "", "a": strings.Repeat("x", 16000)}} {
		for _, subject := range []string{"", "s", strings.Repeat("s", 255)} {
			b, err := appendEnvelope(nil, subject, meta)
			if err != nil {
				t.Fatal(err)
			}
			setStamp(b, 77)
			b = append(b, "value"...)
			e, ok := parseEnvelope(b)
			if !ok || e.stamp != 77 || string(e.subject) != subject || string(e.value) != "value" || !maps.Equal(metaOf(e.meta), meta) {
				t.Errorf("%q, %v: %+v", subject, meta, e)
			}
			for n := range len(b) - len("value") {
				if _, ok := parseEnvelope(b[:n]); ok {
					t.Fatalf("%d bytes of %d are an envelope", n, len(b))
				}
			}
		}
	}
	many := make(rpc.Meta)
	for i := range maxMeta + 1 {
		many[fmt.Sprint(i)] = ""
	}
	for _, meta := range []rpc.Meta{many, {strings.Repeat("k", 256): ""}, {"k": strings.Repeat("v", metaBytes)}} {
		if _, err := appendEnvelope(nil, "", meta); !errors.Is(err, ringdht.ErrTooLarge) {
			t.Errorf("%d entries: %v", len(meta), err)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	b, _ := appendEnvelope(nil, "subject", rpc.Meta{"key": "value"})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, ok := parseEnvelope(b); ok {
			metaOf(e.meta)
			if stampSize+1+len(e.subject)+1+len(e.meta)+len(e.value) != len(b) {
				t.Errorf("%+v of %d bytes", e, len(b))
			}
		}
	})
}

// A message without metadata has a nil map, with middleware too. An error of middleware behind its next
// does not take the message back.
func TestMiddlewareWithoutMeta(t *testing.T) {
	late := errors.New("late")
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(2)
		sub, err := all[1].topic.Subscribe(r.Ctx(), "s")
		if err != nil {
			t.Fatal(err)
		}
		if err := all[0].topic.Publish(r.Ctx(), "s", note{N: 1}); !errors.Is(err, late) {
			t.Error(err)
		}
		for m := range sub.All(r.Ctx()) {
			if m.Meta != nil || m.Value.N != 1 {
				t.Errorf("%#v", m)
			}
			break
		}
	}, WithMiddleware(func(next rpc.Func) rpc.Func {
		return func(ctx context.Context, op *rpc.Op) (any, error) {
			if v, err := next(ctx, op); err != nil || op.Serving {
				return v, err
			}
			return nil, late
		}
	}))
}

// Middleware is around each publish, and around the loop for each message. Metadata goes along.
func TestMiddleware(t *testing.T) {
	var seen []string
	drop := errors.New("no")
	trace := func(next rpc.Func) rpc.Func {
		return func(ctx context.Context, op *rpc.Op) (any, error) {
			n := op.Value.(note).N
			if n == 2 && !op.Serving {
				return nil, drop
			}
			if n == 3 && op.Serving {
				return nil, nil
			}
			if op.Serving {
				op.Value = note{op.Value.(note).Life, n + 100}
			}
			op.Meta.Set("stage", op.Meta.Get("stage")+"+")
			seen = append(seen, fmt.Sprint(op.Service, " ", op.Method, " ", op.Serving, " ", op.Peer, " ", op.Meta.Get("user")))
			return next(ctx, op)
		}
	}
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(2)
		sub, err := all[1].topic.Subscribe(r.Ctx(), "s")
		if err != nil {
			t.Fatal(err)
		}
		for n := range uint64(4) {
			err := all[0].topic.Publish(rpc.WithMeta(r.Ctx(), "user", "ada"), "s", note{N: n + 1})
			if n == 1 != errors.Is(err, drop) {
				t.Errorf("publishing %d: %v", n+1, err)
			}
		}
		var got []string
		for m := range sub.All(r.Ctx()) {
			got = append(got, fmt.Sprint(m.Value.N, " ", m.Meta["user"], " ", m.Meta["stage"]))
			if m.Value.N == 104 {
				break
			}
		}
		if fmt.Sprint(got) != "[101 ada ++ 104 ada ++]" {
			t.Errorf("%q", got)
		}
		if len(seen) != 5 || seen[0] != "t s false 0 ada" || seen[4] != "t s true 10 ada" {
			t.Errorf("%q", seen)
		}
	}, WithMiddleware(trace))
}
