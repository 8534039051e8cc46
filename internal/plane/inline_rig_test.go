package plane

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// castHere is a cast to the plane of a rig.
func castHere(body string) wire.Frame {
	return wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: 5}, []byte(body))
}

// inlineRig is a rig whose handler does what messages say.
type inlineRig struct {
	*rig
	release chan struct{} // lets those go that were told to wait

	streams map[uint64]uint64 // next numbers of those from 5 and 6

	mu     sync.Mutex
	inline []bool // for each call whether a reader made it
	bodies []string
	over   []string // bodies of the calls that have returned
}

// message is the next one of the stream from a source.
func (r *inlineRig) message(source uint64, body string) wire.Frame {
	seq := r.streams[source]
	r.streams[source]++
	return wire.Append(nil, wire.Header{Type: wire.Data, Dst: 20, Src: source, Seq: seq}, []byte(body))
}

// stream opens a stream from a source that is reached by way of 40.
func (r *inlineRig) stream(source uint64) {
	r.feed(wire.Append(nil, wire.Header{Type: wire.Open, Dst: 20, Src: source, Seq: 1}, wire.OpenBody{Incarnation: 1}.Append(nil)))
	opened, err := wire.ParseOpened(r.arrived(40, 1)[0].Body())
	if err != nil {
		r.t.Fatal(err)
	}
	r.streams[source] = opened.First
}

// withReaders runs a test with a plane whose readers may call handlers, and which has 40
// for its successor.
func withReaders(t *testing.T, f func(t *testing.T, r *inlineRig), change ...func(*Config)) {
	r := &inlineRig{}
	withRig(t, func(t *testing.T, inner *rig) {
		r.rig, r.release, r.streams = inner, make(chan struct{}), make(map[uint64]uint64)
		r.link(40)
		r.p.Use(Routes{Epoch: 1, Entries: []uint64{40}, Sure: true, Successor: 40})
		r.stream(5)
		r.stream(6)
		r.earn(firstProbation)
		f(t, r)
	}, append(change, func(c *Config) {
		c.Deliver = func(ctx context.Context, d *Delivery) {
			_, inline := ctx.Value(readerKey{}).(*inLink)
			r.mu.Lock()
			r.inline = append(r.inline, inline)
			r.bodies = append(r.bodies, string(d.Body))
			r.mu.Unlock()
			r.do(ctx, string(d.Body))
			r.mu.Lock()
			r.over = append(r.over, string(d.Body))
			r.mu.Unlock()
		}
	})...)
}

func (r *inlineRig) do(ctx context.Context, what string) {
	switch what {
	case "panic":
		panic("planted")
	case "exit":
		runtime.Goexit()
	case "wait":
		<-r.release
	case "wait for the end":
		<-ctx.Done()
	case "slow":
		time.Sleep(5 * quick)
	case "send": // to who may not exist
		if err := r.p.Send(ctx, 45, 0, nil); !errors.Is(err, stream.ErrNoSuchNode) {
			r.t.Error(err)
		}
	case "flush":
		if err := r.p.Await(ctx, 45); err != nil {
			r.t.Error(err)
		}
	case "trace":
		if hops, err := r.p.Trace(ctx, 45); err == nil {
			r.t.Error(hops)
		}
	case "cast": // to a link that takes nothing
		ctx, cancel := context.WithCancel(ctx)
		go func() { <-r.release; cancel() }()
		for range 100 {
			r.p.Cast(ctx, 40, 0, make([]byte, 16<<10))
		}
	}
}

// earn sends so many messages that are handled at once, and one more which readers have
// to be allowed to handle.
func (r *inlineRig) earn(calls int) {
	r.t.Helper()
	for range calls {
		r.feed(castHere(""))
	}
	r.feed(castHere(""))
	if !r.last() {
		r.t.Fatalf("trust is not given after %d calls: %+v", calls, r.p.sched.trust)
	}
}

// last says whether a reader has made the latest call.
func (r *inlineRig) last() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inline[len(r.inline)-1]
}

// told counts the messages with this body that handlers were called for.
func (r *inlineRig) told(body string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.bodies {
		if b == body {
			n++
		}
	}
	return n
}

// atRest checks that no call goes on, and none is taken to.
func (r *inlineRig) atRest() {
	r.t.Helper()
	synctest.Wait()
	s := &r.p.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calling != 0 || s.busy() != 0 {
		r.t.Errorf("%d readers and %d handlers in all are taken to be at work", s.calling, s.busy())
	}
}

// reception is that of the connection from 10, which rests.
func (r *inlineRig) reception() *inLink {
	r.p.mu.RLock()
	defer r.p.mu.RUnlock()
	for c := range r.p.conns {
		if c.id == 10 {
			return c.in
		}
	}
	return nil
}

// readerWaits has the reader of the connection from 10 call a handler that waits, and
// returns another connection.
func (r *inlineRig) readerWaits() net.Conn {
	r.t.Helper()
	r.feed(castHere("wait"))
	if !r.last() {
		r.t.Fatal("no reader has called")
	}
	return r.incoming(11, 1)
}
