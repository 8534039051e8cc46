package node_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

var watchRings = flag.Int("watch", 20, "how many rings TestWatchAgainstModel makes")

// Rings change at random: nodes join, leave, are killed, hang for a short or a long time, and
// registries are replaced. Loops over the events of all nodes, slow ones too, keep the rules, agree
// in the end with what is, and say how members ended.
func TestWatchAgainstModel(t *testing.T) {
	for seed := range uint64(*watchRings) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &watched{t: t, rng: rand.New(rand.NewPCG(seed, 1)), net: memnet.New(seed + 1), ends: make(map[incarnation]status.MemberChange), loops: make(map[*ringtest.Node][]*watcher)}
				m.Ring = ringtest.New(t, m.net, ringdht.WithLease(ringtest.Lease), ringdht.WithBits(6))
				m.registries = 1
				for range 3 {
					m.join()
				}
				m.Setup(0)
				for range 25 {
					m.step()
				}
				m.check()
				m.Close()
				for _, loops := range m.loops {
					for _, w := range loops {
						w.stop()
						<-w.done
					}
				}
			})
		})
	}
}

// watched is a ring whose nodes are watched, and what has happened to it.
type watched struct {
	*ringtest.Ring
	t          *testing.T
	rng        *rand.Rand
	net        *memnet.Network
	hosts      int
	registries int
	host       map[*ringtest.Node]string
	loops      map[*ringtest.Node][]*watcher
	ends       map[incarnation]status.MemberChange // how they ended, where that is certain
	did        []string
}

func (m *watched) step() {
	time.Sleep(time.Duration(m.rng.IntN(3000)) * time.Millisecond)
	switch n := m.rng.IntN(20); {
	case n < 8:
		m.join()
	case len(m.Nodes) < 3:
	case n < 12:
		m.end(m.Nodes[m.rng.IntN(len(m.Nodes))], n%2 == 0)
	case n < 15:
		m.hang(m.Nodes[m.rng.IntN(len(m.Nodes))])
	case n < 17:
		m.did = append(m.did, "heal")
		m.net.Heal()
	case n == 17:
		m.restart()
	}
}

func (m *watched) join() {
	host := fmt.Sprintf("h%d", m.hosts)
	m.hosts++
	n, err := m.TryJoin(nil, ringdht.WithRetry(), ringdht.WithTransport(m.net.Host(host)))
	if err != nil {
		m.t.Fatal(err, m.did)
	}
	if m.host == nil {
		m.host = make(map[*ringtest.Node]string)
	}
	m.host[n] = host
	m.did = append(m.did, fmt.Sprintf("%s joins as %d", host, n.ID()))
	pause := time.Duration(m.hosts%7) * 200 * time.Millisecond
	m.loops[n] = []*watcher{watch(m.t, n, nil), watch(m.t, n, func(status.MemberEvent) { time.Sleep(pause) })}
	for _, w := range m.loops[n] {
		w.mu.Lock()
		w.registries = m.registries
		w.mu.Unlock()
	}
}

// end closes a node, or lets it leave. A node that leaves while it hangs may be declared dead.
func (m *watched) end(n *ringtest.Node, leaves bool) {
	it := incarnationOf(n)
	m.Remove(n)
	m.did = append(m.did, fmt.Sprintf("%s ends as %v, leaves %v", m.host[n], it, leaves))
	if !leaves {
		n.Close()
		m.ends[it] = status.MemberDied
	} else if err := n.Leave(m.Ctx()); err == nil {
		m.ends[it] = status.MemberLeft
	}
	if incarnationOf(n) != it { // it was declared dead meanwhile
		delete(m.ends, it)
	}
	for _, w := range m.loops[n] {
		<-w.done
	}
	delete(m.loops, n)
}

// hang cuts a node off, for less than a lease or until the network heals.
func (m *watched) hang(n *ringtest.Node) {
	m.did = append(m.did, m.host[n]+" hangs")
	m.net.Hold(m.host[n], "")
	m.net.Hold("", m.host[n])
	if m.rng.IntN(2) == 0 {
		time.Sleep(time.Second)
		m.net.Release(m.host[n], "")
		m.net.Release("", m.host[n])
		m.did = append(m.did, "and goes on")
	}
}

func (m *watched) restart() {
	m.did = append(m.did, "the registry restarts")
	m.Registry.Close()
	time.Sleep(time.Duration(m.rng.IntN(2000)) * time.Millisecond)
	m.RestartRegistry(ringdht.WithLease(ringtest.Lease), ringdht.WithBits(6))
	m.registries++
	for _, loops := range m.loops {
		for _, w := range loops {
			w.mu.Lock()
			w.registries = m.registries
			w.mu.Unlock()
		}
	}
}

// check waits until all is settled, and compares.
func (m *watched) check() {
	m.net.Heal()
	for _, n := range m.Nodes {
		if err := n.WaitConnected(m.Ctx()); err != nil {
			m.t.Fatal(err, m.did)
		}
	}
	if err := m.Registry.WaitMembers(m.Ctx(), len(m.Nodes)); err != nil {
		m.t.Fatal(err, m.did)
	}
	time.Sleep(10 * ringtest.Lease)
	m.WaitSettled()
	synctest.Wait()
	want := make(map[incarnation]bool)
	for _, n := range m.Nodes {
		want[incarnationOf(n)] = true
	}
	for _, n := range m.Nodes {
		for i, w := range m.loops[n] {
			if got := w.all(); !maps.Equal(got, want) {
				m.t.Errorf("loop %d of %v has %v, want %v", i, n.Peer(), got, want)
			}
			for it, how := range w.ended {
				if is := m.ends[it]; how != status.MemberEnded && is != "" && how != is {
					m.t.Errorf("%v: told that it %s, but it %s", it, how, is)
				}
			}
		}
	}
	if m.t.Failed() {
		m.t.Log(strings.Join(m.did, "\n"))
	}
}
