package dial

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// mute is a dial that is not answered.
func mute(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func quick(context.Context) error { return nil }

// Silent addresses hold up others for a moment each, and not for as long as they are silent.
func TestSilentDialsGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewLimiter(4, 100)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() { d.Do(ctx, mute) })
		}
		synctest.Wait()
		start := time.Now()
		if err := d.Do(ctx, quick); err != nil || time.Since(start) != 10*quickDial {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		start = time.Now()
		if err := d.Do(ctx, quick); err != nil || time.Since(start) != 0 {
			t.Errorf("then after %v: %v", time.Since(start), err)
		}
		// What is slow and not silent gets its answer.
		if err := d.Do(ctx, func(ctx context.Context) error { return wait(ctx, 10*time.Second) }); err != nil {
			t.Error(err)
		}
		if d.slow.Len() != 40 {
			t.Errorf("%d slow ones", d.slow.Len())
		}
		cancel()
		wg.Wait()
		if !d.slots.TryAcquire(4) || d.slow.Len() != 0 {
			t.Errorf("slots are missing, or %d slow ones are left", d.slow.Len())
		}
	})
}

// When there is no room for more slow ones, the oldest is given up, and counted.
func TestOldestSlowDialIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewLimiter(2, 3)
		var given atomic.Int32
		d.GivenUp = func() { given.Add(1) }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make([]error, 6)
		var wg sync.WaitGroup
		for i := range ended {
			wg.Go(func() {
				ended[i] = d.Do(ctx, func(ctx context.Context) error {
					defer time.Sleep(time.Minute) // it takes a while to end
					return mute(ctx)
				})
			})
			synctest.Wait()
			time.Sleep(quickDial)
		}
		synctest.Wait()
		if given.Load() != 3 || d.slow.Len() != 3 {
			t.Errorf("%d given up, %d slow", given.Load(), d.slow.Len())
		}
		cancel()
		wg.Wait()
		for i, err := range ended {
			if want := i < 3; errors.Is(err, errGivenUp) != want {
				t.Errorf("%d: %v", i, err)
			}
		}
		if !d.slots.TryAcquire(2) || d.slow.Len() != 0 {
			t.Error("slots are missing")
		}
	})
}

// A dial that waits for a slot stops waiting when its context ends.
func TestDialThatFindsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewLimiter(1, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { d.Do(ctx, mute); close(done) }()
		synctest.Wait()
		why := errors.New("why")
		short, stop := context.WithTimeoutCause(t.Context(), quickDial/2, why)
		defer stop()
		if err := d.Do(short, quick); err != why {
			t.Error(err)
		}
		cancel()
		<-done
		if err := d.Do(t.Context(), quick); err != nil {
			t.Error(err)
		}
	})
}

// A source with many silent dials delays neither the dials of another source, nor takes their room.
func TestSourcesHaveShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewFairLimiter(4, 10)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { d.DoFor(ctx, "flood", mute) })
		}
		synctest.Wait()
		var slow error
		wg.Go(func() {
			slow = d.DoFor(ctx, "other", func(ctx context.Context) error { return wait(ctx, 2*time.Second) })
		})
		for range 20 {
			start := time.Now()
			if err := d.DoFor(ctx, "quick", quick); err != nil || time.Since(start) > 0 {
				t.Errorf("after %v: %v", time.Since(start), err)
			}
			time.Sleep(quickDial / 3)
		}
		time.Sleep(2 * time.Second)
		if slow != nil {
			t.Errorf("a slow dial of another source was given up: %v", slow)
		}
		cancel()
		wg.Wait()
		if !d.slots.TryAcquire(4) || len(d.sources) != 0 || d.slow.Len() != 0 {
			t.Errorf("slots are missing, or %d sources and %d slow dials are left", len(d.sources), d.slow.Len())
		}
	})
}
