package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// say writes down what is known of members, in order.
func say(members []status.MemberInfo) string {
	var all []string
	for _, m := range members {
		all = append(all, fmt.Sprintf("%v %v %v %v", m.ID, m.Name, m.Tags, m.Services))
	}
	return strings.Join(all, "; ")
}

// The members of a node have what they say of themselves, and so has the registry; with both codecs.
func TestMembersSayWhatTheyAre(t *testing.T) {
	for _, codec := range []ringdht.Codec{ringdht.Msgpack(), ringdht.JSON()} {
		synctest.Test(t, func(t *testing.T) {
			tr := ringtest.New(t, memnet.New(1), ringdht.WithCodec(codec))
			boss := tr.Join(nil, ringdht.WithID(10), ringdht.WithName("boss"), ringtest.Announces("count", "sum"), ringdht.WithTags(map[string]string{"zone": "a", "disk": "an \"ssd\""}))
			worker := tr.Join(nil, ringdht.WithID(20), ringdht.WithName("wörker-1"), ringtest.Announces("sum", "count"))
			plain := tr.Join(nil, ringdht.WithID(30))
			tr.Setup(0)
			own := `10 boss map[disk:an "ssd" zone:a] [count sum]`
			if got := say([]status.MemberInfo{boss.Self()}); got != own {
				t.Error(got)
			}
			if got := say(plain.Members()); got != own+"; 20 wörker-1 map[] [count sum]" {
				t.Error(got)
			}
			if got := say(boss.Members()); got != "20 wörker-1 map[] [count sum]; 30  map[] []" {
				t.Error(got)
			}
			for _, m := range plain.Members() {
				if m.Addr == "" || m.Incarnation == 0 {
					t.Errorf("%+v", m)
				}
			}
			if s := worker.Status(); s.Name != "wörker-1" || len(s.Services) != 2 {
				t.Errorf("%+v", s)
			}
			s := tr.Registry.Snapshot()
			if m := s.Members[0]; m.Name != "boss" || m.Tags["zone"] != "a" || !slices.Equal(m.Services, []string{"count", "sum"}) {
				t.Errorf("%+v", m)
			}
			if e := s.Events[0]; e.Name != "boss" {
				t.Errorf("%+v", e)
			}
			boss.Close()
			tr.WaitGone(10)
			tr.WaitSettled()
			gone := tr.Registry.Snapshot().Gone
			if len(gone) != 1 || gone[0].Name != "boss" {
				t.Errorf("%+v", gone)
			}
			tr.Close()
		})
	}
}

// A second node with a name stands by until the first has left, was declared dead, or has closed. A
// suspect has its name.
func TestNameStandsBy(t *testing.T) {
	for how, end := range map[string]func(*ringtest.Ring, *memnet.Network, *ringtest.Node){
		"left":    func(tr *ringtest.Ring, _ *memnet.Network, n *ringtest.Node) { n.Leave(tr.Ctx()) },
		"crashed": func(_ *ringtest.Ring, _ *memnet.Network, n *ringtest.Node) { n.Close() },
		"hung":    func(_ *ringtest.Ring, net *memnet.Network, _ *ringtest.Node) { net.Hold("n0", "") },
	} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := memnet.New(1)
				tr := ringtest.New(t, net, ringdht.WithLease(ringtest.Lease))
				first := tr.Join(nil, ringdht.WithName("boss"), ringdht.WithID(10))
				tr.Join(nil)
				tr.Setup(0)
				_, err := tr.TryJoin(nil, ringdht.WithName("boss"))
				if !errors.Is(err, ringdht.ErrTaken) || !ringdht.Retryable(err) || !strings.Contains(err.Error(), `name already taken: node 10 (n0:`) {
					t.Fatal(err)
				}
				joined := make(chan *ringtest.Node)
				go func() { joined <- tr.Join(nil, ringdht.WithName("boss"), ringdht.WithRetry()) }()
				time.Sleep(time.Minute)
				select {
				case n := <-joined:
					t.Fatalf("%v has the name too", n.Self())
				default:
				}
				was := first.Incarnation()
				end(tr, net, first)
				second := <-joined
				if err := second.Ready(tr.Ctx()); err != nil {
					t.Fatal(err)
				}
				found, err := tr.Nodes[1].Lookup(tr.Ctx(), "boss")
				if err != nil || found.ID != second.ID() || found.Incarnation != second.Incarnation() || found.Incarnation <= was {
					t.Errorf("%+v, want node %d: %v", found, second.ID(), err)
				}
				net.Heal()
				if how == "hung" { // it comes back, and stands by
					check, cancel := context.WithTimeout(tr.Ctx(), time.Minute)
					defer cancel()
					if err := ringtest.NodeOf(first).Await(check, func() bool { return first.Incarnation() != was }); err == nil {
						t.Errorf("it has joined again, as %v", first.Self())
					}
					if err := first.WaitConnected(check); !errors.Is(err, ringdht.ErrTaken) {
						t.Error(err)
					}
					second.Leave(tr.Ctx())
					if err := ringtest.NodeOf(first).Await(tr.Ctx(), func() bool { return first.Incarnation() != was }); err != nil {
						t.Error(err)
					}
				}
				tr.Close()
			})
		})
	}
}

// Names outlive a registry, with the incarnations that have them. While the new one waits for members,
// it gives no name to a newcomer.
func TestNamesOutliveTheRegistry(t *testing.T) {
	for _, secure := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			start := ringtest.New
			if secure {
				start = ringtest.NewSecure
			}
			tr := start(t, memnet.New(1), ringdht.WithLease(ringtest.Lease))
			boss := tr.Join(nil, ringdht.WithName("boss"), ringdht.WithTags(map[string]string{"a": "b"}), ringtest.Announces("s"))
			other := tr.Join(nil)
			tr.Setup(0)
			was := boss.Self()
			_, epoch := ringtest.NodeOf(other).ServiceMembers("s")
			tr.Registry.Close()
			<-other.Disconnected()
			<-boss.Disconnected()
			if m, err := other.Lookup(tr.Ctx(), "boss"); err != nil || m.ID != was.ID {
				t.Errorf("a member that it knows: %v, %v", m, err)
			}
			if _, err := other.Lookup(tr.Ctx(), "none"); !errors.Is(err, ringdht.ErrRegistryLost) {
				t.Errorf("one that it does not know: %v", err)
			}
			tr.RestartRegistry(ringdht.WithLease(ringtest.Lease), ringdht.WithGrace(2*ringtest.Lease))
			if _, err := tr.TryJoin(nil, ringdht.WithName("boss")); !errors.Is(err, ringdht.ErrRebuilding) && !errors.Is(err, ringdht.ErrTaken) {
				t.Error(err)
			}
			for _, n := range tr.Nodes {
				if err := n.WaitConnected(tr.Ctx()); err != nil {
					t.Error(err)
				}
			}
			tr.WaitSettled()
			if _, err := tr.TryJoin(nil, ringdht.WithName("boss")); !errors.Is(err, ringdht.ErrTaken) {
				t.Error(err)
			}
			m, err := tr.Registry.Lookup("boss")
			if err != nil || m.ID != was.ID || m.Incarnation != was.Incarnation || m.Tags["a"] != "b" || m.Addr == "" {
				t.Errorf("%+v: %v", m, err)
			}
			handlers, now := ringtest.NodeOf(other).ServiceMembers("s")
			if len(handlers) != 1 || now <= epoch {
				t.Errorf("%v at epoch %d after %d", handlers, now, epoch)
			}
			tr.Close()
		})
	}
}

// A node that does not know a name asks the registry, which knows all.
func TestLookupAsksTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		tr := ringtest.New(t, net, ringdht.WithLease(ringtest.Lease))
		boss := tr.Join(nil, ringdht.WithName("boss"), ringdht.WithTags(map[string]string{"zone": "a"}), ringtest.Announces("s"))
		asks := tr.Join(nil)
		if _, err := asks.Lookup(tr.Ctx(), "boss"); !errors.Is(err, ringdht.ErrNoSuchNode) {
			t.Errorf("before it is announced: %v", err)
		}
		tr.Setup(0)
		ringtest.NodeOf(asks).Present().ForgetOthers() // as one that is on no sample of a large ring
		m, err := asks.Lookup(tr.Ctx(), "boss")
		if err != nil || m.ID != boss.ID() || m.Name != "boss" || m.Tags["zone"] != "a" || m.Addr != boss.Peer().Addr || len(m.Services) != 1 {
			t.Errorf("%+v: %v", m, err)
		}
		for _, none := range []string{"none", "", "two words", strings.Repeat("x", 100)} {
			if _, err := asks.Lookup(tr.Ctx(), none); !errors.Is(err, ringdht.ErrNoSuchNode) {
				t.Errorf("%q: %v", none, err)
			}
		}
		over, cancel := context.WithCancel(tr.Ctx())
		cancel()
		if _, err := asks.Lookup(over, "boss"); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		net.Hold("registry", "n1") // no answer comes
		if _, err := asks.Lookup(tr.Ctx(), "boss"); !errors.Is(err, ringdht.ErrRegistryLost) {
			t.Errorf("without an answer: %v", err)
		}
		net.Heal()
		if m, err := boss.Lookup(tr.Ctx(), "boss"); err != nil || m.ID != boss.ID() {
			t.Errorf("itself: %v %v", m, err)
		}
		asks.Close()
		if _, err := asks.Lookup(tr.Ctx(), "none"); err == nil {
			t.Error("a closed node finds none, and says nothing")
		}
		tr.Close()
	})
}

// The members that handle a service, and the events of them, begin with those present, the node itself
// if it does. All nodes have the same list at an epoch.
func TestServiceMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease))
		client := tr.Join(nil, ringdht.WithID(5))
		first := tr.Join(nil, ringdht.WithID(10), ringdht.WithName("a"), ringtest.Announces("sum"))
		tr.Join(nil, ringdht.WithID(20), ringtest.Announces("count", "sum"))
		tr.Join(nil, ringdht.WithID(30), ringtest.Announces("count"))
		alone := watchService(t, first, "sum")
		alone.expect()
		tr.Setup(0)
		at, own := watchService(t, client, "sum"), watchService(t, first, "sum")
		at.expect("node 10, a, is present", "node 20 is present")
		own.expect("this node, 10, a, is present", "node 20 is present")
		alone.expect("this node, 10, a, joined", "node 20 joined")
		list := func(n *ringtest.Node, service string) (ids []ringdht.ID, epoch uint64) {
			all, epoch := ringtest.NodeOf(n).ServiceMembers(service)
			for _, m := range all {
				ids = append(ids, m.ID)
			}
			slices.Sort(ids)
			return ids, epoch
		}
		var was uint64
		check := func(sum, count, all []ringdht.ID) {
			t.Helper()
			tr.WaitSettled()
			synctest.Wait()
			_, epoch := list(client, "sum")
			for _, n := range tr.Nodes {
				for service, want := range map[string][]ringdht.ID{"sum": sum, "count": count, "none": nil, "": all} {
					if got, e := list(n, service); !slices.Equal(got, want) || e != epoch || e <= was {
						t.Errorf("node %d: %q has %v at epoch %d, want %v, others have epoch %d, before was %d", n.ID(), service, got, e, want, epoch, was)
					}
				}
			}
			was = epoch
		}
		check([]ringdht.ID{10, 20}, []ringdht.ID{20, 30}, []ringdht.ID{5, 10, 20, 30})
		tr.Nodes[2].Leave(tr.Ctx())
		tr.Remove(tr.Nodes[2])
		check([]ringdht.ID{10}, []ringdht.ID{30}, []ringdht.ID{5, 10, 30})
		at.expect("node 20 left")
		tr.Join(nil, ringdht.WithID(40), ringtest.Announces("sum"))
		check([]ringdht.ID{10, 40}, []ringdht.ID{30}, []ringdht.ID{5, 10, 30, 40})
		first.Close()
		tr.Remove(first)
		tr.WaitGone(10)
		check([]ringdht.ID{40}, []ringdht.ID{30}, []ringdht.ID{5, 30, 40})
		at.expect("node 40 joined", "node 10, a, died")
		for _, e := range at.present {
			if e.Epoch == 0 || e.Epoch > was || len(e.Services) != 1 {
				t.Errorf("%+v", e)
			}
		}
		tr.Close()
		<-at.done
	})
}

// watchService is watch for a service.
func watchService(t *testing.T, n *ringtest.Node, service string) *watcher {
	return watchEvents(t, func(ctx context.Context) func(func(status.MemberEvent) bool) {
		return ringtest.NodeOf(n).WatchService(ctx, service)
	}, nil)
}

// A registry refuses what a node must not say, and the node does not try.
func TestWrongInfo(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	many := make(map[string]string)
	for i := range 65 {
		many[fmt.Sprint(i)] = ""
	}
	for want, opt := range map[string]ringdht.NodeOption{
		"WithName: name:":   ringdht.WithName("two words"),
		"has 65 bytes":      ringdht.WithName(strings.Repeat("x", 65)),
		"WithTags: tags: 6": ringdht.WithTags(many),
		"of 1025 bytes":     ringdht.WithTags(map[string]string{"k": strings.Repeat("v", 1024)}),
		"services:":         ringtest.Announces("a\nb"),
	} {
		if _, err := tr.TryJoin(nil, opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	// All that may be said fits into a frame.
	most := make(map[string]string)
	for i := range 64 {
		most[fmt.Sprintf("%02d\"", i)] = strings.Repeat("v", 13)
	}
	var services []string
	for i := range 127 {
		services = append(services, fmt.Sprintf("service-%03d-%03d", i, i))
	}
	for _, codec := range []ringdht.Codec{ringdht.Msgpack(), ringdht.JSON()} {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithCodec(codec))
		n := tr.Join(nil, ringdht.WithName(strings.Repeat("ü", 32)), ringdht.WithTags(most), ringtest.Announces(services...))
		if self := n.Self(); len(self.Tags) != 64 || len(self.Services) != 127 {
			t.Errorf("%+v", self)
		}
	}
}
