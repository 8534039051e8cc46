package ringdht

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A node that waits for its last deliveries is still a member: when its connection to the
// registry breaks it comes back, and leaves in good order.
func TestLeaveOutlivesABrokenConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := NewMemoryNetwork(1)
		tr := newTestRing(t, net, WithLease(lease))
		release := make(chan struct{})
		sink := tr.join(func(ctx context.Context, m Message) { hold(ctx, release) })
		from := tr.join(nil)
		tr.join(nil)
		tr.setup(0)
		if err := from.Send(tr.ctx(), sink.ID(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		left := make(chan error, 1)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		go func() { left <- from.Leave(ctx) }()
		synctest.Wait()
		from.ctl.Load().Close()
		time.Sleep(4 * lease)
		close(release)
		err := <-left
		if err != nil || time.Since(start) > time.Minute {
			t.Errorf("leave after %v: %v", time.Since(start), err)
		}
		tr.close()
	})
}

// One that is declared dead while it waits does not wait for what cannot come.
func TestEvictedWhileLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := NewMemoryNetwork(1)
		tr := newTestRing(t, net, WithLease(lease))
		release := make(chan struct{})
		sink := tr.join(func(ctx context.Context, m Message) { hold(ctx, release) })
		from := tr.join(nil)
		tr.join(nil)
		tr.setup(0)
		if err := from.Send(tr.ctx(), sink.ID(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		left := make(chan error, 1)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		go func() { left <- from.Leave(ctx) }()
		synctest.Wait()
		net.Hold("n1", "")
		tr.gone(from.ID())
		net.Heal()
		time.Sleep(lease)
		close(release)
		err := <-left
		var lost *UndeliveredError
		if !errors.As(err, &lost) || !errors.Is(err, ErrEvicted) || time.Since(start) > time.Minute {
			t.Errorf("leave after %v: %v", time.Since(start), err)
		}
		tr.close()
	})
}

// A peer that stands still does not keep anybody from leaving.
func TestLeaveWithAFrozenPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := NewMemoryNetwork(1)
		tr := newTestRing(t, net, WithLease(lease))
		for range 4 {
			tr.join(nil)
		}
		tr.setup(0)
		tr.exchange(tr.nodes...)
		net.Hold("n1", "")
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		err := tr.nodes[0].Leave(ctx)
		t.Logf("leave after %v: %v", time.Since(start), err)
		if time.Since(start) > time.Minute {
			t.Errorf("leave after %v: %v", time.Since(start), err)
		}
		tr.close()
	})
}
