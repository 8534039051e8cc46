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

// stormy returns a message that can be verified: its number, and a checksum of all of it. It has up to
// 2^bits bytes.
func stormy(rng *rand.Rand, n uint64, bits int) []byte {
	size := 12 + rng.IntN(1<<rng.IntN(bits+1))
	b := make([]byte, size)
	for i := 12; i < size; i++ {
		b[i] = byte(n) + byte(i)
	}
	binary.BigEndian.PutUint64(b, n)
	binary.BigEndian.PutUint32(b[8:], crc32.ChecksumIEEE(b[12:])^uint32(n))
	return b
}

// expect checks that a message from a source is the next one.
func expect(b []byte, next uint64) error {
	n := binary.BigEndian.Uint64(b)
	switch {
	case n != next:
		return fmt.Errorf("message %d, want %d", n, next)
	case binary.BigEndian.Uint32(b[8:]) != crc32.ChecksumIEEE(b[12:])^uint32(n):
		return fmt.Errorf("message %d is corrupt", n)
	}
	return nil
}

// Whatever happens to links and routes while several sources send on the same streams, every
// message of each service is handled once, in order and as it was sent. Afterwards nothing is held and all
// accounts are even. A message is in the store and in the links' queues at the same time, so a
// chunk that is reused too early shows here.
func TestStorm(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { storm(t, seed, 14) })
		t.Run(fmt.Sprint(seed, " short messages"), func(t *testing.T) { storm(t, seed, 6) })
	}
}

func storm(t *testing.T, seed uint64, bits int) {
	const n, each, senders, services = 4, 700, 2, 2
	if testing.Short() {
		t.Skip("some seconds")
	}
	type lane struct{ from, to, service int } // a service by its number at the source
	var mu sync.Mutex                         // guards next
	next := make(map[lane]uint64)
	limits := testLimits()
	limits.LinkLow, limits.SendBuffer, limits.ReceiveBuffer = 16<<10, 256<<10, 128<<10
	m := newMesh(t, n, n-1, limits, memory, func(node int) Deliver {
		return func(_ context.Context, d *Delivery) {
			from := int(d.Source/10) - 1
			at := lane{from, node, d.Service}
			if d.Service > 0 && from%2 != node%2 {
				at.service = 3 - d.Service
			}
			mu.Lock()
			defer mu.Unlock()
			if want := stormPort(next[at], at.service); d.Port != want {
				t.Errorf("%v: message %d on port %d, want %d", at, next[at], d.Port, want)
			}
			if err := expect(d.Body, next[at]); err != nil {
				t.Errorf("%v: %v", at, err)
			}
			next[at]++
		}
	}, func(c *Config) {
		c.Services = []Service{{Handled: true}, {Name: "a", Handled: true}, {Name: "b", Handled: true}}
		if c.Self/10%2 == 0 { // each node has numbers of its own
			c.Services[1], c.Services[2] = c.Services[2], c.Services[1]
		}
	})
	var over atomic.Bool
	var weather, sources sync.WaitGroup
	for i, p := range m.planes {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		weather.Go(func() { m.weather(p, i, rng, &over) })
		for x := range n * services {
			j, service := x/services, x%services
			if j == i {
				continue
			}
			var turn sync.Mutex // of the senders on a stream
			sent := uint64(0)
			for k := range senders {
				rng := rand.New(rand.NewPCG(seed, uint64(1000+100*k+10*i+j+1000*service)))
				sources.Go(func() {
					for range each {
						turn.Lock()
						err := p.Send(t.Context(), m.planes[j].Self, stormPort(sent, service), stormy(rng, sent, bits))
						sent++
						turn.Unlock()
						if err != nil {
							t.Errorf("from %d to %d: %v", i, j, err)
							return
						}
						if rng.IntN(200) == 0 {
							p.Await(t.Context(), m.planes[j].Self)
						}
					}
				})
			}
		}
	}
	sources.Wait()
	over.Store(true)
	weather.Wait()
	for i, p := range m.planes {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		failed, err := p.Flush(ctx)
		if err != nil {
			t.Errorf("node %d: %v", i, err)
		}
		for _, u := range failed {
			t.Errorf("from %d to %d: %d messages: %v", i, u.Sink/10-1, u.Messages, u.Err)
		}
		cancel()
	}
	for i, p := range m.planes {
		eventually(t, fmt.Sprintf("node %d holds nothing", i), func() bool {
			c := p.Counters()
			waiting := int64(0)
			for _, l := range p.Links() {
				waiting += l.Reserved()
			}
			return c.SendBuffer == 0 && c.ReceiveBuffer == 0 && c.HandlerBacklog == 0 && c.Queued == 0 && waiting == 0 && p.stored.Load() == 0
		})
		hops := int64(0)
		s := p.Status()
		for _, v := range s.Hops {
			hops += v
		}
		if want := int64((n - 1) * each * senders * services); s.Sent != want || s.Delivered != want || hops != want {
			t.Errorf("node %d: %d sent, %d delivered, %d by hops, want %d", i, s.Sent, s.Delivered, hops, want)
		}
	}
}

// stormPort is the port of a message: that of its service, or now and then that of a traffic run.
func stormPort(n uint64, service int) uint8 {
	if service == 0 {
		return uint8(n / 20 % 2 * firstTraffic)
	}
	return uint8(service)
}

// weather breaks links, makes new ones, changes routes and reads the plane's status, until over
// is set. Then it repairs everything.
func (m *mesh) weather(p *Plane, at int, rng *rand.Rand, over *atomic.Bool) {
	n := len(m.planes)
	link := func(to *Plane) {
		near, far := memnet.Pipe()
		p.AddLink(to.Self, to.Incarnation, near)
		go to.Receive(far, p.Self, p.Incarnation, nil, nil)
	}
	epoch := uint64(1)
	use := func(skip, by uint64) {
		epoch++
		r := Routes{Epoch: epoch, Authoritative: true, Successor: m.planes[(at+1)%n].Self}
		for i := 1; i < n; i++ {
			if id := m.planes[(at+i)%n].Self; id != skip {
				r.Entries = append(r.Entries, id)
			}
		}
		if by != 0 {
			r.Detours = map[uint64]uint64{skip: by}
		}
		p.SetRoutes(r)
	}
	for !over.Load() {
		other, third := m.planes[(at+1+rng.IntN(n-1))%n], m.planes[(at+1+rng.IntN(n-1))%n]
		switch rng.IntN(8) {
		case 0: // it breaks, with what it holds
			l := p.linkTo(other.Self)
			if l != nil {
				l.Fail(net.ErrClosed)
			}
		case 1:
			link(other) // it replaces the one before, which is retired
		case 2:
			use(other.Self, 0)
		case 3:
			if other != third {
				use(other.Self, third.Self)
			}
		case 4, 5:
			use(0, 0)
			if !p.HasLink(other.Self, other.Incarnation) {
				link(other)
			}
		case 6:
			p.askAll()
			p.Ask(other.Self, other.Incarnation)
			p.Status()
		case 7:
			p.Sweep(false) // with true, sinks would forget sources that are silent for some sweeps
			for _, o := range p.outgoingStreams() {
				o.closeIfIdle()
			}
		}
		time.Sleep(time.Duration(rng.IntN(4)) * time.Millisecond)
	}
	for i := 1; i < n; i++ {
		if to := m.planes[(at+i)%n]; !p.HasLink(to.Self, to.Incarnation) {
			link(to)
		}
	}
	use(0, 0)
	for i := 1; i < n; i++ { // those that SetRoutes has retired
		if to := m.planes[(at+i)%n]; !p.HasLink(to.Self, to.Incarnation) {
			link(to)
		}
	}
}
