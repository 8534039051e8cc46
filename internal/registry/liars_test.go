package registry_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// No number from a node makes a number of the registry wrap.
func TestHugeNumbers(t *testing.T) {
	for _, c := range []control.Register{
		{Epoch: math.MaxUint64, Incarnation: 5},
		{Epoch: 7, Incarnation: math.MaxUint64},
		{Epoch: 7, Incarnation: 5, Run: math.MaxUint64},
		{Epoch: 7, Incarnation: 5, Run: math.MaxUint64 - 1},
		{Epoch: 7, Incarnation: 5, Size: -5},
		{Epoch: 7, Incarnation: 5, Size: math.MaxInt},
	} {
		t.Run("", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net, start := memnet.New(1), uint64(time.Now().UnixNano())
				tr := ringtest.New(t, net, ringdht.WithLease(time.Second))
				m := tr.DialRaw(t)
				c.Addr, c.Other, c.Ready, c.ID = "raw:5", true, true, 5
				m.Send(control.TypeRegister, c)
				ty, _, err := m.Recv()
				t.Log(ty == control.TypeRegistered, err)
				m.Close()
				for range 3 {
					tr.Join(nil, ringdht.WithTraffic())
				}
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				if _, err := tr.Registry.Setup(ctx, 0); err != nil {
					t.Fatal(err)
				}
				for _, n := range tr.Nodes {
					if err := n.Ready(ctx); err != nil {
						t.Fatal(err)
					}
					if n.Incarnation() < start {
						t.Error("incarnation", n.Incarnation())
					}
				}
				for range 3 {
					s, err := tr.Registry.RunTraffic(ctx, status.Traffic{Messages: 10})
					if err != nil {
						t.Fatal(err)
					}
					if !s.Exact() {
						t.Fatal(s.Verdict())
					}
				}
			})
		})
	}
}

// No counter from a node makes a sum wrap or a list grow.
func TestHugeCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1))
		for range 3 {
			tr.Join(nil)
		}
		r := tr.Registry
		huge := make([]int64, 10000)
		for i := range huge {
			huge[i] = math.MaxInt64 >> (i % 2)
		}
		links := make([]uint64, 10000)
		for i := range links {
			links[i] = math.MaxUint64
		}
		for i, n := range tr.Nodes {
			status := control.Status{Counters: huge[:256], Hops: huge[:64], Latency: huge[:52], Took: math.MaxInt64, Links: links[:4*ring.MaxTable], Streams: huge[:16], Limits: huge[:16]}
			if i == 2 {
				status = control.Status{Counters: []int64{-1, math.MinInt64}, Hops: []int64{-1}, Latency: []int64{-1}, Took: -1, Members: -1}
			}
			ringtest.NodeOf(n).Tell(control.TypeBeat, control.Beat{Every: math.MinInt32, Sent: math.MaxInt64 - int64(i)*math.MaxInt64, Received: math.MinInt64, Status: []control.Status{status}})
		}
		synctest.Wait()
		look := func(what string) {
			t.Helper()
			s := r.Snapshot()
			for i, v := range control.CounterRow(&s.Total) {
				if v < 0 {
					t.Errorf("%s: counter %d is %d in all", what, i, v)
				}
			}
			for i, v := range append(s.Hops, s.Latency.Counts...) {
				if v < 0 {
					t.Errorf("%s: number %d of hops and latencies is %d in all", what, i, v)
				}
			}
			if s.Latency.Sum < 0 || len(s.Hops) > status.MaxHopCount+1 || len(s.Latency.Counts) > status.HistogramBuckets {
				t.Errorf("%s: latency %v, %d and %d numbers", what, s.Latency.Sum, len(s.Hops), len(s.Latency.Counts))
			}
			for _, m := range s.Members {
				if len(m.Links) > ring.MaxTable {
					t.Errorf("%s: %d links", what, len(m.Links))
				}
				if min(m.Streams.Outgoing, m.Streams.Incoming, m.Limits.SendBuffer, m.Limits.Streams) < 0 {
					t.Errorf("%s: %+v %+v", what, m.Streams, m.Limits)
				}
			}
		}
		if s := r.Snapshot(); len(s.Members) != 3 || s.Total.Sent != math.MaxInt64 {
			t.Fatalf("%+v", s.Total)
		}
		look("of members")
		sent, received := ringtest.RegistryOf(r).Progress()
		if sent < 0 || received < 0 {
			t.Errorf("progress of a run: %d sent, %d received", sent, received)
		}
		for _, n := range tr.Nodes {
			n.Close()
		}
		synctest.Wait()
		ringtest.RegistryOf(r).Locked(func() {
			if n := ringtest.RegistryOf(r).Records(); n > 0 {
				t.Fatalf("the registry keeps %d records", n)
			}
		})
		look("of those that are gone")
	})
}

// An incarnation belongs to the process that began it.
func TestIncarnationOfAnother(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	for range 3 {
		tr.Join(nil)
	}
	tr.Setup(0)
	v := tr.Nodes[0]
	m := tr.DialRaw(t)
	lost := v.Disconnected()
	m.Send(control.TypeRegister, control.Register{Addr: "raw:1", Incarnation: v.Incarnation(), ID: uint64(v.ID()), Token: 1})
	ty, _, err := m.Recv()
	t.Log(ty, err)
	if ty == control.TypeRegistered {
		t.Error("another process took over the incarnation of node", v.ID())
		m.Send(control.TypeDeregister, control.Deregister{ID: uint64(v.ID()), Addr: v.Peer().Addr})
		<-lost
		time.Sleep(200 * time.Millisecond)
		t.Log(tr.Registry.Members(), v.Incarnation(), v.Peer())
	}
}

// The registry keeps what a node reports of others: not at any length, and not about the node
// itself.
func TestLongWords(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 3 {
		tr.Join(nil)
	}
	tr.Setup(0)
	liar := tr.Nodes[0]
	ringtest.NodeOf(liar).Tell(control.TypeTrouble, control.Trouble{ID: uint64(tr.Nodes[1].ID()), Incarnation: tr.Nodes[1].Incarnation(), Error: strings.Repeat("x", 8000)})
	ringtest.NodeOf(liar).Tell(control.TypeTrouble, control.Trouble{ID: uint64(liar.ID()), Incarnation: liar.Incarnation(), Error: "self"})
	err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return len(ringtest.RegistryOf(tr.Registry).Authority().Unreachable()) > 0 })
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	for _, d := range tr.Registry.Degraded() {
		if len(d.Why) > 1000 || d.From == d.To {
			t.Errorf("%v %v: %d bytes", d.From, d.To, len(d.Why))
		}
	}
}

// A trace is answered only by the node that was asked for it.
func TestTraceOfAnother(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 3 {
		tr.Join(nil)
	}
	tr.Setup(0)
	tr.Net.Hold("registry", "n0")
	go func() {
		for ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return ringtest.RegistryOf(tr.Registry).Traces() > 0 }) != nil {
		}
		ringtest.NodeOf(tr.Nodes[1]).Tell(control.TypeTraced, control.Traced{Ask: 1, Error: "forged"})
		time.Sleep(100 * time.Millisecond)
		tr.Net.Heal()
	}()
	hops, err := tr.Registry.Trace(tr.Ctx(), tr.Nodes[0].ID(), tr.Nodes[2].ID())
	if err != nil {
		t.Error(hops, err)
	}
}

// A registry that comes back with other settings makes another ring.
func TestRegistryWithOtherTerms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		tr := ringtest.New(t, net, ringdht.WithLease(ringtest.Lease))
		for range 3 {
			tr.Join(nil)
		}
		tr.Setup(0)
		tr.Registry.Close()
		tr.RestartRegistry(ringdht.WithLease(ringtest.Lease), ringdht.WithBits(32))
		tr.Join(nil, ringdht.WithID(1<<31))
		time.Sleep(20 * time.Second)
		n := registrations(tr.Registry)
		if n < 4 || n > 100 {
			t.Errorf("%d registrations in 20 seconds", n)
		}
		t.Log(tr.Registry.Members(), tr.Nodes[0].MaxPayload(), n)
		for _, n := range tr.Nodes {
			bits, _, _, _ := ringtest.NodeOf(n).Table()
			t.Log(n.ID(), n.Incarnation(), bits)
		}
		tr.Close()
		tr.Registry.Close()
	})
}

// registrations returns the number of registrations that a registry has granted.
func registrations(r *ringdht.Registry) int64 {
	s := r.Snapshot()
	return s.Happened[status.EventJoined] + s.Happened[status.EventBack]
}

// A node backs off from a registry whose messages make no sense.
func TestNonsenseIsHeardSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease))
		n := tr.Join(nil)
		tr.Join(nil)
		tr.Setup(0)
		r, ref := ringtest.RegistryOf(tr.Registry), refOf(n)
		for range 5000 {
			r.Locked(func() {
				if r.Session(ref) != nil {
					r.Authority().Tell(ref, control.TypeManifest, control.Manifest{Epoch: 1, Entries: []ring.Peer{{ID: ref.ID}}})
					r.Wake()
				}
			})
			time.Sleep(time.Millisecond)
		}
		if c := registrations(tr.Registry); c < 4 || c > 30 {
			t.Errorf("%d registrations in 5 seconds", c)
		}
		tr.Close()
	})
}

// The length of an address has a limit, since every peer is told of it.
func TestLongAddress(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	m := tr.DialRaw(t)
	b := make([]byte, 500000)
	for i := range b {
		b[i] = 'x'
	}
	m.Send(control.TypeRegister, control.Register{Addr: string(b) + ":5", Other: true, ID: 5, Incarnation: 99})
	ty, _, err := m.Recv()
	if err == nil && ty == control.TypeRegistered {
		t.Errorf("admitted, %d members", len(tr.Registry.Members()))
	}
}
