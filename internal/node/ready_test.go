package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// often is how many times a test tries what must not depend on chance.
const often = 1000

var errOver = errors.New("over before the call")

// over is a context that has ended.
func over() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errOver)
	return ctx
}

// What is so already wins over a context that has ended, in every wait.
func TestWhatIsSoWinsOverAnEndedContext(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	a, b := tr.Join(nil), tr.Join(nil)
	tr.Setup(0)
	if err := tr.Registry.WaitSettled(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Send(tr.Ctx(), b.ID(), nil), a.Flush(tr.Ctx())); err != nil {
		t.Fatal(err)
	}
	waits := map[string]func(ctx context.Context) error{
		"Ready":         a.Ready,
		"ReadyNow":      func(context.Context) error { return a.ReadyNow() },
		"Found":         a.WaitConnected,
		"Flush":         func(ctx context.Context) error { return a.Flush(ctx) },
		"Flush of one":  func(ctx context.Context) error { return a.Flush(ctx, b.ID()) },
		"Trace to self": func(ctx context.Context) error { _, err := a.Trace(ctx, a.ID()); return err },
		"WaitMembers":   func(ctx context.Context) error { return tr.Registry.WaitMembers(ctx, 2) },
		"WaitSettled":   tr.Registry.WaitSettled,
	}
	for name, wait := range waits {
		for i := range often {
			if err := wait(over()); err != nil {
				t.Errorf("%s, try %d: %v", name, i, err)
				break
			}
		}
	}
}

// What is not so is not waited for with a context that has ended, and the error is
// the context's.
func TestWhatIsNotSoFailsWithAnEndedContext(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	a := tr.Join(nil)
	waits := map[string]func(ctx context.Context) error{
		"Ready":       a.Ready,
		"WaitMembers": func(ctx context.Context) error { return tr.Registry.WaitMembers(ctx, 2) },
		"WaitSettled": tr.Registry.WaitSettled,
	}
	for name, wait := range waits {
		for range often {
			if err := wait(over()); !errors.Is(err, errOver) {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
	}
}

// A context that is over does nothing: no table changes, no run starts, no message is
// accepted, nobody joins or listens.
func TestAnEndedContextDoesNothing(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	handled := make(chan struct{}, 1)
	var nodes []*ringtest.Node
	for range 8 {
		nodes = append(nodes, tr.Join(func(context.Context, ringdht.Message) { handled <- struct{}{} }, ringdht.WithTraffic()))
	}
	tr.Setup(3)
	a, to := nodes[0], nodes[1].ID()
	before, epoch := tr.Registry.Snapshot(), tr.Registry.Epoch()
	calls := map[string]func(ctx context.Context) error{
		"Setup": func(ctx context.Context) error { _, err := tr.Registry.Setup(ctx, 1); return err },
		"Run": func(ctx context.Context) error {
			_, err := tr.Registry.RunTraffic(ctx, status.Traffic{Messages: 1})
			return err
		},
		"Listen":     func(ctx context.Context) error { _, err := tr.Registry.Listen(ctx, "registry:0"); return err },
		"TCP.Listen": func(ctx context.Context) error { _, err := ringdht.TCP{}.Listen(ctx, "127.0.0.1:0"); return err },
		"Trace":      func(ctx context.Context) error { _, err := tr.Registry.Trace(ctx, a.ID(), to); return err },
		"Join":       func(ctx context.Context) error { _, err := joinWith(ctx, tr); return err },
		"Send":       func(ctx context.Context) error { return a.Send(ctx, to, nil) },
		"SendValue":  func(ctx context.Context) error { return a.SendValue(ctx, to, 1) },
		"Cast":       func(ctx context.Context) error { return a.Cast(ctx, to, nil) },
		"Node.Trace": func(ctx context.Context) error { _, err := a.Trace(ctx, to); return err },
	}
	for name, call := range calls {
		for range often {
			if err := call(over()); !errors.Is(err, errOver) {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
	}
	after := tr.Registry.Snapshot()
	if tr.Registry.Epoch() != epoch || after.Entries != before.Entries || len(tr.Registry.Members()) != 8 {
		t.Errorf("epoch %d and then %d, %d entries and then %d", epoch, tr.Registry.Epoch(), before.Entries, after.Entries)
	}
	tr.Run(status.Traffic{Messages: 1})
	if runs := tr.Registry.Snapshot().Runs; len(runs) != 1 || runs[0].Number != 1 {
		t.Errorf("others have started: %+v", runs)
	}
	select {
	case <-handled:
		t.Error("a message was handled")
	default:
	}
	if c := a.Status().Counters; c.Casts != 0 || c.Sent != 1 { // the run's
		t.Errorf("%d casts, %d messages", c.Casts, c.Sent)
	}
}

// joinWith joins with a context.
func joinWith(ctx context.Context, tr *ringtest.Ring) (*ringtest.Node, error) {
	return ringtest.Join(ctx, tr.Line(), nil, tr.Options(nil)...)
}

// Ready says what is the case, and ReadyNow the same without waiting.
func TestNotReadySaysWhatIsMissing(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	says := func(n *ringtest.Node, target error, words string) {
		t.Helper()
		for _, err := range []error{n.Ready(over()), n.ReadyNow()} {
			if !errors.Is(err, target) || !strings.Contains(err.Error(), words) {
				t.Errorf("%v; want %q", err, words)
			}
		}
	}
	a := tr.Join(nil)
	tr.Join(nil)
	says(a, ringdht.ErrNotReady, "run Setup")
	tr.Setup(0)
	if err := a.ReadyNow(); err != nil {
		t.Error(err)
	}

	// A newcomer that cannot reach anybody but the registry: the ring is live.
	for _, host := range []string{"n0", "n1"} {
		net.Hold("n2", host)
	}
	late := tr.Join(nil)
	err := late.ReadyNow()
	if !errors.Is(err, ringdht.ErrNotReady) || strings.Contains(err.Error(), "Setup") {
		t.Error(err)
	}
	net.Cut("n2", "registry")
	<-late.Disconnected()
	says(late, ringdht.ErrRegistryLost, "the node tries to reconnect")
	if err := late.ReadyNow(); !errors.Is(err, ringdht.ErrNotReady) {
		t.Error(err)
	}

	// A ready node stays ready without its registry, and is not when it has left.
	net.Cut("n0", "registry")
	<-a.Disconnected()
	if err := a.ReadyNow(); err != nil {
		t.Error(err)
	}
	net.Heal()
	if err := errors.Join(a.WaitConnected(tr.Ctx()), a.Leave(tr.Ctx())); err != nil {
		t.Fatal(err)
	}
	for range often {
		if err := a.Ready(t.Context()); !errors.Is(err, ringdht.ErrClosed) {
			t.Fatal(err)
		}
	}
	says(a, ringdht.ErrClosed, "")
}

// What happens as the context ends has happened.
func TestBothAtOnce(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	n := ringtest.NodeOf(tr.Join(nil))
	for i := range often {
		so := false
		happens := func() { n.Change(func() { so = true }) }
		if err := n.Await(ringtest.CancelAtDone{Context: over(), Cancel: happens}, func() bool { return so }); err != nil {
			t.Fatalf("try %d: %v", i, err)
		}
	}
}

// Who waits until a node is ready hears that it leaves when that begins, and not when it
// is done.
func TestReadyEndsWhenALeaveBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease))
		n := tr.Join(nil)
		ready := make(chan error, 1)
		go func() { ready <- n.Ready(context.Background()) }()
		synctest.Wait()
		tr.Registry.Close() // so that the leave takes a lease
		left := make(chan error, 1)
		go func() { left <- n.Leave(context.Background()) }()
		synctest.Wait()
		select {
		case err := <-ready:
			if !errors.Is(err, ringdht.ErrNotMember) {
				t.Error(err)
			}
		default:
			t.Error("it waits on")
		}
		select {
		case err := <-left:
			t.Error("the leave has ended:", err)
		default:
		}
		if err := <-left; !errors.Is(err, ringdht.ErrRegistryLost) {
			t.Error(err)
		}
		tr.Close()
	})
}

// Why a node cannot send yet depends on whether the ring is live: a newcomer needs no set-up.
func TestWhySendIsTooEarly(t *testing.T) {
	tr := ringtest.New(t, nil)
	a := tr.Join(nil)
	says := func(n *ringtest.Node, want string) {
		t.Helper()
		over, cancel := context.WithCancel(t.Context())
		cancel() // Send would wait for the set-up
		_, traced := n.Trace(t.Context(), 1)
		for _, err := range []error{n.Send(over, 1, nil), n.Cast(over, 1, nil), traced} {
			if !errors.Is(err, ringdht.ErrNotReady) || !strings.Contains(err.Error(), want) {
				t.Errorf("the error is %v, want one with %q", err, want)
			}
		}
	}
	says(a, "it has not been set up: run Setup")
	tr.Setup(0)
	b := tr.Join(nil)
	if err := b.Ready(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	if why := ringtest.NodeOf(b).NoTableError(); !errors.Is(why, ringdht.ErrNotReady) || !strings.Contains(why.Error(), "try again") {
		t.Errorf("of a node that is ready meanwhile the error is %v", why)
	}
	newcomer := ringtest.NodeOf(b).Present().AsAdmitted()
	if why := newcomer.NoTableError(); !errors.Is(why, ringdht.ErrNotReady) || !strings.Contains(why.Error(), "the ring is live") {
		t.Errorf("a newcomer's error is %v", why)
	}
}
