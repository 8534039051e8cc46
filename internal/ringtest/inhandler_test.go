package ringtest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// ended fails the test if f hangs.
func ended(t *testing.T, what string, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(2 * time.Minute):
		t.Fatalf("%s hangs", what)
		return nil
	}
}

// A call that would wait for the handler that makes it returns ErrInHandler at once, and does
// nothing.
func TestEndingTheNodeInItsHandler(t *testing.T) {
	for name, end := range map[string]func(context.Context, *ringtest.Node) error{
		"Close":                      func(_ context.Context, n *ringtest.Node) error { return n.Close() },
		"Leave":                      func(ctx context.Context, n *ringtest.Node) error { return n.Leave(ctx) },
		"Leave with another context": func(_ context.Context, n *ringtest.Node) error { return n.Leave(context.Background()) },
		"Leave of a goroutine that the handler waits for": func(ctx context.Context, n *ringtest.Node) error {
			left := make(chan error)
			go func() { left <- n.Leave(ctx) }()
			return <-left
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := ringtest.New(t, memnet.New(1))
			var n *ringtest.Node
			joined, got := make(chan struct{}), make(chan error, 1)
			n = tr.Join(func(ctx context.Context, m ringdht.Message) {
				<-joined
				got <- end(ctx, n)
			})
			close(joined)
			other := tr.Join(nil)
			tr.Setup(0)
			for range 3 {
				if err := other.Send(tr.Ctx(), n.ID(), nil); err != nil {
					t.Fatal(err)
				}
				if err := ended(t, name, func() error { return <-got }); !errors.Is(err, ringdht.ErrInHandler) {
					t.Errorf("it returned %v", err)
				}
				if err := ended(t, "Flush", func() error { return other.Flush(tr.Ctx()) }); err != nil {
					t.Error(err)
				}
			}
			if err := ended(t, "the end", func() error { return n.Leave(tr.Ctx()) }); err != nil {
				t.Error(err)
			}
		})
	}
}

// A handler may end another node, and a goroutine that it starts may end its own.
func TestEndingAnotherNodeInAHandler(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	closed := make(chan error, 1)
	var other, n *ringtest.Node
	ready := make(chan struct{})
	n = tr.Join(func(context.Context, ringdht.Message) {
		<-ready
		err := other.Close()
		go func() { closed <- errors.Join(err, n.Close()) }()
	})
	other = tr.Join(func(ctx context.Context, m ringdht.Message) { // busy meanwhile
		<-ctx.Done()
	})
	close(ready)
	source := tr.Join(nil)
	tr.Setup(0)
	if err := source.Send(tr.Ctx(), other.ID(), nil); err != nil {
		t.Fatal(err)
	}
	if err := source.Send(tr.Ctx(), n.ID(), nil); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, "Close", func() error { return <-closed }); err != nil {
		t.Error(err)
	}
}

// The callback for undelivered messages counts as a handler: it cannot call what waits for it.
// A Flush in it does not wait for it.
func TestEndingTheNodeInItsCallback(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	var n *ringtest.Node
	joined := make(chan struct{})
	got := make(chan error, 3)
	n = tr.Join(nil, ringtest.WithUndelivered(func(status.Undelivered) {
		<-joined
		got <- n.Close()
		got <- n.Leave(context.Background())
		n.Flush(context.Background())
		got <- nil
	}))
	close(joined)
	sink := tr.Join(func(ctx context.Context, m ringdht.Message) { <-ctx.Done() })
	tr.Join(nil)
	tr.Setup(0)
	if err := n.Send(tr.Ctx(), sink.ID(), nil); err != nil {
		t.Fatal(err)
	}
	sink.Close()
	for _, what := range []string{"Close", "Leave", "Flush"} {
		err := ended(t, what, func() error { return <-got })
		if want := what != "Flush"; errors.Is(err, ringdht.ErrInHandler) != want {
			t.Errorf("%s returned %v", what, err)
		}
	}
	if err := ended(t, "Leave", func() error { return n.Leave(tr.Ctx()) }); errors.Is(err, ringdht.ErrInHandler) {
		t.Error(err)
	}
}

// Progress runs on a goroutine of the caller, and may close the registry.
func TestClosingTheRegistryInProgress(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 3 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	err := ended(t, "Run", func() error {
		_, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 1 << 30, Progress: func(int64, int64) { tr.Registry.Close() }})
		return err
	})
	if !errors.Is(err, ringdht.ErrClosed) {
		t.Error(err)
	}
}

const panicRole = "RINGDHT_TEST_PANIC"

// A panic in a handler or in a callback is logged, or printed on standard error if there is no
// logger. The test reads the standard error of another process.
func TestPanicsAreSeen(t *testing.T) {
	if role := os.Getenv(panicRole); role != "" {
		panicking(t, role == "logger")
		return
	}
	for _, role := range []string{"default", "logger"} {
		var stderr strings.Builder
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPanicsAreSeen$")
		cmd.Env = append(os.Environ(), panicRole+"="+role)
		cmd.Stderr = &stderr
		if out, err := cmd.Output(); err != nil {
			t.Fatalf("%v: %s%s", err, out, stderr.String())
		}
		for _, want := range []string{"handler panicked, node 10, source 10: no such luck", "callback for undelivered messages panicked, node 10, sink 20: nor here",
			"inhandler_test.go", "panicking"} {
			if seen := strings.Contains(stderr.String(), want); seen != (role == "default") {
				t.Errorf("%s: %q is seen: %v, in\n%s", role, want, seen, stderr.String())
			}
		}
		if role == "default" && strings.Count(stderr.String(), "ringdht: ") != 2 {
			t.Errorf("standard error has more than two panics:\n%s", stderr.String())
		}
	}
}

func panicking(t *testing.T, logger bool) {
	tr := ringtest.New(t, memnet.New(1))
	opts := []ringdht.NodeOption{ringdht.WithID(10), ringtest.WithUndelivered(func(status.Undelivered) { panic("nor here") })}
	if logger {
		opts = append(opts, ringdht.WithLogger(slog.New(slog.DiscardHandler)))
	}
	n := tr.Join(func(context.Context, ringdht.Message) { panic(fmt.Sprint("no such ", "luck")) }, opts...)
	sink := tr.Join(func(ctx context.Context, m ringdht.Message) { <-ctx.Done() }, ringdht.WithID(20))
	tr.Setup(0)
	for _, to := range []ringdht.ID{n.ID(), sink.ID()} {
		if err := n.Send(tr.Ctx(), to, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Flush(tr.Ctx(), n.ID()); err != nil {
		t.Fatal(err)
	}
	sink.Close()
	n.Close()
}
