package plane

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"
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
		r.earn()
		f(t, r)
	}, append(change, func(c *Config) {
		c.Deliver = func(ctx context.Context, d *Delivery) {
			r.mu.Lock()
			r.inline = append(r.inline, byReader(r.p, ctx))
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
		time.Sleep(100 * time.Microsecond)
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

// byReader reports whether a handler with this context was called by a reader.
func byReader(p *Plane, ctx context.Context) bool { return ctx != p.ctx }

// earn sends messages that are handled at once, until readers make the calls.
func (r *inlineRig) earn() {
	r.t.Helper()
	for range 100 {
		if r.feed(castHere("")); r.last() {
			return
		}
	}
	r.t.Fatal("no reader calls handlers")
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
