package peers

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

const checkLimit = 3 * time.Second

// pair is two nodes, 10 and 20 on the hosts a and b, with a link each way.
type pair struct {
	net  *memnet.Network
	a, b *owner
	logs *logs  // of a
	stop func() // no more checks
}

func withPair(t *testing.T, f func(t *testing.T, w *pair)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &pair{net: memnet.New(1), logs: newLogs()}
		node := func(id uint64, l *logs) *owner {
			return newOwner(config(id, id, l))
		}
		w.a, w.b = node(10, w.logs), node(20, newLogs())
		connect := func(from, to *owner, fromHost, toHost string) {
			l, err := w.net.Host(toHost).Listen(t.Context(), ":0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			near, err := w.net.Host(fromHost).Dial(t.Context(), l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			far, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			from.AddLink(to.Self, to.Incarnation, near)
			from.SetRoutes(table(from, 1, to.Self))
			go to.Receive(far, from.Self, from.Incarnation, nil, nil)
		}
		connect(w.a, w.b, "a", "b")
		connect(w.b, w.a, "b", "a")
		defer w.a.Close(net.ErrClosed)
		defer w.b.Close(net.ErrClosed)
		ctx, stop := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		w.stop = func() { stop(); <-stopped }
		defer w.stop()
		go func() {
			defer close(stopped)
			for ctx.Err() == nil {
				w.a.CheckLinks(checkLimit)
				w.b.CheckLinks(checkLimit)
				time.Sleep(checkLimit / 4)
			}
		}()
		f(t, w)
	})
}

func (w *pair) up() bool { return w.a.HasLink(20, 20) }

// A link that carries traffic is pinged and answers. An idle one costs nothing.
func TestCheckLinks(t *testing.T) {
	withPair(t, func(t *testing.T, w *pair) {
		synctest.Wait()
		before := w.a.Traffic().BytesOut // it has shared its connection
		time.Sleep(time.Minute)
		if out := w.a.Traffic().BytesOut; out != before {
			t.Errorf("an idle link was asked: %d bytes", out-before)
		}
		const casts = 20
		for range casts {
			w.a.Cast(t.Context(), 20, 0, nil)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		c := w.a.Traffic()
		pings := (c.BytesOut-before)/wire.HeaderSize - casts
		if pings < casts-2 || pings > casts || !w.up() {
			t.Errorf("asked %d times, up: %v", pings, w.up())
		}
		if f, d := w.b.frames.Load(), w.b.delivered.Load(); f != casts || d != casts {
			t.Errorf("%d frames, %d delivered", f, d)
		}
		time.Sleep(time.Hour)
		if w.a.Traffic().BytesOut != c.BytesOut || len(w.logs.all()) > 0 {
			t.Error("asked again, or complained:", w.logs.all())
		}
	})
}

// A host without power does not answer.
func TestCheckLinksFindsASilentPeer(t *testing.T) {
	for name, hold := range map[string][2]string{"sends nothing": {"b", "a"}, "gets nothing": {"a", "b"}, "neither": {"", ""}} {
		t.Run(name, func(t *testing.T) {
			withPair(t, func(t *testing.T, w *pair) {
				w.net.Hold(hold[0], hold[1])
				start := time.Now()
				w.a.Cast(t.Context(), 20, 0, nil)
				for w.up() {
					time.Sleep(10 * time.Millisecond)
				}
				if took := time.Since(start); took < checkLimit || took > 2*checkLimit {
					t.Error("found after", took)
				}
				synctest.Wait()
				if all := strings.Join(w.logs.all(), ""); !strings.Contains(all, "no answer for 3s") {
					t.Errorf("logged %q", all)
				}
			})
		})
	}
}

// Each end of a shared connection notices a peer that hangs, and does not end it while the peer
// answers.
func TestCheckSharedConn(t *testing.T) {
	for name, hold := range map[string][2]string{"from a": {"a", "b"}, "from b": {"b", "a"}, "both": {"", ""}} {
		t.Run(name, func(t *testing.T) {
			withPair(t, func(t *testing.T, w *pair) {
				synctest.Wait()
				if w.a.peers() != 1 || w.b.peers() != 1 {
					t.Fatal("not one connection")
				}
				for range 20 {
					w.a.Cast(t.Context(), 20, 0, nil)
					w.b.Cast(t.Context(), 10, 0, nil)
					time.Sleep(time.Second)
				}
				if !w.up() || !w.b.HasLink(10, 10) {
					t.Fatal("ended though it answers")
				}
				w.net.Hold(hold[0], hold[1])
				start := time.Now()
				w.a.Cast(t.Context(), 20, 0, nil)
				w.b.Cast(t.Context(), 10, 0, nil)
				for w.up() || w.b.HasLink(10, 10) {
					time.Sleep(10 * time.Millisecond)
				}
				if took := time.Since(start); took < checkLimit/2 || took > 2*checkLimit {
					t.Error("found after", took)
				}
			})
		})
	}
}

// A pong does not wait behind what a slow peer has not read yet.
func TestPongOvertakes(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		near, far := memnet.Pipe()
		go r.p.Receive(far, 30, 1, nil, nil)
		synctest.Wait()
		if !r.p.Ask(30, 1) {
			t.Fatal("not asked")
		}
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		near.Write(connFrame(wire.Shared, 0))
		synctest.Wait()
		for range 3 << 10 {
			r.feed(wire.Append(nil, wire.Header{Type: wire.Data, Dst: 30, Src: 5}, make([]byte, 1<<10-wire.HeaderSize)))
		}
		near.Write(connFrame(wire.Ping, 77))
		synctest.Wait()
		in := link.NewReader(near, wire.Scan, 1<<20)
		for before := 0; ; {
			batch, err := in.Next()
			if err != nil {
				t.Fatal(err)
			}
			for len(batch) > 0 {
				var f wire.Frame
				if f, batch = wire.Next(batch); f.Type() == wire.Pong && f.Seq() == 77 {
					if before > 512<<10 {
						t.Error("after", before, "bytes")
					}
					near.Close()
					return
				}
				before += len(f)
			}
		}
	})
}

// A write that is stuck in a dead connection ends it. Pings that wait behind a long queue do not.
func TestCheckLinksUnderOverload(t *testing.T) {
	t.Run("stuck", func(t *testing.T) {
		withPair(t, func(t *testing.T, w *pair) {
			synctest.Wait() // for the first check: its ping would go unanswered
			w.net.Hold("a", "b")
			start := time.Now()
			for range 20 { // far more than the connection holds
				w.a.Cast(t.Context(), 20, 0, make([]byte, 10000))
			}
			for w.up() {
				time.Sleep(10 * time.Millisecond)
			}
			if took := time.Since(start); took < checkLimit || took > 2*checkLimit {
				t.Error("found after", took)
			}
			synctest.Wait()
			if all := strings.Join(w.logs.all(), ""); !strings.Contains(all, "nothing could be sent for 3s") {
				t.Errorf("logged %q", all)
			}
		})
	})
	t.Run("slow", func(t *testing.T) {
		withRig(t, func(t *testing.T, r *rig) {
			r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
			near, far := memnet.Pipe()
			r.p.AddLink(30, 1, near)
			for range 3 << 10 {
				r.feed(wire.Append(nil, wire.Header{Type: wire.Data, Dst: 30, Src: 5}, make([]byte, 1<<10-wire.HeaderSize)))
			}
			done := make(chan bool)
			go func() { // 3 MiB at 100 KB a second take half a minute
				defer close(done)
				b := make([]byte, 100<<10)
				var left []byte
				for {
					n, err := io.ReadAtLeast(far, b, 1)
					if err != nil {
						return
					}
					left = append(left, b[:n]...)
					for len(left) >= wire.PrefixSize && len(left) >= wire.Size(left) {
						var f wire.Frame
						if f, left = wire.Next(left); f.Type() == wire.Ping {
							far.Write(pong(f.Seq()))
						}
					}
					time.Sleep(time.Second * time.Duration(n) / 100e3)
				}
			}()
			for range 200 {
				r.p.CheckLinks(checkLimit)
				time.Sleep(checkLimit / 4)
			}
			if !r.p.HasLink(30, 1) {
				t.Error("the link was ended:", r.logs.all())
			}
			if r.p.linkTo(30).probe.answered == 0 {
				t.Error("it was never asked")
			}
			r.p.Close(net.ErrClosed)
			<-done
		})
	})
}

// A peer in the middle of a long frame cannot answer. It is alive while bytes of it come.
func TestCheckLinksWithinALongFrame(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
		near, far := memnet.Pipe()
		r.p.AddLink(30, 1, near)
		go io.Copy(io.Discard, far)
		far.Write(connFrame(wire.Share, 0))
		synctest.Wait()
		r.feed(data(30, 1))
		long := wire.Append(nil, wire.Header{Type: wire.Data, Dst: 5, Src: 30}, make([]byte, 60_000))
		for range 20 {
			r.p.CheckLinks(checkLimit)
			far.Write(long[:1000])
			long = long[1000:]
			time.Sleep(checkLimit / 4)
		}
		if !r.p.HasLink(30, 1) {
			t.Fatal("the link was ended:", r.logs.all())
		}
		if pr := &r.p.links[30].probe; pr.nonce == 0 || pr.answered != 0 {
			t.Error("it was not asked, or has answered")
		}
		start := time.Now()
		for r.p.HasLink(30, 1) {
			r.p.CheckLinks(checkLimit)
			time.Sleep(checkLimit / 4)
		}
		if took := time.Since(start); took < checkLimit || took > 2*checkLimit {
			t.Error("found after", took)
		}
		far.Close()
	})
}

// If this process itself was suspended, answers may lie unread.
func TestCheckLinksAfterAPause(t *testing.T) {
	withPair(t, func(t *testing.T, w *pair) {
		w.stop()
		time.Sleep(checkLimit)
		w.net.Hold("b", "a")
		w.a.Cast(t.Context(), 20, 0, nil)
		start := time.Now()
		for range 10 {
			w.a.CheckLinks(checkLimit)
			time.Sleep(checkLimit + 1)
			if !w.up() {
				t.Fatal("ended after", time.Since(start))
			}
		}
		start = time.Now()
		for w.up() {
			w.a.CheckLinks(checkLimit)
			time.Sleep(checkLimit / 4)
		}
		if took := time.Since(start); took < checkLimit {
			t.Error("ended after", took)
		}
	})
}

func pong(nonce uint64) []byte {
	return wire.Append(nil, wire.Header{Type: wire.Pong, Seq: nonce}, nil)
}

// Anything but the answer to the ping ends the link.
func TestWrongAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(nonce uint64) []byte
		asked  bool
		good   bool
	}{
		"the answer":           {pong, true, true},
		"a part of the answer": {func(n uint64) []byte { return pong(n)[:31] }, true, true},
		"another nonce":        {func(n uint64) []byte { return pong(n + 1) }, true, false},
		"the answer twice":     {func(n uint64) []byte { return append(pong(n), pong(n)...) }, true, false},
		"not asked":            {func(n uint64) []byte { return pong(n) }, false, false},
		"not asked, nonce 0":   {func(uint64) []byte { return pong(0) }, false, false},
		"anything":             {func(uint64) []byte { return bytes.Repeat([]byte{1}, wire.HeaderSize) }, true, false},
		"a ping":               {func(n uint64) []byte { return wire.Append(nil, wire.Header{Type: wire.Ping, Seq: n}, nil) }, true, false},
		"a message":            {func(uint64) []byte { return data(20, 1) }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			withRig(t, func(t *testing.T, r *rig) {
				r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
				far := r.link(30)
				r.feed(data(30, 1))
				r.arrived(30, 1)
				nonce := uint64(0)
				if c.asked {
					r.p.CheckLinks(checkLimit)
					synctest.Wait()
					r.mu.Lock()
					nonce = r.got[30][0].Seq()
					r.mu.Unlock()
				}
				if _, err := far.Write(c.answer(nonce)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if r.p.HasLink(30, 1) != c.good {
					t.Errorf("link up: %v", !c.good)
				}
			})
		})
	}
}

// The accepting side answers pings, and accepts no other frame about the connection.
func TestPings(t *testing.T) {
	for name, c := range map[string]struct {
		send []byte
		want []byte
	}{
		"ping":             {wire.Append(nil, wire.Header{Type: wire.Ping, Seq: 77}, nil), pong(77)},
		"pong":             {pong(77), nil},
		"ping with a sink": {wire.Append(nil, wire.Header{Type: wire.Ping, Seq: 77, Dst: 20}, nil), nil},
		"ping with a body": {wire.Append(nil, wire.Header{Type: wire.Ping, Seq: 77}, []byte{0}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			withRig(t, func(t *testing.T, r *rig) {
				r.link(30)
				r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30}, Authoritative: true, Successor: 30})
				near, far := memnet.Pipe()
				ended := make(chan error, 1)
				go r.p.Receive(far, 10, 1, nil, func(err error) { ended <- err })
				near.Write(append(data(30, 1), c.send...)) // the frame before it counts
				r.arrived(30, 1)
				if c.want == nil {
					if err := <-ended; !broken(err) {
						t.Error(err)
					}
					return
				}
				got := make([]byte, len(c.want))
				if _, err := io.ReadFull(near, got); err != nil || string(got) != string(c.want) {
					t.Errorf("%x, %v", got, err)
				}
				if f, n := r.p.frames.Load(), r.p.relayed.Load(); f != 1 || n != 1 {
					t.Errorf("%d frames, %d relayed", f, n)
				}
				near.Close()
				<-ended
			})
		})
	}
}

// broken reports whether the peer has broken a rule.
func broken(err error) bool {
	_, ok := wire.Broken(err)
	return ok
}
