package plane

import (
	"context"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
)

// recorder is a callback that waits, if it is to, until it may return.
type recorder struct {
	told    []Undelivered
	release chan struct{}
	panics  map[string]bool // for losses with these words
	exits   bool            // instead, it ends its goroutine
}

func (c *recorder) config(cfg *Config) {
	cfg.Services = telling(func(u Undelivered) {
		if c.release != nil {
			<-c.release
		}
		c.told = append(c.told, u)
		if c.panics[texts([]Undelivered{u})[0]] {
			if c.exits {
				runtime.Goexit()
			}
			panic("test")
		}
	})
}

// What the callback was told, neither a later Flush nor Close tells again. The callback is also
// told what was pending at Close.
func TestToldIsTold(t *testing.T) {
	c := &recorder{}
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.lost(40, "a")
		r.lost(50, "b", "c")
		synctest.Wait()
		for _, sinks := range [][]uint64{nil, {40}, {50}} {
			if failed, err := r.p.Flush(t.Context(), sinks...); failed != nil || err != nil {
				t.Error("told again:", texts(failed), err)
			}
		}
		r.open(70, 1)
		if left := r.p.Close(net.ErrClosed); left != nil {
			t.Error("told again:", texts(left))
		}
		wantLost(t, c.told, "40: 1 a", "50: 2 b,c", "70: 1 pending")
	}, c.config)
}

// A Flush returns what ended while it waited, since nil would mean that it was delivered. It also
// returns what the callback had not been told when it began.
func TestFlushReturnsWhatEndsMeanwhile(t *testing.T) {
	c := &recorder{}
	withRig(t, func(t *testing.T, r *rig) {
		c.release = make(chan struct{})
		routed(r)
		r.lost(50, "before")
		r.open(40, 5)
		done := make(chan []Undelivered)
		flush := func(ctx context.Context, sinks ...uint64) {
			failed, _ := r.p.Flush(ctx, sinks...)
			done <- failed
		}
		go flush(t.Context())
		synctest.Wait()
		r.p.Evict(40, 5)
		close(c.release)
		wantLost(t, <-done, "50: 1 before", "40: 1 pending")
		wantLost(t, c.told, "50: 1 before", "40: 1 pending")

		// A Flush that begins after the callback was told leaves it for the other one.
		r.open(60, 5)
		r.open(70, 5)
		go flush(t.Context(), 60, 70)
		synctest.Wait()
		r.p.Evict(60, 5)
		synctest.Wait()
		if failed, _ := r.p.Flush(t.Context(), 60); failed != nil {
			t.Error("told twice:", texts(failed))
		}
		r.p.Evict(70, 5)
		wantLost(t, <-done, "60: 1 pending", "70: 1 pending")
		if failed, _ := r.p.Flush(t.Context()); failed != nil {
			t.Error("told twice:", texts(failed))
		}
		if left := r.p.Close(net.ErrClosed); left != nil {
			t.Error("told again:", texts(left))
		}
	}, c.config)
}

// A handler's Flush does not wait for callbacks. What it returns, the callback is told as well,
// but Close does not return it.
func TestHandlersFlushComesBeforeTheCallback(t *testing.T) {
	c := &recorder{}
	withRig(t, func(t *testing.T, r *rig) {
		c.release = make(chan struct{})
		routed(r)
		r.lost(40, "a")
		failed, _ := r.p.Flush(r.p.Context())
		wantLost(t, failed, "40: 1 a")
		r.lost(40, "b")
		close(c.release)
		if left := r.p.Close(net.ErrClosed); left != nil {
			t.Error("told again:", texts(left))
		}
		wantLost(t, c.told, "40: 1 a", "40: 1 b")
	}, c.config)
}

// A callback that panics counts as not told: Close tells it, or Flush.
func TestCallbackThatPanicsIsNotTold(t *testing.T) { notTold(t, false) }

// So does a callback that ends its goroutine, such as by t.Fatal. The other losses are told all
// the same.
func TestCallbackThatExitsIsNotTold(t *testing.T) { notTold(t, true) }

func notTold(t *testing.T, exits bool) {
	c := &recorder{panics: map[string]bool{"40: 1 bad": true}, exits: exits}
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.lost(40, "good")
		r.lost(40, "bad")
		r.lost(40, "fine")
		failed, err := r.p.Flush(t.Context(), 50)
		if failed != nil || err != nil {
			t.Error(texts(failed), err)
		}
		synctest.Wait()
		failed, _ = r.p.Flush(t.Context(), 40)
		wantLost(t, failed, "40: 1 bad")

		if got := r.p.Counters().Panics; got != 1 {
			t.Errorf("%d panics are counted", got)
		}
	}, c.config)
}
