package plane

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht/memnet"
)

// couple is two nodes, 10 in incarnation 100 and 20 in incarnation 101, that name each other and
// are not linked yet.
type couple struct {
	*mesh
	a, b *Plane
	logs *logs
	next [2]atomic.Uint64 // messages that each has handled, in order
	slow atomic.Int64     // how long a handler takes
}

func newCouple(t testing.TB, change ...func(*Config)) *couple {
	c := &couple{mesh: &mesh{t: t}, logs: newLogs()}
	t.Cleanup(c.close)
	for i := range 2 {
		config := Config{
			Self: uint64(i+1) * 10, Incarnation: uint64(i) + 100, Bits: 16, MaxPayload: 64 << 10, HopLimit: 1000,
			Limits: testLimits(), Log: c.logs.logger(),
			Deliver: func(_ context.Context, d *Delivery) {
				time.Sleep(time.Duration(c.slow.Load()))
				if err := expect(d.Body, c.next[i].Load()); err != nil {
					t.Errorf("node %d: %v", i, err)
				}
				c.next[i].Add(1)
			},
		}
		for _, f := range change {
			f(&config)
		}
		c.planes = append(c.planes, New(config))
	}
	c.a, c.b = c.planes[0], c.planes[1]
	c.a.SetRoutes(table(c.a, 1, 20))
	c.b.SetRoutes(table(c.b, 1, 10))
	c.a.SetMembers([]uint64{20}, nil, false)
	c.b.SetMembers([]uint64{10}, nil, false)
	return c
}

// dial makes a connection, as if one node had dialled the other.
func (c *couple) dial(from, to *Plane) { dialOver(c.t, memory, from, to) }

func dialOver(t testing.TB, pipe func(testing.TB) (net.Conn, net.Conn), from, to *Plane) {
	near, far := pipe(t)
	go to.Receive(far, from.Self, from.Incarnation, nil, nil)
	from.AddLink(to.Self, to.Incarnation, near)
}

// dialAcross is dial over a network in which the host of each node is named after its ID.
func (c *couple) dialAcross(across *memnet.Network, from, to *Plane) {
	dialOver(c.t, func(t testing.TB) (near, far net.Conn) {
		l, err := across.Host(fmt.Sprint(to.Self)).Listen(t.Context(), ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if near, err = across.Host(fmt.Sprint(from.Self)).Dial(t.Context(), l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		if far, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		return near, far
	}, from, to)
}

// message returns the message with this number.
func message(n uint64) []byte { return stormy(rand.New(rand.NewPCG(n, 0)), n, 14) }

// short is message with nothing but the number and the checksum.
func short(n uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, n)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(nil)^uint32(n))
}

// shared reports whether there is one connection, for both directions.
func (c *couple) shared() bool {
	return c.a.peers() == 1 && c.b.peers() == 1 && c.a.HasLink(20, 101) && c.b.HasLink(10, 100)
}

// exchange sends n messages each way at the same time.
func (c *couple) exchange(n int) {
	var wg sync.WaitGroup
	for i, p := range c.planes {
		to := c.planes[1-i]
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
			defer cancel()
			from := c.next[1-i].Load()
			for seq := range uint64(n) {
				if err := p.Send(ctx, to.Self, 0, message(from+seq)); err != nil {
					c.t.Error(err)
					return
				}
			}
			if failed, err := p.Flush(ctx); failed != nil || err != nil {
				c.t.Error(len(failed), err)
			}
			if got := c.next[1-i].Load() - from; got != uint64(n) {
				c.t.Errorf("%d of %d handled at %d", got, n, to.Self)
			}
		})
	}
	wg.Wait()
}

// quiet checks that nothing was logged as an error, and that no link seems broken.
func (c *couple) quiet() {
	c.t.Helper()
	if all := c.logs.all(); len(all) > 0 {
		c.t.Error("logged:", all)
	}
	for _, p := range c.planes {
		select {
		case <-p.Broken:
			c.t.Errorf("%d takes a link for broken", p.Self)
		default:
		}
	}
}
