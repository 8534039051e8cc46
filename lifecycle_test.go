package ringdht

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/handshake"
)

func TestClosedErrors(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	n := tr.join(nil)
	tr.join(nil)
	tr.setup(0)
	other := tr.nodes[1].ID()
	for range 2 {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, call := range map[string]func() error{
		"Send":  func() error { return n.Send(tr.ctx(), other, nil) },
		"Cast":  func() error { return n.Cast(tr.ctx(), other, nil) },
		"Trace": func() error { _, err := n.Trace(tr.ctx(), other); return err },
	} {
		if err := call(); !errors.Is(err, ErrClosed) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s on a closed node: %v", name, err)
		}
	}
	if err := n.Leave(tr.ctx()); !errors.Is(err, ErrNotMember) {
		t.Errorf("Leave on a closed node: %v", err)
	}
	for range 2 {
		if err := tr.registry.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, call := range map[string]func() error{
		"Setup":  func() error { _, err := tr.registry.Setup(tr.ctx(), 0); return err },
		"Run":    func() error { _, err := tr.registry.RunTraffic(tr.ctx(), Traffic{Messages: 1}); return err },
		"Listen": func() error { _, err := tr.registry.Listen(tr.ctx(), ":0"); return err },
		"Wait":   func() error { return tr.registry.WaitMembers(tr.ctx(), 9) },
		"Serve": func() error {
			l, err := tr.net.Host("registry").Listen(tr.ctx(), ":0")
			if err != nil {
				return err
			}
			return tr.registry.Serve(l)
		},
	} {
		if err := call(); !errors.Is(err, ErrClosed) {
			t.Errorf("%s on a closed registry: %v", name, err)
		}
	}
}

func TestServeOnAListener(t *testing.T) {
	net := NewMemoryNetwork(1)
	r, err := NewRegistry(WithTransport(net.Host("r")))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Host("r").Listen(t.Context(), "r:7")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- r.Serve(l) }()
	n, err := Join(t.Context(), "r:7", nil, WithTransport(net.Host("n")))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	r.Close()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("Serve returned %v", err)
	}
	<-n.Disconnected()
}

// Leaving waits until what was sent has been handled, and takes the node off the
// list.
func TestLeaveDrains(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	release := make(chan struct{})
	var mu sync.Mutex
	handled := 0
	sink := tr.join(func(ctx context.Context, _ Message) {
		hold(ctx, release)
		mu.Lock()
		handled++
		mu.Unlock()
	})
	n := tr.join(nil)
	tr.setup(0)
	for range 10 {
		if err := n.Send(tr.ctx(), sink.ID(), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	left := make(chan error)
	go func() { left <- n.Leave(tr.ctx()) }()
	close(release)
	if err := <-left; err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if handled != 10 || len(tr.registry.Members()) != 1 {
		t.Errorf("%d of 10 messages handled, members %v", handled, tr.registry.Members())
	}
}

// When the context of Leave ends first the node leaves all the same, and says so.
func TestLeaveInAHurry(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	release := make(chan struct{})
	defer close(release)
	sink := tr.join(func(ctx context.Context, _ Message) { hold(ctx, release) })
	n := tr.join(nil)
	tr.setup(0)
	if err := n.Send(tr.ctx(), sink.ID(), nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(tr.ctx())
	cancel()
	err := n.Leave(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if lost := new(UndeliveredError); !errors.As(err, &lost) || len(lost.Streams) != 1 || lost.Streams[0].Messages != 1 {
		t.Errorf("it does not say what is of unknown outcome: %v", err)
	}
	if err := tr.registry.await(tr.ctx(), func() bool { return tr.registry.members.Len() == 1 }); err != nil {
		t.Error(err)
	}
}

// Close says what is of unknown outcome, message by message, once.
func TestCloseListsWhatIsUnknown(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	release := make(chan struct{})
	defer close(release)
	sink := tr.join(func(ctx context.Context, _ Message) { hold(ctx, release) })
	n := tr.join(nil)
	tr.setup(0)
	for _, text := range []string{"a", "b", "c"} {
		if err := n.Send(tr.ctx(), sink.ID(), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	err := n.Close()
	lost := new(UndeliveredError)
	if !errors.As(err, &lost) || len(lost.Streams) != 1 || string(bytes.Join(lost.Streams[0].Bodies, nil)) != "abc" || !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := n.Close(); err != nil {
		t.Errorf("again: %v", err)
	}
}

// A sink that is gone, as the ring learns at the next set-up, takes messages of
// unknown outcome with it, and the source is told how many.
func TestUndelivered(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	release := make(chan struct{})
	var sink, from *Node
	for range 4 {
		tr.join(func(ctx context.Context, _ Message) { hold(ctx, release) })
	}
	tr.setup(0)
	sink, from = tr.nodes[0], tr.nodes[1]
	const messages = 7
	for range messages {
		if err := from.Send(tr.ctx(), sink.ID(), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	sink.Close()
	close(release)
	if err := tr.registry.await(tr.ctx(), func() bool { return tr.registry.members.Len() == 3 }); err != nil {
		t.Fatal(err)
	}
	tr.nodes = tr.nodes[1:]
	tr.setup(0)
	err := from.Flush(tr.ctx())
	var lost *UndeliveredError
	if !errors.As(err, &lost) || len(lost.Streams) != 1 || lost.Streams[0].Sink != sink.ID() ||
		lost.Streams[0].Messages != messages || !errors.Is(err, ErrGone) && !errors.Is(err, ErrNoSuchNode) {
		t.Fatalf("got %v", err)
	}
	if err := from.Flush(tr.ctx()); err != nil {
		t.Errorf("told twice: %v", err)
	}
	if err := from.Send(tr.ctx(), sink.ID(), nil); !errors.Is(err, ErrNoSuchNode) {
		t.Errorf("sending to who is gone: %v", err)
	}
}

// Messages flow when the registry is gone.
func TestRegistryGone(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1), WithLease(time.Second))
	got := make(chan struct{}, 1)
	for range 3 {
		tr.join(func(context.Context, Message) { got <- struct{}{} })
	}
	tr.setup(1)
	tr.registry.Close()
	for _, n := range tr.nodes {
		<-n.Disconnected()
	}
	from, to := tr.nodes[0], tr.nodes[1]
	if err := from.Send(tr.ctx(), to.ID(), nil); err != nil {
		t.Fatal(err)
	}
	<-got
	if err := from.Leave(tr.ctx()); !errors.Is(err, ErrRegistryLost) {
		t.Errorf("leaving: %v", err)
	}
}

// A set-up that cannot succeed says whose link is missing, and the next one mends it.
func TestSetupSaysWhichLinkIsMissing(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net)
	tr.join(nil, WithTraffic())
	tr.join(nil, WithTraffic())
	net.Cut("n0", "n1") // in a ring of two there is no way around
	_, err := tr.registry.Setup(tr.ctx(), 3)
	if !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "cannot link to its entry") {
		t.Fatalf("got %v", err)
	}
	if _, err := tr.registry.RunTraffic(tr.ctx(), Traffic{Messages: 1}); !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "cannot reach node") {
		t.Errorf("a run now: %v", err)
	}
	net.Mend("n0", "n1")
	if err := tr.registry.await(tr.ctx(), func() bool { return len(tr.registry.members.NoWay()) == 0 }); err != nil {
		t.Fatal(err)
	}
	tr.setup(3)

	net.Hold("registry", "n1") // its manifest does not arrive
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err = tr.registry.Setup(ctx, 1); !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "has not reported") {
		t.Errorf("got %v", err)
	}
	net.Heal()
	tr.setup(1)
}

// Streams that send nothing for a while are forgotten at both ends, and come back
// when they are needed.
func TestIdleStreamsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTestRing(t, NewMemoryNetwork(1), WithLease(3*time.Second))
		got := make(chan struct{}, 2)
		for range 3 {
			tr.join(func(context.Context, Message) { got <- struct{}{} })
		}
		tr.setup(0)
		from, to := tr.nodes[0], tr.nodes[1]
		for range 2 {
			if err := from.Send(tr.ctx(), to.ID(), nil); err != nil {
				t.Fatal(err)
			}
			<-got
			if out, in := from.inc.Load().plane.StreamCount(); out != 1 || in != 0 {
				t.Errorf("%d outgoing and %d incoming streams at the source", out, in)
			}
			time.Sleep(3 * idleStream)
			if out, _ := from.inc.Load().plane.StreamCount(); out != 0 {
				t.Error("the source keeps an idle stream")
			}
			if _, in := to.inc.Load().plane.StreamCount(); in != 0 {
				t.Error("the sink keeps an idle stream")
			}
		}
		tr.close()
	})
}

func TestEOFBetweenFramesIsAnOrdinaryEnd(t *testing.T) {
	if handshake.IsProtocolError(io.EOF) || handshake.IsProtocolError(net.ErrClosed) || !handshake.IsProtocolError(io.ErrUnexpectedEOF) {
		t.Error("the ends of connections are told apart wrongly")
	}
}
