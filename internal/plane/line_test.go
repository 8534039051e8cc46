package plane

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/memnet"
	"github.com/x/ringdht/internal/wire"
)

// couple is two nodes, 10 of life 100 and 20 of life 101, that name each other and are
// not linked yet.
type couple struct {
	*mesh
	a, b *Plane
	logs *logs
	next [2]atomic.Uint64 // messages that each has handled, which come in order
	slow atomic.Int64     // how long a handler takes
}

func newCouple(t testing.TB, change ...func(*Config)) *couple {
	c := &couple{mesh: &mesh{t: t}, logs: newLogs()}
	t.Cleanup(c.close)
	for i := range 2 {
		config := Config{
			Self: uint64(i+1) * 10, Life: uint64(i) + 100, Bits: 16, MaxPayload: 64 << 10, HopLimit: 1000,
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
	c.a.Use(table(c.a, 1, 20))
	c.b.Use(table(c.b, 1, 10))
	c.a.Know([]uint64{20})
	c.b.Know([]uint64{10})
	return c
}

// dial makes a connection, as one node's dialling the other does.
func (c *couple) dial(from, to *Plane) { dialOver(c.t, memory, from, to) }

func dialOver(t testing.TB, pipe func(testing.TB) (net.Conn, net.Conn), from, to *Plane) {
	near, far := pipe(t)
	go to.Receive(far, from.Self, from.Life, nil)
	from.AddLink(to.Self, to.Life, near)
}

// dialAcross is dial over a network in which each node's host has its ID for a name.
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

// states are those of the lines between the two, as node p sees them.
func states(p *Plane) string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var all []string
	for l := range p.lines {
		if l.id == p.Self {
			continue
		}
		how := "accepted"
		if l.dialled {
			how = "dialled"
		}
		s := fmt.Sprintf("%s %d %d", how, l.mine, l.theirs)
		if p.links[l.id] == l.out && l.out != nil {
			s += " link"
		}
		all = append(all, s)
	}
	return strings.Join(all, ", ")
}

var both = fmt.Sprintf("%d %d link", open, open)

// message is the one with this number.
func message(n uint64) []byte { return stormy(rand.New(rand.NewPCG(n, 0)), n) }

// short is the same with nothing but its number and the checksum.
func short(n uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, n)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(nil)^uint32(n))
}

// one checks that there is one connection for both directions, and who has dialled it.
func (c *couple) one(dialler, other *Plane) {
	c.t.Helper()
	if d, o := states(dialler), states(other); d != "dialled "+both || o != "accepted "+both {
		c.t.Errorf("%d has [%s], %d has [%s]", dialler.Self, d, other.Self, o)
	}
}

// exchange sends n messages each way at the same time.
func (c *couple) exchange(n int) {
	var wg sync.WaitGroup
	for i, p := range c.planes {
		to := c.planes[1-i]
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
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

// quiet checks that nobody has complained, and nothing looks like a link that broke.
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

// Who wants a link to a node that has dialled it shares that connection.
func TestShare(t *testing.T) {
	for name, higher := range map[string]bool{"lower dialled": false, "higher dialled": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t)
				defer c.close()
				first, second := c.a, c.b
				if higher {
					first, second = second, first
				}
				if second.Ask(first.Self, first.Life) {
					t.Error("there is nothing to share")
				}
				waited := make(chan error)
				go func() { waited <- second.AwaitLink(t.Context(), first.Self, first.Life) }()
				synctest.Wait()
				c.dial(first, second)
				if err := <-waited; err != nil {
					t.Fatal(err)
				}
				c.one(first, second)
				c.exchange(1000)
				c.one(first, second)
				c.quiet()
			})
		})
	}
}

// What both have dialled becomes one, however it falls out, and traffic does not notice.
func TestConverge(t *testing.T) {
	for name, pipe := range map[string]func(testing.TB) (net.Conn, net.Conn){"memory": memory, "tcp": tcp} {
		t.Run(name, func(t *testing.T) {
			c := newCouple(t)
			var wg sync.WaitGroup
			wg.Go(func() { dialOver(t, pipe, c.a, c.b) })
			wg.Go(func() { dialOver(t, pipe, c.b, c.a) })
			wg.Go(func() { c.exchange(2000) })
			wg.Wait()
			eventually(t, "one connection", func() bool { return c.a.peers() == 1 && c.b.peers() == 1 })
			c.one(c.a, c.b) // the lower ID's
			c.exchange(100)
			c.quiet()
		})
	}
}

// While tables change under way nothing is lost either, and it comes to one connection
// in the end.
func TestConvergeInAStorm(t *testing.T) {
	c := newCouple(t)
	var over atomic.Bool
	var wg sync.WaitGroup
	for i, p := range c.planes {
		to := c.planes[1-i]
		wg.Go(func() {
			for epoch := uint64(2); ; epoch += 2 {
				last := over.Load()
				p.Use(Routes{Epoch: epoch, Successor: to.Self}) // it has no entry, and the link is retired
				p.Use(table(p, epoch+1, to.Self))
				if p.Ask(to.Self, to.Life) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
					p.AwaitLink(ctx, to.Self, to.Life)
					cancel()
				}
				if !p.HasLink(to.Self, to.Life) {
					c.dial(p, to)
				}
				if last {
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	c.exchange(3000)
	over.Store(true)
	wg.Wait()
	eventually(t, "one connection", func() bool { return c.a.peers() == 1 && c.b.peers() == 1 })
	if s := states(c.a) + states(c.b); strings.Count(s, both) != 2 {
		t.Error(s)
	}
	c.exchange(100)
	if all := c.logs.all(); len(all) > 0 {
		t.Error("logged:", all)
	}
}

// The end of one direction is not that of the other, whoever ends first; when both have
// ended so has the connection.
func TestHalfEnds(t *testing.T) {
	for name, dialler := range map[string]bool{"the dialling side": true, "the accepting side": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t)
				defer c.close()
				c.dial(c.a, c.b)
				c.b.AwaitLink(t.Context(), 10, 100)
				first, second := c.a, c.b
				if !dialler {
					first, second = second, first
				}
				first.Cast(t.Context(), second.Self, 0, message(0))
				first.Use(table(first, 2))
				time.Sleep(time.Hour)
				if first.HasLink(second.Self, second.Life) || first.peers() != 1 || second.peers() != 1 || c.next[second.Self/10-1].Load() != 1 {
					t.Errorf("after one end: [%s] and [%s]", states(first), states(second))
				}
				second.Cast(t.Context(), first.Self, 0, message(0))
				synctest.Wait()
				if c.next[first.Self/10-1].Load() != 1 {
					t.Error("the other direction has ended too")
				}
				second.Use(table(second, 2))
				synctest.Wait()
				if first.peers() != 0 || second.peers() != 0 {
					t.Errorf("after the other: [%s] and [%s]", states(first), states(second))
				}
				c.quiet()
			})
		})
	}
}

// Who has only been dialled closes the connection when the other has ended.
func TestUnsharedEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.close()
		c.dial(c.a, c.b)
		c.a.Cast(t.Context(), 20, 0, message(0))
		c.a.Use(table(c.a, 2))
		synctest.Wait()
		if c.a.peers() != 0 || c.b.peers() != 0 || c.next[1].Load() != 1 {
			t.Errorf("[%s] and [%s], %d handled", states(c.a), states(c.b), c.next[1].Load())
		}
		c.quiet()
	})
}

// The accepting side asks while the dialling side ends: it sends nothing then, and hears
// that it has to dial.
func TestAskCrossesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.close()
		net := memnet.New(1)
		net.Delay("", "", time.Second, 0)
		c.dialAcross(net, c.a, c.b)
		synctest.Wait()
		c.a.Use(table(c.a, 2))
		if !c.b.Ask(10, 100) {
			t.Error("it did not ask")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		time.Sleep(4 * time.Second)
		if c.b.Ask(10, 100) || c.b.AwaitLink(ctx, 10, 100) == nil {
			t.Error("it may send on what the other has ended")
		}
		if c.a.peers() != 0 || c.b.peers() != 0 {
			t.Errorf("[%s] and [%s]", states(c.a), states(c.b))
		}
		c.quiet()
	})
}

// Who has said the end does not let the other begin.
func TestEndedLineIsNotShared(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		near, far := memnet.Pipe()
		r.p.AddLink(30, 1, near)
		r.p.Use(Routes{Epoch: 1})
		b := make([]byte, 100)
		if n, err := far.Read(b); err != nil || wire.Frame(b[:n]).Type() != wire.End {
			t.Errorf("%x, %v", b[:n], err)
		}
		far.Write(urgent(wire.Share, 0))
		if n, err := far.Read(b); err == nil {
			t.Errorf("it answered: %x", b[:n])
		}
		far.Close()
	})
}

// A node is asked for the life that has dialled, and no other.
func TestAskForALife(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		if r.p.Ask(10, 2) || r.p.Ask(11, 1) || !r.p.Ask(10, 1) || !r.p.Ask(10, 1) {
			t.Error("asked the wrong one, or not the right one")
		}
		b := make([]byte, 100)
		r.from.SetReadDeadline(time.Now().Add(time.Second))
		for range 2 {
			if n, err := r.from.Read(b); err == nil && (n != wire.HeaderSize || wire.Frame(b).Type() != wire.Share) {
				t.Errorf("%x", b[:n])
			}
		}
	})
}

// If the peer ends its direction and dials anew then the other one moves there as well,
// whoever has the higher ID.
func TestConvergeAfterAnEnd(t *testing.T) {
	for name, higher := range map[string]bool{"the lower": false, "the higher": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t)
				defer c.close()
				first, second := c.a, c.b
				if higher {
					first, second = second, first
				}
				c.dial(first, second)
				second.AwaitLink(t.Context(), first.Self, first.Life)
				first.Use(Routes{Epoch: 2, Successor: second.Self})
				synctest.Wait()
				first.Use(table(first, 3, second.Self))
				c.dial(first, second)
				synctest.Wait()
				c.one(first, second)
				if first.peers() != 1 {
					t.Error(first.peers(), "connections")
				}
				c.exchange(100)
				c.quiet()
			})
		})
	}
}

// What is dialled though both directions are served is not used.
func TestOneLineIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.close()
		c.dial(c.b, c.a)
		c.a.AwaitLink(t.Context(), 20, 101)
		for _, p := range c.planes {
			c.dial(p, c.planes[2-p.Self/10])
			synctest.Wait()
			c.one(c.b, c.a)
		}
		c.quiet()
	})
}

// A node that leaves waits for what comes over a connection that it has dialled itself,
// however long that takes, and nothing that was accepted is lost.
func TestDrainOfASharedLine(t *testing.T) {
	for name, dialled := range map[string]bool{"dialled": true, "accepted": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t)
				defer c.close()
				net := memnet.New(1)
				if dialled {
					c.dialAcross(net, c.a, c.b)
					c.b.AwaitLink(t.Context(), 10, 100)
				} else {
					c.dialAcross(net, c.b, c.a)
					c.a.AwaitLink(t.Context(), 20, 101)
				}
				c.exchange(1)
				net.Delay("20", "10", 2*time.Second, 0)
				const n = 50
				for i := range uint64(n) {
					if err := c.b.Send(t.Context(), 10, 0, short(1+i)); err != nil {
						t.Fatal(err)
					}
				}
				drained := make(chan error, 1)
				go func() { drained <- c.a.Drain(t.Context()) }()
				synctest.Wait()
				select {
				case <-drained:
					t.Error("it did not wait for its peer")
				default:
				}
				start := time.Now()
				c.b.Use(Routes{Epoch: 2, Successor: 10}) // it has let go
				if err := <-drained; err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took >= retireTimeout || c.next[0].Load() != 1+n {
					t.Errorf("%d handled, after %v", c.next[0].Load(), took)
				}
				c.a.Close(errBroken)
				if failed, err := c.b.Flush(t.Context()); failed != nil || err != nil {
					t.Error(len(failed), err)
				}
			})
		})
	}
}

// A peer that does not let go is waited for, but not for ever.
func TestDrainOfAStuckSharedLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.close()
		c.dial(c.a, c.b)
		c.b.AwaitLink(t.Context(), 10, 100)
		c.a.Use(Routes{Epoch: 2, Successor: 20}) // this direction ended long ago
		time.Sleep(time.Hour)
		start := time.Now()
		if err := c.a.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < retireTimeout || took > 3*retireTimeout {
			t.Error("it took", took)
		}
	})
}

// A direction has not ended before what came with the end is taken in.
func TestEndComesLast(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		_, far := memnet.Pipe()
		r.p.mu.Lock()
		l := r.p.line(far, 30, 1, false)
		r.p.mu.Unlock()
		cast := wire.Append(nil, wire.Header{Type: wire.Cast, Dst: 20, Src: 30}, nil)
		if _, err := l.in.sort(append(cast, urgent(wire.End, 0)...)); err != nil {
			t.Fatal(err)
		}
		if l.theirs != open || !l.in.last {
			t.Error("ended before it was all taken in, or not heard")
		}
		l.in.finish()
		l.quiet()
		synctest.Wait()
		if l.theirs != over || r.p.Counters().Delivered != 1 {
			t.Error("not ended, or not handled")
		}
		l.ended(net.ErrClosed)
	})
}

// Both notice when a shared connection breaks; what waits goes another way or is sent
// again.
func TestSharedLineBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.close()
		c.dial(c.a, c.b)
		c.b.AwaitLink(t.Context(), 10, 100)
		c.a.mu.RLock()
		l := c.a.links[20]
		c.a.mu.RUnlock()
		l.Fail(errBroken)
		synctest.Wait()
		for _, p := range c.planes {
			if p.peers() != 0 {
				t.Errorf("%d has [%s]", p.Self, states(p))
			}
			select {
			case <-p.Broken:
			default:
				t.Errorf("%d was not told", p.Self)
			}
		}
		go func() {
			time.Sleep(time.Second)
			c.dial(c.b, c.a)
			c.a.AwaitLink(t.Context(), 20, 101)
		}()
		c.exchange(100)
		c.one(c.b, c.a)
	})
}

// A life that is over loses the connection, whoever has dialled it; a later life does not
// get what was asked of an earlier one.
func TestSharedLineOfALifeThatIsOver(t *testing.T) {
	for name, dialled := range map[string]bool{"dialled": true, "accepted": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t)
				defer c.close()
				if dialled {
					c.dial(c.a, c.b)
					c.b.AwaitLink(t.Context(), 10, 100)
				} else {
					c.dial(c.b, c.a)
					c.a.AwaitLink(t.Context(), 20, 101)
				}
				if c.a.Ask(20, 102) || c.a.HasLink(20, 102) {
					t.Error("taken for another life")
				}
				c.a.Gone(20, 100)
				synctest.Wait()
				if c.a.peers() != 1 {
					t.Error("an earlier life was over")
				}
				c.a.Gone(20, 101)
				synctest.Wait()
				if c.a.peers() != 0 || c.a.HasLink(20, 101) || c.b.peers() != 0 {
					t.Errorf("[%s] and [%s]", states(c.a), states(c.b))
				}
			})
		})
	}
}

// A peer that neither uses a connection nor closes it, once this side has ended, does not
// keep it; one that uses it does.
func TestEndIsNotWaitedForLong(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		near, far := memnet.Pipe()
		r.p.AddLink(30, 1, near)
		r.p.Use(Routes{Epoch: 1})
		time.Sleep(retireTimeout - 1)
		if r.p.peers() != 2 {
			t.Error("it has not waited")
		}
		time.Sleep(time.Second)
		if r.p.peers() != 1 {
			t.Error("it waits for ever")
		}
		far.Close()
	})
}

// The frames that are about a connection come when and from whom they may, or it ends.
func TestHostileLines(t *testing.T) {
	frame := func(t wire.Type) []byte { return urgent(t, 0) }
	all := func(f ...[]byte) (b []byte) {
		for _, f := range f {
			b = append(b, f...)
		}
		return b
	}
	flood := make([]byte, 0, 100*wire.HeaderSize)
	for i := range uint64(100) {
		flood = append(flood, urgent(wire.Ping, i)...)
	}
	for name, c := range map[string]struct {
		dialled bool // by the node under test
		send    []byte
		good    bool
	}{
		"share":                      {true, frame(wire.Share), true},
		"share, data":                {true, all(frame(wire.Share), data(40, 1)), true},
		"share, ping":                {true, all(frame(wire.Share), frame(wire.Ping)), true},
		"share, end":                 {true, all(frame(wire.Share), data(40, 1), frame(wire.End)), true},
		"share twice":                {true, all(frame(wire.Share), frame(wire.Share)), false},
		"share with a sink":          {true, wire.Append(nil, wire.Header{Type: wire.Share, Dst: 20}, nil), false},
		"share with a body":          {true, wire.Append(nil, wire.Header{Type: wire.Share}, []byte{1}), false},
		"data":                       {true, data(40, 1), false},
		"ping":                       {true, frame(wire.Ping), false},
		"end":                        {true, frame(wire.End), false},
		"shared by who accepted":     {true, frame(wire.Shared), false},
		"share, end, end":            {true, all(frame(wire.Share), frame(wire.End), frame(wire.End)), false},
		"share, end, data":           {true, all(frame(wire.Share), frame(wire.End), data(40, 1)), false},
		"share, end, ping":           {true, all(frame(wire.Share), frame(wire.End), frame(wire.Ping)), false},
		"share, end, share":          {true, all(frame(wire.Share), frame(wire.End), frame(wire.Share)), false},
		"share by who dialled":       {false, frame(wire.Share), false},
		"shared and never asked":     {false, frame(wire.Shared), false},
		"pong and never asked":       {false, frame(wire.Pong), false},
		"end and more":               {false, all(frame(wire.End), data(40, 1)), false},
		"end twice":                  {false, all(frame(wire.End), frame(wire.End)), false},
		"pings without end":          {false, flood, false},
		"pings without end, shared":  {true, all(frame(wire.Share), flood), false},
		"a type that there is not":   {true, frame(19), false},
		"a type of the conversation": {true, frame(wire.FirstControl), false},
	} {
		t.Run(name, func(t *testing.T) {
			withRig(t, func(t *testing.T, r *rig) {
				r.link(40)
				r.p.Use(Routes{Epoch: 1, Entries: []uint64{40}, Keep: []uint64{30}, Sure: true, Successor: 40})
				near, far := memnet.Pipe()
				ended := make(chan error, 1)
				if c.dialled {
					r.p.AddLink(30, 1, far)
				} else {
					go func() { ended <- r.p.Receive(far, 30, 1, nil) }()
				}
				synctest.Wait()
				before := r.p.peers()
				near.Write(c.send) // and it does not read
				synctest.Wait()
				if up := r.p.peers() == before; up != c.good {
					t.Errorf("the connection stands: %v", up)
				}
				if !c.good && !c.dialled {
					if err := <-ended; !errors.Is(err, wire.ErrType) {
						t.Error(err)
					}
				}
				if !c.good && c.dialled && !strings.Contains(strings.Join(r.logs.all(), ""), wire.ErrType.Error()) {
					t.Error("logged", r.logs.all())
				}
				near.Close()
			})
		})
	}
}

// Many connections under one name cost no more than as many under several, and none of
// them is asked for more than there is need of.
func TestManyLinesOfOnePeer(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		r.p.Use(Routes{Epoch: 1, Entries: []uint64{15}, Sure: true, Successor: 15})
		r.link(15)
		var conns []net.Conn
		for range 100 {
			conns = append(conns, r.incoming(15, 1))
			synctest.Wait()
		}
		// It has a lower ID, so the link moves to the first of those that lets it: they are all
		// asked until one does.
		conns[7].Write(urgent(wire.Shared, 0))
		synctest.Wait()
		r.p.mu.RLock()
		l := r.p.links[15]
		r.p.mu.RUnlock()
		if l.dialled || l.theirs != open {
			t.Error("the link did not move")
		}
		late := r.incoming(15, 1)
		synctest.Wait()
		r.p.mu.RLock()
		for l := range r.p.lines {
			if l.id == 15 && l.mine == unused && l.out != nil {
				t.Error("a line with nothing to write has a writer")
			}
		}
		r.p.mu.RUnlock()
		for _, conn := range append(conns, late) {
			conn.Close()
		}
	})
}
