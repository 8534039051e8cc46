package ringdht

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/membership"
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
	tr := newTestRing(t, NewMemoryNetwork(1))
	a, b := tr.join(nil), tr.join(nil)
	tr.setup(0)
	if err := tr.registry.WaitSettled(tr.ctx()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Send(tr.ctx(), b.ID(), nil), a.Flush(tr.ctx())); err != nil {
		t.Fatal(err)
	}
	waits := map[string]func(ctx context.Context) error{
		"Ready":         a.Ready,
		"ReadyNow":      func(context.Context) error { return a.ReadyNow() },
		"Found":         a.WaitConnected,
		"Flush":         func(ctx context.Context) error { return a.Flush(ctx) },
		"Flush of one":  func(ctx context.Context) error { return a.Flush(ctx, b.ID()) },
		"Trace to self": func(ctx context.Context) error { _, err := a.Trace(ctx, a.ID()); return err },
		"WaitMembers":   func(ctx context.Context) error { return tr.registry.WaitMembers(ctx, 2) },
		"WaitSettled":   tr.registry.WaitSettled,
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
	tr := newTestRing(t, NewMemoryNetwork(1))
	a := tr.join(nil)
	waits := map[string]func(ctx context.Context) error{
		"Ready":       a.Ready,
		"WaitMembers": func(ctx context.Context) error { return tr.registry.WaitMembers(ctx, 2) },
		"WaitSettled": tr.registry.WaitSettled,
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
	tr := newTestRing(t, NewMemoryNetwork(1))
	handled := make(chan struct{}, 1)
	var nodes []*Node
	for range 8 {
		nodes = append(nodes, tr.join(func(context.Context, Message) { handled <- struct{}{} }, WithTraffic()))
	}
	tr.setup(3)
	a, to := nodes[0], nodes[1].ID()
	before, epoch := tr.registry.Snapshot(), tr.registry.Epoch()
	calls := map[string]func(ctx context.Context) error{
		"Setup": func(ctx context.Context) error { _, err := tr.registry.Setup(ctx, 1); return err },
		"Run": func(ctx context.Context) error {
			_, err := tr.registry.RunTraffic(ctx, Traffic{Messages: 1})
			return err
		},
		"Listen":     func(ctx context.Context) error { _, err := tr.registry.Listen(ctx, "registry:0"); return err },
		"TCP.Listen": func(ctx context.Context) error { _, err := TCP{}.Listen(ctx, "127.0.0.1:0"); return err },
		"Trace":      func(ctx context.Context) error { _, err := tr.registry.Trace(ctx, a.ID(), to); return err },
		"Join":       func(ctx context.Context) error { _, err := tr.tryJoinWith(ctx); return err },
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
	after := tr.registry.Snapshot()
	if tr.registry.Epoch() != epoch || after.Entries != before.Entries || len(tr.registry.Members()) != 8 {
		t.Errorf("epoch %d and then %d, %d entries and then %d", epoch, tr.registry.Epoch(), before.Entries, after.Entries)
	}
	tr.run(Traffic{Messages: 1})
	if runs := tr.registry.Snapshot().Runs; len(runs) != 1 || runs[0].Number != 1 {
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

// tryJoinWith joins with a context.
func (tr *testRing) tryJoinWith(ctx context.Context) (*Node, error) {
	return Join(ctx, tr.addr, nil, tr.options(nil)...)
}

// Ready says what is the case, and ReadyNow the same without waiting.
func TestNotReadySaysWhatIsMissing(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net)
	says := func(n *Node, target error, words string) {
		t.Helper()
		for _, err := range []error{n.Ready(over()), n.ReadyNow()} {
			if !errors.Is(err, target) || !strings.Contains(err.Error(), words) {
				t.Errorf("%v; want %q", err, words)
			}
		}
	}
	a := tr.join(nil)
	tr.join(nil)
	says(a, ErrNotReady, "run Setup")
	tr.setup(0)
	if err := a.ReadyNow(); err != nil {
		t.Error(err)
	}

	// A newcomer that cannot reach anybody but the registry: the ring is live.
	for _, host := range []string{"n0", "n1"} {
		net.Hold("n2", host)
	}
	late := tr.join(nil)
	err := late.ReadyNow()
	if !errors.Is(err, ErrNotReady) || strings.Contains(err.Error(), "Setup") {
		t.Error(err)
	}
	net.Cut("n2", "registry")
	<-late.Disconnected()
	says(late, ErrRegistryLost, "the node looks for it")
	if err := late.ReadyNow(); !errors.Is(err, ErrNotReady) {
		t.Error(err)
	}

	// A ready node stays ready without its registry, and is not when it has left.
	net.Cut("n0", "registry")
	<-a.Disconnected()
	if err := a.ReadyNow(); err != nil {
		t.Error(err)
	}
	net.Heal()
	if err := errors.Join(a.WaitConnected(tr.ctx()), a.Leave(tr.ctx())); err != nil {
		t.Fatal(err)
	}
	for range often {
		if err := a.Ready(t.Context()); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
	}
	says(a, ErrClosed, "")
}

// endsWith is a context that ends at the moment when what is waited for happens.
type endsWith struct {
	context.Context
	happens func()
}

func (c endsWith) Done() <-chan struct{} {
	c.happens()
	return c.Context.Done()
}

// What happens as the context ends has happened.
func TestBothAtOnce(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	r, n := tr.registry, tr.join(nil)
	for i := range often {
		so := false
		done := func() bool { return so }
		err := r.await(endsWith{over(), func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			so = true
			r.change()
		}}, done)
		if err != nil {
			t.Fatalf("registry, try %d: %v", i, err)
		}
		so = false
		err = n.await(endsWith{over(), func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			so = true
			n.change()
		}}, done)
		if err != nil {
			t.Fatalf("node, try %d: %v", i, err)
		}
	}
}

// A set-up that had to wait for another, and whose context has ended when its turn
// comes, changes nothing.
func TestSetupChangesNothingWhenItsTurnComesTooLate(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	r := tr.registry
	for range 4 {
		tr.join(nil)
	}
	tr.setup(2)
	epoch := r.Epoch()
	for i := range often {
		r.setup <- struct{}{}
		ctx, cancel := context.WithCancelCause(context.Background())
		_, err := r.Setup(endsWith{ctx, func() {
			select {
			case <-r.setup: // its turn
				cancel(errOver)
			default:
			}
		}}, 1)
		if !errors.Is(err, errOver) || !errors.Is(err, ErrNotReady) || r.Epoch() != epoch {
			t.Fatalf("try %d: %v, epoch %d and then %d", i, err, epoch, r.Epoch())
		}
	}
	if len(r.setup) != 0 {
		t.Error("the slot was not given back")
	}
}

// Nor does a run begin whose context has ended when the ring becomes ready for it.
func TestRunDoesNotBeginTooLate(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	r := tr.registry
	for range 3 {
		tr.join(nil, WithTraffic())
	}
	tr.setup(0)
	for i := range often {
		ctx, cancel := context.WithCancelCause(context.Background())
		r.mu.Lock()
		r.run = nil
		r.mu.Unlock()
		_, err := r.startRun(endsBefore{ctx, func() { cancel(errOver) }}, Traffic{Messages: 1, Payload: 4})
		if !errors.Is(err, errOver) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	if runs := r.Snapshot().Runs; len(runs) != 0 || r.runs != 0 {
		t.Errorf("%d runs have begun", r.runs)
	}
}

// endsBefore is a context that ends before it is first looked at.
type endsBefore struct {
	context.Context
	end func()
}

func (c endsBefore) Done() <-chan struct{} {
	c.end()
	return c.Context.Done()
}

// Who waits until a node is ready hears that it leaves when that begins, and not when it
// is done.
func TestReadyEndsWhenALeaveBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTestRing(t, NewMemoryNetwork(1), WithLease(lease))
		n := tr.join(nil)
		ready := make(chan error, 1)
		go func() { ready <- n.Ready(context.Background()) }()
		synctest.Wait()
		tr.registry.Close() // so that the leave takes a lease
		left := make(chan error, 1)
		go func() { left <- n.Leave(context.Background()) }()
		synctest.Wait()
		select {
		case err := <-ready:
			if !errors.Is(err, ErrNotMember) {
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
		if err := <-left; !errors.Is(err, ErrRegistryLost) {
			t.Error(err)
		}
		tr.close()
	})
}

// Why a node cannot send yet depends on whether the ring is live: a newcomer needs no set-up.
func TestWhySendIsTooEarly(t *testing.T) {
	tr := newTestRing(t, nil)
	a := tr.join(nil)
	says := func(n *Node, want string) {
		t.Helper()
		_, traced := n.Trace(t.Context(), 1)
		for _, err := range []error{n.Send(t.Context(), 1, nil), n.Cast(t.Context(), 1, nil), traced} {
			if !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), want) {
				t.Errorf("the error is %v, want one with %q", err, want)
			}
		}
	}
	says(a, "it has not been set up: run Setup")
	tr.setup(0)
	b := tr.join(nil)
	if err := b.Ready(tr.ctx()); err != nil {
		t.Fatal(err)
	}
	if why := b.notSet(); !errors.Is(why, ErrNotReady) || !strings.Contains(why.Error(), "try again") {
		t.Errorf("of a node that is ready meanwhile the error is %v", why)
	}
	fresh := &incarnation{self: b.inc.Load().self, ready: make(chan struct{}), ctx: t.Context()}
	fresh.local.Store(&membership.Local{}) // as it was before it was taken in
	var newcomer Node
	newcomer.inc.Store(fresh)
	if why := newcomer.notSet(); !errors.Is(why, ErrNotReady) || !strings.Contains(why.Error(), "the ring is live") {
		t.Errorf("a newcomer's error is %v", why)
	}
}
