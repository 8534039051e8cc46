package ringtest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// A run is exact, twice in a row, with ten nodes of three entries each.
func TestTrafficIsExact(t *testing.T) {
	for _, net := range []*memnet.Network{nil, memnet.New(1)} {
		name := "memory"
		if net == nil {
			name = "TCP"
		}
		t.Run(name, func(t *testing.T) {
			tr := ringtest.New(t, net)
			for range 10 {
				tr.Join(nil, ringdht.WithTraffic())
			}
			if a := tr.Setup(3); math.Abs(a.MeanHops-17.0/9) > 1e-9 || a.MaxHops != 3 {
				t.Errorf("audit: %v", a)
			}
			for _, messages := range []int{5000, 20000} { // counters start at zero again
				s := tr.Run(status.Traffic{Messages: messages})
				want := float64(10*messages) * (17.0/9 - 1)
				if got := float64(s.Sum.Relayed); math.Abs(got-want) > 0.03*want {
					t.Errorf("relayed %v, want %v within 3 %%", got, want)
				}
				if s.MaxHops != 3 || math.Abs(s.MeanHops-17.0/9) > 0.05 {
					t.Errorf("hops mean %.3f, max %d", s.MeanHops, s.MaxHops)
				}
			}
			if s := tr.Run(status.Traffic{Messages: 200, Payload: 3000}); s.Sum.Sent != 2000 {
				t.Errorf("padded run: %+v", s.Sum)
			}
		})
	}
}

// The ID space is full, with long routes and short ones. Every pair takes the hops of the
// formula, and totals are exact.
func TestFullRing(t *testing.T) {
	type expected struct {
		k, max int
		mean   float64
	}
	bits, cases := 7, []expected{{3, 33, 16.63}, {7, 7, 3.528}}
	if ringtest.RaceEnabled { // a later step of .ci/run has the larger ring
		bits, cases = 5, []expected{{3, 9, 4.645}, {5, 5, 2.581}}
	}
	size := 1 << bits
	tr := ringtest.New(t, memnet.New(1), ringdht.WithBits(bits))
	var mu sync.Mutex
	hops := make(map[[2]ringdht.ID]int)
	for range size {
		tr.Join(func(_ context.Context, m ringdht.Message) {
			mu.Lock()
			hops[[2]ringdht.ID{m.Source, ringdht.ID(binary.BigEndian.Uint64(m.Body))}] = m.Hops
			mu.Unlock()
		}, ringdht.WithTraffic())
	}
	if _, err := tr.TryJoin(nil); !errors.Is(err, ringdht.ErrRingFull) || !strings.Contains(err.Error(), "WithBits") {
		t.Errorf("one more node: %v, want ErrRingFull with advice", err)
	}
	for _, c := range cases {
		a := tr.Setup(c.k)
		if a.MaxHops != c.max || math.Abs(a.MeanHops-c.mean) > 0.005 || a.Pairs != size*(size-1) || !a.OK() {
			t.Errorf("k=%d: %v", c.k, a)
		}
		clear(hops)
		var wg sync.WaitGroup
		for _, n := range tr.Nodes {
			wg.Go(func() {
				for to := range ringdht.ID(size) {
					if err := n.Send(tr.Ctx(), to, binary.BigEndian.AppendUint64(nil, uint64(to))); err != nil {
						t.Error(err)
						return
					}
				}
				if err := n.Flush(tr.Ctx()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for from := range size {
			for to := range size {
				want := ring.Hops((to-from+size)%size, c.k)
				if got, ok := hops[[2]ringdht.ID{ringdht.ID(from), ringdht.ID(to)}]; !ok || got != want {
					t.Fatalf("k=%d: from %d to %d: %d hops (arrived: %v), want %d", c.k, from, to, got, ok, want)
				}
			}
		}
		s := tr.Run(status.Traffic{Messages: 100})
		if s.MaxHops != c.max || math.Abs(s.MeanHops-c.mean) > 0.3 {
			t.Errorf("k=%d: run with hops mean %.3f max %d", c.k, s.MeanHops, s.MaxHops)
		}
	}
}

// Small rings of every size, with every table size, deliver between all pairs. A node also
// sends to itself.
func TestEveryPairDelivers(t *testing.T) {
	for _, size := range []int{1, 2, 3, 11} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			tr := ringtest.New(t, memnet.New(1))
			got := make(chan [2]ringdht.ID, size*size)
			for range size {
				self := make(chan ringdht.ID, 1)
				n := tr.Join(func(_ context.Context, m ringdht.Message) {
					id := <-self
					self <- id
					got <- [2]ringdht.ID{m.Source, id}
				})
				self <- n.ID()
			}
			for k := 1; k <= size+2; k++ {
				if a := tr.Setup(k); a.Entries != ring.Entries(size, k) || !a.OK() {
					t.Fatalf("k=%d: %v", k, a)
				}
				for _, table := range tr.Registry.Tables() {
					seen := map[ringdht.ID]bool{table.Self(): true}
					for p := range table.Entries() {
						if seen[p.ID] {
							t.Fatalf("k=%d: the table of %d repeats %v or names itself", k, table.Self(), p)
						}
						seen[p.ID] = true
					}
				}
				for _, from := range tr.Nodes {
					for _, to := range tr.Nodes {
						if err := from.Send(tr.Ctx(), to.ID(), nil); err != nil {
							t.Fatal(err)
						}
					}
					if err := from.Flush(tr.Ctx()); err != nil {
						t.Fatal(err)
					}
				}
				var pairs [][2]ringdht.ID
				for range size * size {
					pairs = append(pairs, <-got)
				}
				slices.SortFunc(pairs, func(a, b [2]ringdht.ID) int { return slices.Compare(a[:], b[:]) })
				if len(slices.Compact(pairs)) != size*size || len(got) != 0 {
					t.Fatalf("k=%d: not every pair once: %v", k, pairs)
				}
			}
		})
	}
}

// The tables are those of the worked example of the design.
func TestWorkedTables(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for _, id := range []ringdht.ID{10, 21, 32, 43, 54, 61, 77, 87, 99, 101, 103} {
		tr.Join(nil, ringdht.WithID(id))
	}
	tr.Setup(3)
	tables := make(map[ringdht.ID]*ringdht.Table)
	for p, table := range tr.Registry.Tables() {
		tables[p.ID] = table
	}
	for id, want := range map[ringdht.ID][]ringdht.ID{10: {21, 32, 54}, 101: {103, 10, 32}} {
		var got []ringdht.ID
		for p := range tables[id].Entries() {
			got = append(got, p.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("node %d has %v, want %v", id, got, want)
		}
	}
	table := tables[10]
	for dst, want := range map[ringdht.ID]ringdht.ID{21: 21, 31: 21, 32: 32, 43: 32, 54: 54, 103: 54, 9: 54} {
		if p, ok := table.Next(dst); !ok || p.ID != want {
			t.Errorf("from 10 towards %d: %v %v, want %d", dst, p, ok, want)
		}
	}
	for _, dst := range []ringdht.ID{10, 11, 20} {
		if p, ok := table.Next(dst); ok {
			t.Errorf("from 10 towards %d: %v, want none", dst, p)
		}
	}
}

// Set-ups with other tables, one after another, do not disturb a run.
func TestSetupDuringTraffic(t *testing.T) {
	for _, net := range []*memnet.Network{nil, memnet.New(1)} {
		tr := ringtest.New(t, net)
		for range 10 {
			tr.Join(nil, ringdht.WithTraffic())
		}
		tr.Setup(3)
		done := make(chan *status.Summary)
		go func() {
			defer close(done)
			s, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 60000})
			if err != nil {
				t.Error(err)
				return
			}
			done <- s
		}()
		if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return ringtest.RegistryOf(tr.Registry).Running() != 0 }); err != nil {
			t.Fatal(err)
		}
		setups := 0
		var s *status.Summary
		for running := true; running; {
			select {
			case s = <-done:
				running = false
			default:
				tr.Setup(1 + setups%4)
				setups++
			}
		}
		if s == nil || !s.Exact() || s.Sum.Received != 600000 {
			t.Fatalf("after %d set-ups: %+v", setups, s)
		}
		if setups < 2 {
			t.Errorf("only %d set-ups took place during the run", setups)
		}
	}
}

// Every link loses frames, and still the account is exact.
func TestTrafficOverLossyLinks(t *testing.T) {
	ringtest.OpenOnly(t, "a write that is lost ends a TLS connection")
	net := memnet.New(7)
	tr := ringtest.New(t, net)
	for range 6 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	for i := range 6 {
		for j := range 6 {
			if i != j {
				net.Drop(fmt.Sprintf("n%d", i), fmt.Sprintf("n%d", j), 0.05)
			}
		}
	}
	tr.Run(status.Traffic{Messages: 3000, Payload: 100})
	var again int64
	for _, n := range tr.Nodes {
		again += n.Status().Counters.Retransmitted
	}
	if again == 0 {
		t.Error("nothing was sent again: the network lost nothing, and this test shows nothing")
	}
}

func TestRunSaysWhatIsMissing(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	refused := func(want ...string) {
		t.Helper()
		_, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 1})
		if !errors.Is(err, ringdht.ErrNotReady) {
			t.Fatalf("got %v, want ErrNotReady", err)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q does not say %q", err, w)
			}
		}
	}
	refused("setup-overlay")
	if _, err := tr.Registry.Setup(tr.Ctx(), 3); !errors.Is(err, ringdht.ErrNotReady) {
		t.Errorf("a set-up without members: %v", err)
	}
	a := tr.Join(nil, ringdht.WithTraffic())
	tr.Join(nil)
	tr.Setup(0)
	refused("WithTraffic", "this ring has 1")
	c := tr.Join(nil, ringdht.WithTraffic())
	tr.Setup(0)
	run2(t, tr, []*ringtest.Node{a, c})
	if err := c.Leave(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	refused("WithTraffic", "this ring has 1")
	for _, bad := range []status.Traffic{{}, {Messages: 1, Payload: 3}, {Messages: 1, Payload: 1 << 20}} {
		if _, err := tr.Registry.RunTraffic(tr.Ctx(), bad); err == nil || errors.Is(err, ringdht.ErrNotReady) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := tr.Registry.Setup(tr.Ctx(), -1); err == nil {
		t.Error("a negative table size was taken")
	}
}

// run2 runs traffic among some of the nodes. The others relay.
func run2(t *testing.T, tr *ringtest.Ring, takePart []*ringtest.Node) {
	t.Helper()
	s, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 100})
	if err != nil || !s.Exact() || s.Sum.Sent != int64(100*len(takePart)) {
		t.Fatalf("%+v %v", s, err)
	}
	for _, n := range s.Nodes {
		part := slices.ContainsFunc(takePart, func(p *ringtest.Node) bool { return p.ID() == n.ID })
		if part != (n.Sent == 100) || part != (n.Received > 0) {
			t.Errorf("node %d takes part: %v, its account: %+v", n.ID, part, n)
		}
	}
}

func TestOneRunAtATime(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 3 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := tr.Registry.RunTraffic(ctx, status.Traffic{Messages: 1 << 30})
		first <- err
	}()
	if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return ringtest.RegistryOf(tr.Registry).Running() != 0 }); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 1}); !errors.Is(err, ringdht.ErrBusy) {
		t.Fatalf("a second run meanwhile: %v, want ErrBusy", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	tr.Run(status.Traffic{Messages: 100}) // waits until the other is over, and counts from zero
}

// A newcomer counts as a member only when the tables of all lead to it. Earlier, a relay with
// the table of the epoch before would say that it does not exist.
func TestNewcomersAreKnownWhenEverybodyIsReady(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	for _, id := range []ringdht.ID{10, 20, 30, 40} {
		tr.Join(nil, ringdht.WithID(id))
	}
	tr.Setup(1)
	net.Hold("registry", "n1") // 20 does not learn that 25 follows it now
	newcomer := tr.Join(nil, ringdht.WithID(25))
	if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool {
		_, told := ringtest.RegistryOf(tr.Registry).Authority().View(25)
		return told
	}); err != nil {
		t.Fatal(err)
	}
	for _, n := range tr.Nodes[:4] {
		if slices.ContainsFunc(n.Members(), func(m status.MemberInfo) bool { return m.ID == newcomer.ID() }) {
			t.Errorf("node %d counts on a newcomer that others do not know", n.ID())
		}
	}
	net.Heal()
	if err := newcomer.Ready(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	for _, n := range tr.Nodes[:4] {
		for !slices.ContainsFunc(n.Members(), func(m status.MemberInfo) bool { return m.ID == newcomer.ID() }) {
			runtime.Gosched() // the news that all are ready is under way
		}
		if err := n.Send(tr.Ctx(), newcomer.ID(), nil); err != nil {
			t.Error(err)
		}
		if err := n.Flush(tr.Ctx()); err != nil {
			t.Error(err)
		}
	}
}
