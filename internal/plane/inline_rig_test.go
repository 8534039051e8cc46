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

// castHere is a cast to the plane of the rig.
func castHere(body string) wire.Frame {
	return wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: 5}, []byte(body))
}

// inlineRig is a rig whose handler does what each message says.
type inlineRig struct {
	*rig
	release chan struct{} // ends handlers that wait
	another chan struct{} // ends those that wait for another

	streams map[uint64]uint64 // the next number of each, by source

	mu     sync.Mutex
	inline []bool // for each message, whether a reader made the call
	bodies []string
	over   []string // bodies whose handler has returned
}

// message is the next one of the stream from a source.
func (r *inlineRig) message(source uint64, body string) wire.Frame {
	seq := r.streams[source]
	r.streams[source]++
	return wire.Append(nil, wire.Header{Type: wire.Data, Dst: 20, Src: source, Seq: seq}, []byte(body))
}

// stream opens a stream from a source. The way back to it is 40.
func (r *inlineRig) stream(source uint64) {
	r.feed(wire.Append(nil, wire.Header{Type: wire.Open, Dst: 20, Src: source, Seq: 1}, wire.OpenBody{Incarnation: 1}.Append(nil)))
	opened, err := wire.ParseOpened(r.arrived(40, 1)[0].Body())
	if err != nil {
		r.t.Fatal(err)
	}
	r.streams[source] = opened.First
}

// withReaders runs a test with a plane whose readers may make calls, and whose successor is 40.
func withReaders(t *testing.T, f func(t *testing.T, r *inlineRig), change ...func(*Config)) {
	r := &inlineRig{}
	withRig(t, func(t *testing.T, inner *rig) {
		r.rig, r.release, r.another, r.streams = inner, make(chan struct{}), make(chan struct{}), make(map[uint64]uint64)
		r.link(40)
		r.p.SetRoutes(Routes{Epoch: 1, Entries: []uint64{40}, Authoritative: true, Successor: 40})
		r.stream(5)
		r.stream(6)
		r.earn(often)
		f(t, r)
	}, append(change, func(c *Config) {
		c.Deliver = func(ctx context.Context, d *Delivery) {
			_, inline := ctx.Value(inlineKey{}).(*inlineCall)
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
	case "wait for another":
		<-r.another
	case "wait for the end":
		<-ctx.Done()
	case "slow":
		time.Sleep(5 * wakeup)
	case "send": // to a node that does not exist
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

// earn sends so many messages that are handled at once, and one more. A reader must make
// that call.
func (r *inlineRig) earn(calls int) {
	r.t.Helper()
	for range calls {
		r.feed(castHere(""))
	}
	r.feed(castHere(""))
	if !r.last() {
		r.t.Fatalf("no budget after %d calls: %+v", calls, r.p.sched.budget)
	}
}

// balance returns the balance of the inline budget.
func (r *inlineRig) balance() time.Duration {
	r.p.sched.mu.Lock()
	defer r.p.sched.mu.Unlock()
	return r.p.sched.budget.balance
}

// forgive leaves a debt of so many quick calls.
func (r *inlineRig) forgive(but int) {
	r.p.sched.mu.Lock()
	defer r.p.sched.mu.Unlock()
	r.p.sched.budget.balance = -time.Duration(but) * wakeup
}

// last reports whether a reader made the latest call.
func (r *inlineRig) last() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inline[len(r.inline)-1]
}

// told counts the messages with this body that were passed to handlers.
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

// atRest checks that the scheduler counts no calls when there are none.
func (r *inlineRig) atRest() {
	r.t.Helper()
	synctest.Wait()
	s := &r.p.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) != 0 || s.running != 0 {
		r.t.Errorf("%d inline calls and %d handlers in all are counted, there are none", len(s.calls), s.running)
	}
}

// endedLink is the inLink of a connection that has ended. Nothing reads it until it is
// handed over.
func (r *inlineRig) endedLink() *inLink {
	near, far := net.Pipe()
	near.Close()
	c := r.p.Accept(far, 12, 1, false, nil)
	in, _ := c.AwaitReader()
	return r.p.newInLink(c, in, nil)
}

// readerWaits makes the reader of the connection from 10 call a handler that blocks. It
// returns another connection.
func (r *inlineRig) readerWaits() net.Conn {
	r.t.Helper()
	r.feed(castHere("wait"))
	if !r.last() {
		r.t.Fatal("no reader has called")
	}
	return r.incoming(11, 1)
}
