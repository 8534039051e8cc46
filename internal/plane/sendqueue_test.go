package plane

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// send sends messages on a stream that is open.
func (r *rig) send(sink uint64, n int) {
	r.t.Helper()
	for i := range n {
		if err := r.p.Send(r.t.Context(), sink, 0, []byte{byte(i)}); err != nil {
			r.t.Fatal(err)
		}
	}
}

// stream opens one to 50, whose way is over 40, and forgets the frames that this took.
func (r *rig) stream() *outbound {
	r.t.Helper()
	r.link(40)
	r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
	o := r.open(50, 5)
	synctest.Wait()
	r.mu.Lock()
	clear(r.got)
	r.mu.Unlock()
	return o
}

func seqs(from uint64, n int) (all []uint64) {
	for i := range uint64(n) {
		all = append(all, from+i)
	}
	return all
}

// What a stream has for a link that breaks takes another way, in order and once, even if the
// source sends nothing more.
func TestStreamLeavesABrokenLink(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.stream()
		r.link(30)
		l := r.jam(40)
		r.send(50, 20)
		synctest.Wait()
		if c := r.p.Counters(); c.Queued <= 20*wire.HeaderSize || c.Sent != 21 {
			t.Errorf("%+v", c)
		}
		l.Fail(errBroken)
		r.arrived(30, seqs(1001, 20)...)
		if c := r.p.Counters(); c.Requeued != 20 || c.Retransmitted != 0 || c.Dropped != (status.Dropped{}) || c.Queued != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// New routes apply to what waits already: the first frame after them takes all of it along.
func TestStreamFollowsTheRoutes(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		o := r.stream()
		l := r.jam(40)
		r.send(50, 3)
		r.link(45)
		r.p.SetRoutes(Routes{Epoch: 2, Entries: []uint64{30, 40, 45}, Authoritative: true, Successor: 30})
		synctest.Wait()
		r.arrived(45)
		r.send(50, 1)
		r.arrived(45, 1001, 1002, 1003, 1004)
		l.Fail(errBroken) // it was told to pull and finds nothing
		synctest.Wait()
		if c := r.p.Counters(); c.Requeued != 0 || c.Dropped != (status.Dropped{}) {
			t.Errorf("%+v", c)
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.link != nil || o.size() != 0 {
			t.Error("something is left")
		}
	})
}

// A source whose link is stuck waits, long before its window is full.
func TestSourceWaitsForItsLink(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		o := r.stream()
		l := r.jam(40)
		sent, done := 0, make(chan struct{})
		go func() {
			defer close(done)
			for ; sent < 100; sent++ {
				if err := r.p.Send(t.Context(), 50, 0, make([]byte, 200-wire.HeaderSize)); err != nil {
					t.Error(err)
				}
			}
		}()
		synctest.Wait()
		o.mu.Lock()
		fresh := o.size()
		o.mu.Unlock()
		if fresh < 15000 || fresh > 16400 || sent != fresh/200 {
			t.Errorf("%d messages, %d bytes are waiting, the limit is 16000", sent, fresh)
		}
		r.link(30)
		l.Fail(errBroken) // everything goes over 30
		<-done
		r.arrived(30, seqs(1001, 100)...)
	}, func(c *Config) { c.LinkLow = 8000 })
}

// While the fence is up nothing leaves, not even what was sent before.
func TestFenceHoldsBackStreams(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.stream()
		l := r.jam(40)
		r.send(50, 4)
		time.Sleep(testPause + 1)
		if r.p.Running() {
			t.Fatal("the fence is down")
		}
		r.link(30)
		l.Fail(errBroken)
		synctest.Wait()
		r.arrived(30)
		if n := r.p.Counters().Dropped.LinkDown; n < 4 {
			t.Error(n, "frames given up")
		}
	}, func(c *Config) { c.MaxSuspension = testPause })
}

// valve is a connection that reads nothing until it is opened.
type valve struct {
	net.Conn
	open chan struct{}
}

func (v valve) Write(b []byte) (int, error) {
	<-v.open
	return v.Conn.Write(b)
}

// A link that a stream has left gets nothing when it pulls.
func TestStreamHasLeft(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.stream()
		near, far := memnet.Pipe()
		v := valve{near, make(chan struct{})}
		r.p.AddLink(40, 1, v)
		got := 0
		go func() {
			b := make([]byte, 1000)
			for {
				n, err := far.Read(b)
				got += n
				if err != nil {
					return
				}
			}
		}()
		if err := r.p.emit(40, data(40, 1)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.send(50, 3)
		r.p.SetRoutes(Routes{Epoch: 2, Entries: []uint64{30, 40, 45}, Authoritative: true, Successor: 30})
		l := r.jam(45)
		r.send(50, 1)
		close(v.open)
		synctest.Wait()
		if got != len(data(40, 1)) {
			t.Errorf("%d bytes left by a link that is not the way any more", got)
		}
		l.Fail(errBroken) // what waited for it goes over 40 after all
		synctest.Wait()
		if got != len(data(40, 1))+4*(wire.HeaderSize+1) {
			t.Errorf("%d bytes", got)
		}
		far.Close()
	})
}

// A message that is larger than maxEarly need not wait for its stream to open if it is the first
// one. The next one must.
func TestALargeMessageIsEarly(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.link(40)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{30, 40}, Authoritative: true, Successor: 30})
		r.p.SetMembers([]uint64{50}, nil, false)
		body := make([]byte, maxEarly) // with its header it is larger
		if err := r.p.Send(t.Context(), 50, 0, body); err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		go func() { sent <- r.p.Send(t.Context(), 50, 0, body[:1]) }()
		synctest.Wait()
		select {
		case err := <-sent:
			t.Fatal("the second did not wait:", err)
		default:
		}
		r.arrived(40, r.p.generation) // the Open
		r.feed(r.opened(50, 5))
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if f := r.arrived(40, 1000, 1001); len(f[0].Body()) != len(body) {
			t.Error(len(f[0].Body()))
		}
	})
}

// A sink that answers questions it was not asked, over a stuck link, does not make its source
// gather retransmissions without bound.
func TestQuestionsAreBounded(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		o := r.stream()
		r.jam(40)
		r.send(50, 1000)
		o.mu.Lock()
		o.transmit(o.s.Ask(r.p.now(), o.scratch[:0]))
		o.mu.Unlock()
		for i := range uint32(900) {
			a := wire.AckBody{Received: i + 1, Window: 1 << 16, Round: i + 1}
			r.feed(wire.Append(nil, wire.Header{Type: wire.Ack, Dst: 20, Src: 50, Seq: 1000}, a.Append(nil, nil)))
		}
		if c := r.p.Counters(); c.Queued > c.SendBuffer+maxQuestions+1000 || c.Dropped.QueueFull == 0 {
			t.Errorf("%d bytes are queued of %d kept, %+v", c.Queued, c.SendBuffer, c.Dropped)
		}
	})
}

// A source that waits for a link goes on when the link is not the way any more, even if the link
// is stuck and keeps what it has.
func TestSourceLeavesARetiredLink(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.stream()
		r.jam(40)
		start, done := time.Now(), make(chan struct{})
		go func() {
			defer close(done)
			for range 100 {
				if err := r.p.Send(t.Context(), 50, 0, make([]byte, 200-wire.HeaderSize)); err != nil {
					t.Error(err)
				}
			}
		}()
		synctest.Wait()
		r.link(45)
		r.p.SetRoutes(Routes{Epoch: 2, Entries: []uint64{30, 45}, Authoritative: true, Successor: 30})
		<-done
		if d := time.Since(start); d != 0 {
			t.Error("it waited for", d)
		}
		synctest.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		n := 0
		for _, f := range r.got[45] {
			if f.Type() == wire.Data {
				n++
			}
		}
		if n != 100 {
			t.Error(n, "messages took the new way")
		}
	}, func(c *Config) { c.LinkLow = 4000 })
}

// While there is no way to the sink, a link that is being retired still writes what it was told
// to pull.
func TestRetiredLinkKeepsItsStreams(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		o := r.stream()
		near, far := memnet.Pipe()
		v := valve{near, make(chan struct{})}
		r.p.AddLink(40, 1, v)
		if err := r.p.emit(40, data(40, 1)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.send(50, 3)
		r.p.SetRoutes(Routes{Epoch: 2, Entries: []uint64{30}, Authoritative: true, Successor: 30}) // and 30 is not up
		o.mu.Lock()
		o.transmit(o.s.Ask(r.p.now(), o.scratch[:0]))
		o.mu.Unlock()
		r.dropped(status.Dropped{})
		close(v.open)
		var got []byte
		b := make([]byte, 1<<10)
		for {
			n, err := far.Read(b)
			got = append(got, b[:n]...)
			if err != nil {
				break
			}
		}
		if n := wire.Count(got); n != 6 {
			t.Error(n, "frames, want one of the link's own, three messages, a question and the end")
		}
	})
}
