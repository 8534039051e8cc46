package peers

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// ends collects how connections have ended.
type ends struct {
	mu sync.Mutex
	of map[uint64]error // by peer
}

// dials makes a connection from an incarnation of a peer.
func (e *ends) dials(r *rig, from, inc uint64) net.Conn {
	near, far := memnet.Pipe()
	go r.p.Receive(far, from, inc, nil, func(err error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.of == nil {
			e.of = make(map[uint64]error)
		}
		e.of[from] = err
	})
	synctest.Wait()
	r.t.Cleanup(func() { near.Close() })
	return near
}

// are checks which connections have ended since the last call, and why.
func (e *ends) are(t *testing.T, why error, peers ...uint64) {
	t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range peers {
		if !errors.Is(e.of[p], why) {
			t.Errorf("the connection from %d: %v, want %v", p, e.of[p], why)
		}
		delete(e.of, p)
	}
	if len(e.of) > 0 {
		t.Errorf("ended as well: %v", e.of)
	}
	clear(e.of)
}

// below1000 has members below 1000.
func below1000(c *Config) { c.IsMember = func(id, _ uint64) bool { return id < 1000 } }

// At the bound the oldest connection that has carried nothing makes way: a stranger's for any, and
// a member's for a member.
func TestIncomingBound(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		var e ends
		synctest.Wait()
		r.p.incoming.most = 5 // that of the rig is one
		e.dials(r, 101, 1)
		e.dials(r, 1001, 1)
		heard := e.dials(r, 1002, 1)
		heard.Write(connFrame(wire.Ping, 7))
		e.dials(r, 1003, 1)
		e.are(t, nil)
		e.dials(r, 1004, 1) // a stranger for a stranger
		e.are(t, ErrCrowded, 1001)
		e.dials(r, 102, 1) // a member for a stranger
		e.are(t, ErrCrowded, 1003)
		e.dials(r, 103, 1)
		e.are(t, ErrCrowded, 1004)
		e.dials(r, 1005, 1) // no stranger's is left that has carried nothing
		e.are(t, ErrCrowded, 1005)
		e.dials(r, 104, 1) // a member for a member; the oldest is the rig's own, which e does not see
		e.are(t, nil)
		e.dials(r, 105, 1)
		e.are(t, ErrCrowded, 101)
		if got := r.p.Traffic().Shed; got != 6 {
			t.Errorf("%d counted", got)
		}
		if r.p.peers() != 5 {
			t.Errorf("%d connections", r.p.peers())
		}
		heard.Close()
		e.are(t, io.EOF, 1002)
	}, below1000)
}

// A stranger's connection ends after its time, even if it has carried frames, and only while this
// node would have heard of a newcomer. A stranger that becomes a member stays.
func TestStrangersHaveATime(t *testing.T) {
	const lease = 3 * time.Second
	var mu sync.Mutex
	members := map[uint64]bool{10: true}
	withRig(t, func(t *testing.T, r *rig) {
		var e ends
		check := func(leases int, complete bool) {
			for range 3 * leases {
				time.Sleep(lease / 3)
				r.p.CheckIncoming(lease, complete)
			}
		}
		e.dials(r, 1001, 1)
		e.dials(r, 1002, 1).Write(connFrame(wire.Ping, 7))
		e.dials(r, 1003, 1)
		check(strangerLeases-1, true)
		e.are(t, nil)
		mu.Lock()
		members[1003] = true
		mu.Unlock()
		check(1, false) // it may not have heard of all
		e.are(t, nil)
		check(strangerLeases-1, true)
		e.are(t, nil)
		check(1, true)
		e.are(t, ErrStranger, 1001, 1002)
		check(10, true)
		e.are(t, nil)
		if got := r.p.Traffic().Shed; got != 2 {
			t.Errorf("%d counted", got)
		}
	}, func(c *Config) {
		c.IsMember = func(id, _ uint64) bool { mu.Lock(); defer mu.Unlock(); return members[id] }
	})
}

// A connection with part of a frame ends, also one on which this node sends.
func TestHalfFramesHaveATime(t *testing.T) {
	const lease = 3 * time.Second
	withRig(t, func(t *testing.T, r *rig) {
		var e ends
		half := data(40, 1)[:30]
		e.dials(r, 50, 1).Write(half)
		slow := e.dials(r, 51, 1)
		e.dials(r, 52, 1).Write(data(40, 1)) // whole
		r.p.SetRoutes(table(r.p, 1, 53))
		shared := e.dials(r, 53, 1)
		r.p.Ask(53, 1)
		shared.Write(append(connFrame(wire.Shared, 0), half...))
		synctest.Wait()
		if !r.p.HasLink(53, 1) {
			t.Fatal("no link")
		}
		for i := range 9 {
			slow.Write(half[i : i+1])
			synctest.Wait()
			r.p.CheckIncoming(lease, true)
			time.Sleep(lease / 3)
		}
		e.are(t, link.ErrStalled, 50, 51, 53)
		if r.p.HasLink(53, 1) {
			t.Error("the link is still there")
		}
	})
}

// 10,000 silent connections in the names of others cost no more than the bound, and nothing stays.
func TestManyStrangers(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		synctest.Wait() // what began with the rig is over
		goroutines := runtime.NumGoroutine()
		var far []net.Conn
		for i := range 10_000 {
			far = append(far, r.incoming(uint64(1000+i), 1))
		}
		synctest.Wait()
		if n := r.p.peers(); n != maxIncoming {
			t.Errorf("%d connections", n)
		}
		for range 3*strangerLeases + 2 {
			r.p.CheckIncoming(time.Second, true)
			time.Sleep(time.Second / 3)
		}
		synctest.Wait()
		runtime.GC() // it stops the world, so a goroutine at its end has ended and counts no more
		if n, g := r.p.peers(), runtime.NumGoroutine(); n != 1 || g > goroutines {
			t.Errorf("%d connections and %d goroutines are left, there were 1 and %d", n, g, goroutines)
		}
		if i := &r.p.incoming; i.n != 1 || len(i.byPeer) != 1 || i.strangers.n != 0 {
			t.Errorf("the account has %d, %d peers, %d strangers", i.n, len(i.byPeer), i.strangers.n)
		}
		for _, c := range far {
			c.Close()
		}
	}, below1000)
}
