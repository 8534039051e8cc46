package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/leaks"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/rpc"
)

func TestMain(m *testing.M) { leaks.Main(m) }

// open starts a ring of two instances on an in-memory network.
func open(t *testing.T, work func(number int) int) (all []*instance) {
	t.Helper()
	network := memnet.New(1)
	registry, err := ringdht.NewRegistry(ringdht.WithTransport(network.Host("registry")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry.Close() })
	if _, err := registry.Listen(t.Context(), "registry:1"); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"a", "b"} {
		i := newInstance(ringdht.NewNode(ringdht.WithTransport(network.Host(host))), work)
		t.Cleanup(func() { i.node.Close() })
		if err := i.node.Join(t.Context(), "registry:1"); err != nil {
			t.Fatal(err)
		}
		all = append(all, i)
	}
	if _, err := registry.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if err := i.node.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// Work that panics is done at one instance only, and a later request does it again.
func TestWorkPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		all := open(t, func(int) int {
			if calls++; calls == 1 {
				panic("no answer")
			}
			return 4
		})
		if _, _, err := ask(t.Context(), all[0], Count, 10); !errors.Is(err, rpc.ErrPanic) || calls != 1 {
			t.Errorf("the work was done %d times: %v", calls, err)
		}
		for range 2 {
			if n, _, err := ask(t.Context(), all[1], Count, 10); n != 4 || err != nil || calls != 2 {
				t.Errorf("after %d calls the answer is %d, %v", calls, n, err)
			}
		}
	})
}

// The next instance is asked if the owner has not handled the request, or may not have.
func TestNextInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := open(t, func(int) int { return 4 })
		owner := all[0].owners(10)[0].ID
		asker := all[0]
		if owner == asker.node.ID() {
			asker = all[1]
		}
		for _, i := range all {
			if i != asker {
				rpc.Method[int, int]("slow").Handle(i.instances, func(ctx context.Context, _ int) (int, error) {
					<-ctx.Done() // for longer than the patience
					return 0, ctx.Err()
				})
			} else {
				rpc.Method[int, int]("slow").Handle(i.instances, func(context.Context, int) (int, error) { return 1, nil })
				rpc.Method[int, int]("here").Handle(i.instances, func(context.Context, int) (int, error) { return 2, nil })
			}
		}
		for method, want := range map[rpc.Method[int, int]]int{"slow": 1, "here": 2} {
			if n, by, err := ask(t.Context(), asker, method, 10); n != want || by.ID != asker.node.ID() || err != nil {
				t.Errorf("%s: %d of %v, %v", method, n, by, err)
			}
		}
	})
}
