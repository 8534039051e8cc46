package plane

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/peers"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// rig is one plane, node 20 in incarnation 200, whose peers are the test. It lives in a synctest
// bubble, so that "nothing more happens" can be checked, and whatever is left at the end fails
// the test.
type rig struct {
	t    *testing.T
	p    *Plane
	from net.Conn // the link from 10
	logs *logs

	mu  sync.Mutex
	got map[uint64][]wire.Frame // by peer, since the last call of arrived
}

// logs keeps the errors that a plane logs.
type logs struct {
	slog.Handler
	mu   sync.Mutex
	errs []string
}

func newLogs() *logs { return &logs{Handler: slog.DiscardHandler} }

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, nil))
}

func (l *logs) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, string(line))
	return len(line), nil
}

func (l *logs) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.errs
}

func withRig(t *testing.T, f func(t *testing.T, r *rig), change ...func(*Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, got: make(map[uint64][]wire.Frame), logs: newLogs()}
		c := Config{
			Self: 20, Incarnation: 200, Bits: 16, MaxPayload: 64 << 10, HopLimit: 1000,
			Limits: testLimits(), Deliver: nothing, Log: r.logs.logger(),
		}
		for _, f := range change {
			f(&c)
		}
		r.p = New(c)
		defer r.p.Close(net.ErrClosed)
		r.from = r.incoming(10, 1)
		defer r.from.Close()
		f(t, r)
	})
}

// incoming is a link from a peer.
func (r *rig) incoming(from, inc uint64) net.Conn {
	near, far := memnet.Pipe()
	go r.p.Receive(far, from, inc, nil, nil)
	return near
}

// link makes a link to a peer, incarnation 1, and collects what comes over it. It returns the
// peer's end.
func (r *rig) link(to uint64) net.Conn {
	near, far := memnet.Pipe()
	r.p.AddLink(to, 1, near)
	go func() {
		in := link.NewReader(far, wire.Scan, 1<<20)
		for {
			batch, err := in.Next()
			if err != nil {
				far.Close()
				return
			}
			r.mu.Lock()
			for len(batch) > 0 {
				var f wire.Frame
				if f, batch = wire.Next(batch); f.Type() == wire.End {
					far.Close()
					break
				}
				r.got[to] = append(r.got[to], append(wire.Frame(nil), f...))
			}
			r.mu.Unlock()
		}
	}()
	return far
}

// feed sends frames from 10 and waits until nothing happens any more.
func (r *rig) feed(frames ...wire.Frame) {
	r.t.Helper()
	var all []byte
	for _, f := range frames {
		all = append(all, f...)
	}
	if _, err := r.from.Write(all); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

// arrived checks which frames a peer received since the last call, by their numbers.
func (r *rig) arrived(peer uint64, want ...uint64) []wire.Frame {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got[peer]
	delete(r.got, peer)
	ok := len(got) == len(want)
	for i := range got {
		ok = ok && got[i].Seq() == want[i]
	}
	if !ok {
		var seqs []uint64
		for _, f := range got {
			seqs = append(seqs, f.Seq())
		}
		r.t.Errorf("%d got %v, want %v", peer, seqs, want)
		r.t.FailNow()
	}
	return got
}

// dropped checks the counters of drops since its last call.
func (r *rig) dropped(want status.Dropped) {
	r.t.Helper()
	if got := r.p.Counters().Dropped; got != want {
		r.t.Errorf("dropped %+v, want %+v", got, want)
	}
}

// data is a message from 5 that is to be relayed.
func data(dst, seq uint64) wire.Frame {
	return wire.Append(nil, wire.Header{Type: wire.Data, Dst: dst, Src: 5, Seq: seq}, []byte("body"))
}

func marked(f wire.Frame) wire.Frame {
	f.SetDetour(true)
	return f
}

// deaf is a connection whose end goes unnoticed until the test says so.
type deaf struct {
	net.Conn
	let chan struct{}
}

func (d deaf) Read([]byte) (int, error) {
	<-d.let
	return 0, errDeaf
}

var errDeaf = errors.New("noticed at last")

// jammed is a connection that reads nothing.
type jammed struct {
	net.Conn
	closed chan struct{}
	once   *sync.Once
}

func newJammed() jammed {
	near, _ := memnet.Pipe()
	return jammed{near, make(chan struct{}), new(sync.Once)}
}

func (j jammed) Write([]byte) (int, error) {
	<-j.closed
	return 0, net.ErrClosed
}

func (j jammed) Close() error {
	j.once.Do(func() { close(j.closed) })
	return j.Conn.Close()
}

// telling is the service with the empty name, with a callback for undelivered messages.
func telling(f func(Undelivered)) []Service { return []Service{{Handled: true, OnUndelivered: f}} }

// ack is a sink's acknowledgement of everything below a number.
func ack(sink, delivered uint64) wire.Frame {
	return wire.Append(nil, wire.Header{Type: wire.Ack, Dst: 20, Src: sink, Seq: delivered}, wire.AckBody{Window: 1 << 16}.Append(nil, nil))
}

// Routes is short for the one of package peers.
type Routes = peers.Routes

// peers counts the connections with others.
func (p *Plane) peers() (n int) {
	for range p.Conns() {
		n++
	}
	return n
}

// linkTo returns the link to a peer, or nil.
func (p *Plane) linkTo(id uint64) *peers.Link {
	for _, l := range p.Links() {
		if l.Peer().ID == id {
			return l
		}
	}
	return nil
}

// connFrame is a frame about a connection.
func connFrame(t wire.Type, nonce uint64) []byte {
	return wire.Append(nil, wire.Header{Type: t, Seq: nonce}, nil)
}

// canceled is a context that has ended: what waits with it looks once.
var canceled = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()
