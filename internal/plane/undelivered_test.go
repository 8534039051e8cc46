package plane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/stream"
)

// lost makes a stream to a sink that ends with these messages pending: half of them sent, the
// others accepted by a handler beyond the window. Each stream has an incarnation of its own.
func (r *rig) lost(sink uint64, bodies ...string) {
	r.t.Helper()
	for _, b := range bodies {
		r.p.SetMembers([]uint64{sink}, nil, false)
		if err := r.p.Send(r.p.Context(), sink, 0, []byte(b)); err != nil {
			r.t.Fatal(err)
		}
	}
	o := r.p.findOutbound(sink, 0)
	o.mu.Lock()
	o.end(fmt.Errorf("the end of %q", bodies))
	o.mu.Unlock()
}

func routed(r *rig) {
	r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
	r.link(30)
}

func texts(all []Undelivered) (s []string) {
	for _, u := range all {
		s = append(s, fmt.Sprintf("%d: %d %s", u.Sink, u.Messages, bytes.Join(u.Bodies, []byte(","))))
	}
	return s
}

func wantLost(t *testing.T, got []Undelivered, want ...string) {
	t.Helper()
	if s := texts(got); !slices.Equal(s, want) {
		t.Errorf("got %q, want %q", s, want)
	}
}

// Flush returns exactly the messages of unknown outcome, in order: without those that were
// delivered, and with those in the backlog.
func TestUndeliveredBodies(t *testing.T) {
	var traffic []string
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.open(40, 5) // "pending" is the first
		o := r.p.findOutbound(40, 0)
		ctx := r.p.Context() // a handler's context, which does not wait for the window
		for i := range 200 {
			if err := r.p.Send(ctx, 40, uint8(i%2)*200, []byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		big := make([]byte, 40<<10) // no window takes both
		for range 2 {
			r.p.Send(ctx, 40, 0, big)
		}
		o.mu.Lock()
		if o.s.Backlog() == 0 || o.s.Backlog() == o.s.Bytes() {
			t.Fatal("no backlog, or nothing else")
		}
		o.mu.Unlock()
		r.feed(ack(40, 1003)) // "pending", 0 and 1 are delivered
		r.p.Evict(40, 5)
		var want [][]byte
		for i := 2; i < 200; i += 2 {
			want = append(want, []byte{byte(i)})
		}
		want = append(want, big, big)
		failed, err := r.p.Flush(t.Context())
		if err != nil || len(failed) != 1 || failed[0].Messages != uint64(len(want)) || !reflect.DeepEqual(failed[0].Bodies, want) || failed[0].Err != stream.ErrGone {
			t.Errorf("%d, %v", len(failed), err)
		}
		if len(traffic) != 99 || traffic[0] != "40 200 3" || traffic[98] != "40 200 199" {
			t.Errorf("%d messages of runs: %q", len(traffic), traffic)
		}
		if again, _ := r.p.Flush(t.Context()); again != nil {
			t.Error("told twice:", again)
		}
		if c := r.p.Counters(); c.SendBuffer != 0 || c.HandlerBacklog != 0 || c.Unlisted != 0 {
			t.Errorf("still held: %+v", c)
		}
	}, func(c *Config) {
		c.OnLostTraffic = func(sink uint64, port uint8, body []byte, _ bool) {
			traffic = append(traffic, fmt.Sprint(sink, port, body[0]))
		}
	})
}

// Messages that were accepted while a stream opens count. A stream with traffic only is not
// reported.
func TestUndeliveredEarly(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.lost(40, "a", "", "b")
		r.p.SetMembers([]uint64{50}, nil, false)
		if err := r.p.Send(t.Context(), 50, 128, []byte("traffic")); err != nil {
			t.Fatal(err)
		}
		o := r.p.findOutbound(50, 0)
		o.mu.Lock()
		o.end(errBroken)
		o.mu.Unlock()
		failed, err := r.p.Flush(t.Context())
		if err != nil || len(failed) != 1 || len(failed[0].Bodies) != 3 {
			t.Error(failed, err)
		}
		wantLost(t, failed, "40: 3 a,,b")
	})
}

// Flush tells each stream, oldest first, and only for the sinks that it was asked about. Close
// tells the rest, and what was pending when it was called.
func TestFlushAndCloseShareTheLosses(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.lost(40, "a")
		r.lost(50, "b")
		r.lost(40, "c", "d")
		r.lost(60, "e")
		r.lost(50, "f")
		failed, err := r.p.Flush(t.Context(), 40, 60)
		if err != nil {
			t.Fatal(err)
		}
		wantLost(t, failed, "40: 1 a", "40: 2 c,d", "60: 1 e")
		r.open(70, 1)
		wantLost(t, r.p.Close(net.ErrClosed), "50: 1 b", "50: 1 f", "70: 1 pending")
		if again := r.p.Close(net.ErrClosed); again != nil {
			t.Error("a second Close tells again:", again)
		}
		if failed, _ := r.p.Flush(t.Context()); failed != nil {
			t.Error("Flush tells again:", failed)
		}
	})
}

// Flush and Await return after the callbacks. They do not wait for callbacks for other sinks.
// Handlers and callbacks do not wait at all.
func TestFlushWaitsForCallbacks(t *testing.T) {
	var release chan struct{}
	returned := 0
	var inner error
	var r0 *rig
	withRig(t, func(t *testing.T, r *rig) {
		r0, release = r, make(chan struct{})
		routed(r)
		r.lost(40, "a")
		r.lost(40, "b")
		done := make(chan []Undelivered)
		go func() {
			failed, err := r.p.Flush(t.Context(), 40)
			if err != nil {
				t.Error(err)
			}
			done <- failed
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("did not wait")
		default:
		}
		if err := r.p.Await(t.Context(), 50); err != nil {
			t.Error(err)
		}
		if err := r.p.Await(r.p.Context()); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.p.Await(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		close(release)
		wantLost(t, <-done, "40: 1 a", "40: 1 b")
		if returned != 2 || inner != nil {
			t.Error(returned, inner)
		}
		if err := r.p.Await(t.Context()); err != nil {
			t.Error(err)
		}
	}, func(c *Config) {
		c.Services = telling(func(u Undelivered) {
			<-release
			inner = r0.p.Await(r0.p.Context())
			returned++
		})
	})
}

// The stream that Await waits for ends: Await waits for its callback too.
func TestAwaitWaitsForTheCallbackOfItsStream(t *testing.T) {
	told := false
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.open(40, 5)
		done := make(chan bool)
		go func() {
			r.p.Await(t.Context(), 40)
			done <- told
		}()
		synctest.Wait()
		r.p.Evict(40, 5)
		if !<-done {
			t.Error("returned before the callback")
		}
	}, func(c *Config) {
		c.Services = telling(func(Undelivered) {
			time.Sleep(time.Second)
			told = true
		})
	})
}

// Bodies are kept within bounds, and those that are not kept are counted.
func TestUndeliveredBounds(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.lost(40, string(make([]byte, 900)))
		r.lost(50, "x", string(make([]byte, 900))) // too much
		r.lost(60, "y")
		if n := r.p.Counters().Unlisted; n != 2 {
			t.Errorf("%d messages are not listed", n)
		}
		failed, _ := r.p.Flush(t.Context(), 50, 60)
		wantLost(t, failed, "50: 2 ", "60: 1 y")
	}, func(c *Config) { c.SendBuffer = 1500 })
}

func TestCallbackPanics(t *testing.T) {
	calls := 0
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.lost(40, "a")
		r.lost(40, "b")
		if failed, err := r.p.Flush(t.Context()); len(failed) != 2 || err != nil || calls != 2 || r.p.Counters().Panics != 2 {
			t.Error(failed, err, calls)
		}
	}, func(c *Config) {
		c.Services = telling(func(Undelivered) { calls++; panic("test") })
	})
}
