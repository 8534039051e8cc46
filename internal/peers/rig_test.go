package peers

import (
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// rig is the set of node 20 in incarnation 200, whose peers are the test. It lives in a synctest
// bubble, so that "nothing more happens" can be checked, and what is left at the end fails
// the test.
type rig struct {
	t    *testing.T
	p    *owner
	from net.Conn // the link from 10
	logs *logs

	mu  sync.Mutex
	got map[uint64][]wire.Frame // by peer, since the last call of arrived
}

// logs keeps what a set logs.
type logs struct {
	mu   sync.Mutex
	errs []string
}

func newLogs() *logs { return new(logs) }

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

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
		c := config(20, 200, r.logs)
		for _, f := range change {
			f(&c)
		}
		r.p = newOwner(c)
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
	for _, f := range frames {
		if _, err := r.from.Write(f); err != nil {
			r.t.Fatal(err)
		}
	}
	synctest.Wait()
}

// arrived checks which frames a peer received since the last call, by their numbers.
func (r *rig) arrived(peer uint64, want ...uint64) {
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
		r.t.Fatalf("%d got %x, want %v", peer, got, want)
	}
}

// data is a message from 5.
func data(dst, seq uint64) wire.Frame {
	return wire.Append(nil, wire.Header{Type: wire.Data, Dst: dst, Src: 5, Seq: seq}, []byte("body"))
}

// slowClose is a connection whose Close waits.
type slowClose struct {
	net.Conn
	closing, let chan struct{}
}

func (c slowClose) Close() error {
	close(c.closing)
	<-c.let
	return c.Conn.Close()
}
