package node_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

func TestClosedErrors(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	n := tr.Join(nil)
	tr.Join(nil)
	tr.Setup(0)
	other := tr.Nodes[1].ID()
	for range 2 {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, call := range map[string]func() error{
		"Send":  func() error { return n.Send(tr.Ctx(), other, nil) },
		"Cast":  func() error { return n.Cast(tr.Ctx(), other, nil) },
		"Trace": func() error { _, err := n.Trace(tr.Ctx(), other); return err },
	} {
		if err := call(); !errors.Is(err, ringdht.ErrClosed) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s on a closed node: %v", name, err)
		}
	}
	if err := n.Leave(tr.Ctx()); !errors.Is(err, ringdht.ErrNotMember) {
		t.Errorf("Leave on a closed node: %v", err)
	}
	for range 2 {
		if err := tr.Registry.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, call := range map[string]func() error{
		"Setup":  func() error { _, err := tr.Registry.Setup(tr.Ctx(), 0); return err },
		"Run":    func() error { _, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 1}); return err },
		"Listen": func() error { _, err := tr.Registry.Listen(tr.Ctx(), ":0"); return err },
		"Wait":   func() error { return tr.Registry.WaitMembers(tr.Ctx(), 9) },
		"Serve": func() error {
			l, err := tr.Net.Host("registry").Listen(tr.Ctx(), ":0")
			if err != nil {
				return err
			}
			return tr.Registry.Serve(l)
		},
	} {
		if err := call(); !errors.Is(err, ringdht.ErrClosed) {
			t.Errorf("%s on a closed registry: %v", name, err)
		}
	}
}

func TestServeOnAListener(t *testing.T) {
	net := memnet.New(1)
	r, err := ringdht.NewRegistry(ringdht.WithTransport(net.Host("r")))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Host("r").Listen(t.Context(), "r:7")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- r.Serve(l) }()
	n, err := ringtest.Join(t.Context(), "r:7", nil, ringdht.WithTransport(net.Host("n")))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	r.Close()
	if err := <-done; !errors.Is(err, ringdht.ErrClosed) {
		t.Errorf("Serve returned %v", err)
	}
	<-n.Disconnected()
}

// Leaving waits until what was sent has been handled, and takes the node off the
// list.
func TestLeaveDrains(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	release := make(chan struct{})
	var mu sync.Mutex
	handled := 0
	sink := tr.Join(func(ctx context.Context, _ ringdht.Message) {
		ringtest.Block(ctx, release)
		mu.Lock()
		handled++
		mu.Unlock()
	})
	n := tr.Join(nil)
	tr.Setup(0)
	for range 10 {
		if err := n.Send(tr.Ctx(), sink.ID(), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	left := make(chan error)
	go func() { left <- n.Leave(tr.Ctx()) }()
	close(release)
	if err := <-left; err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if handled != 10 || len(tr.Registry.Members()) != 1 {
		t.Errorf("%d of 10 messages handled, members %v", handled, tr.Registry.Members())
	}
}

// When the context of Leave ends first the node leaves all the same, and says so.
func TestLeaveInAHurry(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	release := make(chan struct{})
	defer close(release)
	sink := tr.Join(func(ctx context.Context, _ ringdht.Message) { ringtest.Block(ctx, release) })
	n := tr.Join(nil)
	tr.Setup(0)
	if err := n.Send(tr.Ctx(), sink.ID(), nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(tr.Ctx())
	cancel()
	err := n.Leave(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if lost := new(status.UndeliveredError); !errors.As(err, &lost) || len(lost.Streams) != 1 || lost.Streams[0].Messages != 1 {
		t.Errorf("it does not say what is of unknown outcome: %v", err)
	}
	if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return ringtest.RegistryOf(tr.Registry).Authority().Len() == 1 }); err != nil {
		t.Error(err)
	}
}

// Close says what is of unknown outcome, message by message, once.
func TestCloseListsWhatIsUnknown(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	release := make(chan struct{})
	defer close(release)
	sink := tr.Join(func(ctx context.Context, _ ringdht.Message) { ringtest.Block(ctx, release) })
	n := tr.Join(nil)
	tr.Setup(0)
	for _, text := range []string{"a", "b", "c"} {
		if err := n.Send(tr.Ctx(), sink.ID(), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	err := n.Close()
	lost := new(status.UndeliveredError)
	if !errors.As(err, &lost) || len(lost.Streams) != 1 || string(bytes.Join(lost.Streams[0].Bodies, nil)) != "abc" || !errors.Is(err, ringdht.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := n.Close(); err != nil {
		t.Errorf("again: %v", err)
	}
}

// A sink that is gone, as the ring learns at the next set-up, takes messages of
// unknown outcome with it, and the source is told how many.
func TestUndelivered(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	release := make(chan struct{})
	var sink, from *ringtest.Node
	for range 4 {
		tr.Join(func(ctx context.Context, _ ringdht.Message) { ringtest.Block(ctx, release) })
	}
	tr.Setup(0)
	sink, from = tr.Nodes[0], tr.Nodes[1]
	const messages = 7
	for range messages {
		if err := from.Send(tr.Ctx(), sink.ID(), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	sink.Close()
	close(release)
	if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return ringtest.RegistryOf(tr.Registry).Authority().Len() == 3 }); err != nil {
		t.Fatal(err)
	}
	tr.Nodes = tr.Nodes[1:]
	tr.Setup(0)
	err := from.Flush(tr.Ctx())
	var lost *status.UndeliveredError
	if !errors.As(err, &lost) || len(lost.Streams) != 1 || lost.Streams[0].Sink != sink.ID() ||
		lost.Streams[0].Messages != messages || !errors.Is(err, ringdht.ErrGone) && !errors.Is(err, ringdht.ErrNoSuchNode) {
		t.Fatalf("got %v", err)
	}
	if err := from.Flush(tr.Ctx()); err != nil {
		t.Errorf("told twice: %v", err)
	}
	if err := from.Send(tr.Ctx(), sink.ID(), nil); !errors.Is(err, ringdht.ErrNoSuchNode) {
		t.Errorf("sending to who is gone: %v", err)
	}
}

// Messages flow when the registry is gone.
func TestRegistryGone(t *testing.T) { synctest.Test(t, registryGone) }

func registryGone(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(time.Second))
	got := make(chan struct{}, 1)
	for range 3 {
		tr.Join(func(context.Context, ringdht.Message) { got <- struct{}{} })
	}
	tr.Setup(1)
	tr.Registry.Close()
	for _, n := range tr.Nodes {
		<-n.Disconnected()
	}
	from, to := tr.Nodes[0], tr.Nodes[1]
	if err := from.Send(tr.Ctx(), to.ID(), nil); err != nil {
		t.Fatal(err)
	}
	<-got
	if err := from.Leave(tr.Ctx()); !errors.Is(err, ringdht.ErrRegistryLost) {
		t.Errorf("leaving: %v", err)
	}
}

// A set-up that cannot succeed says whose link is missing, and the next one mends it.
func TestSetupSaysWhichLinkIsMissing(t *testing.T) { synctest.Test(t, setupSaysWhichLinkIsMissing) }

func setupSaysWhichLinkIsMissing(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	tr.Join(nil, ringdht.WithTraffic())
	tr.Join(nil, ringdht.WithTraffic())
	net.Cut("n0", "n1") // in a ring of two there is no way around
	_, err := tr.Registry.Setup(tr.Ctx(), 3)
	if !errors.Is(err, ringdht.ErrNotReady) || !strings.Contains(err.Error(), "cannot link to its entry") {
		t.Fatalf("got %v", err)
	}
	if _, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 1}); !errors.Is(err, ringdht.ErrNotReady) || !strings.Contains(err.Error(), "cannot reach node") {
		t.Errorf("a run now: %v", err)
	}
	net.Mend("n0", "n1")
	if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return len(ringtest.RegistryOf(tr.Registry).Authority().WithoutDetour()) == 0 }); err != nil {
		t.Fatal(err)
	}
	tr.Setup(3)

	net.Hold("registry", "n1") // its manifest does not arrive
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err = tr.Registry.Setup(ctx, 1); !errors.Is(err, ringdht.ErrNotReady) || !strings.Contains(err.Error(), "has not reported") {
		t.Errorf("got %v", err)
	}
	net.Heal()
	tr.Setup(1)
}

// Streams that send nothing for a while are forgotten at both ends, and come back
// when they are needed.
func TestIdleStreamsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(3*time.Second))
		got := make(chan struct{}, 2)
		for range 3 {
			tr.Join(func(context.Context, ringdht.Message) { got <- struct{}{} })
		}
		tr.Setup(0)
		from, to := tr.Nodes[0], tr.Nodes[1]
		for range 2 {
			if err := from.Send(tr.Ctx(), to.ID(), nil); err != nil {
				t.Fatal(err)
			}
			<-got
			if out, in := ringtest.NodeOf(from).Present().Plane().StreamCount(); out != 1 || in != 0 {
				t.Errorf("%d outgoing and %d incoming streams at the source", out, in)
			}
			time.Sleep(3 * node.IdleStream)
			if out, _ := ringtest.NodeOf(from).Present().Plane().StreamCount(); out != 0 {
				t.Error("the source keeps an idle stream")
			}
			if _, in := ringtest.NodeOf(to).Present().Plane().StreamCount(); in != 0 {
				t.Error("the sink keeps an idle stream")
			}
		}
		tr.Close()
	})
}
