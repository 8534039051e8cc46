package plane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
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
	cfg.OnUndelivered = func(u Undelivered) {
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
	}
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
		if r.p.losses.stored != 0 || r.p.losses.heldBytes != 0 {
			t.Errorf("%d entries are kept, %d bytes", r.p.losses.stored, r.p.losses.heldBytes)
		}
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
		if r.p.losses.stored != 1 {
			t.Errorf("%d entries are kept for the other", r.p.losses.stored)
		}
		r.p.Evict(70, 5)
		wantLost(t, <-done, "60: 1 pending", "70: 1 pending")
		if failed, _ := r.p.Flush(t.Context()); failed != nil || r.p.losses.stored != 0 || r.p.losses.heldBytes != 0 {
			t.Error("told twice, or kept:", texts(failed))
		}

		// What was kept for a Flush of other sinks is forgotten with that Flush.
		r.open(60, 5)
		r.open(70, 5)
		go flush(t.Context(), 60)
		synctest.Wait()
		r.p.Evict(70, 5)
		synctest.Wait()
		r.feed(ack(60, 1001))
		if failed := <-done; failed != nil || r.p.losses.stored != 0 || r.p.losses.heldBytes != 0 {
			t.Errorf("%q, and %d entries are kept", texts(failed), r.p.losses.stored)
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

// A callback that panics counts as not told: Close tells it, or Flush. So it is for one of
// several losses that were merged.
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

		c.release = make(chan struct{})
		for i := range maxLosses {
			r.lost(40, fmt.Sprint(i))
		}
		r.lost(40, "bad") // merged with the last one
		r.lost(40, "fine")
		close(c.release)
		wantLost(t, r.p.Close(net.ErrClosed), "40: 1 ")
		if got := r.p.Counters().Panics; got != 2 {
			t.Errorf("%d panics are counted", got)
		}
	}, c.config)
}

// All sinks together have a bound. Losses beyond it are merged and told as well: nothing
// vanishes. If the callback is stuck, they are told by Flush or Close.
func TestLossesOfManySinks(t *testing.T) {
	const sinks = maxStored + 500
	for _, callback := range []bool{false, true} {
		c := &recorder{}
		withRig(t, func(t *testing.T, r *rig) {
			c.release = make(chan struct{})
			routed(r)
			for i := range uint64(sinks) {
				r.lost(1000+i, "x", "y")
			}
			x := &r.p.losses
			if x.mu.Lock(); x.stored-len(x.kept[place{many: true}]) != maxStored || len(x.kept[place{many: true}]) > 2 || len(x.calls) > maxCalls {
				t.Errorf("%d entries and %d, %d calls wait", x.stored, len(x.kept), len(x.calls))
			}
			x.mu.Unlock()
			want := sinks
			if !callback {
				if failed, _ := r.p.Flush(t.Context(), 1005, 1006); len(failed) != 3 || !failed[2].Many || failed[2].Messages != 2*500 || failed[2].Err == nil {
					t.Errorf("%v", failed)
				}
				want -= 502
			}
			var all []Undelivered
			done := make(chan bool)
			go func() {
				all = r.p.Close(net.ErrClosed)
				close(done)
			}()
			close(c.release)
			<-done
			messages := uint64(0)
			for _, u := range slices.Concat(all, c.told) {
				messages += u.Messages
			}
			if messages != uint64(2*want) {
				t.Errorf("%d messages are told, want %d", messages, 2*want)
			}
			if callback && (len(all) != 1 || !all[0].Many || len(c.told) < maxCalls) {
				t.Errorf("%d by Close, %d by the callback", len(all), len(c.told))
			}
			if x.stored != 0 || x.heldBytes != 0 || len(x.kept) != 0 {
				t.Errorf("%d entries are kept, %d bytes", x.stored, x.heldBytes)
			}
		}, func(cfg *Config) {
			cfg.SendBuffer = 1 << 20
			if callback {
				c.config(cfg)
			}
		})
	}
}

// In whatever order streams end, callbacks return or panic and Flushes run, each message is told
// by the callback or by Close, if no Flush has told it.
func TestLossesAreToldByOne(t *testing.T) {
	for seed := range uint64(20) {
		c := &recorder{panics: map[string]bool{"41: 1 m": true}}
		byFlush, byClose := uint64(0), uint64(0)
		withRig(t, func(t *testing.T, r *rig) {
			routed(r)
			count := func(all []Undelivered, in *uint64) {
				for _, u := range all {
					*in += u.Messages
				}
			}
			want := uint64(0)
			for i := range uint64(200) {
				r.lost(40+(seed+i)%3, "m")
				want++
				switch (i*7 + seed) % 11 {
				case 0:
					synctest.Wait()
				case 1:
					failed, err := r.p.Flush(t.Context(), 40+i%3)
					if err != nil {
						t.Fatal(err)
					}
					count(failed, &byFlush)
				}
			}
			count(r.p.Close(errors.New("closed")), &byClose)
			told, good := uint64(0), uint64(0)
			for _, u := range c.told {
				told += u.Messages
				if u.Sink != 41 {
					good += u.Messages
				}
			}
			if told != want || byClose > want-good || byClose+byFlush < want-good {
				t.Errorf("of %d the callback heard %d and took %d, Flush told %d, Close %d", want, told, good, byFlush, byClose)
			}
		}, c.config)
	}
}
