package topic

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/leaks"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

func TestMain(m *testing.M) { leaks.Main(m) }

// note is what the tests publish: the N-th message of a publisher's life, from 1 on.
type note struct{ Life, N uint64 }

// service is a ring whose nodes have a topic.
type service struct {
	*ringtest.Ring
	t    testing.TB
	net  *memnet.Network
	opts []Option
}

// peer is a node with a topic.
type peer struct {
	*ringtest.Node
	r     *service
	host  string
	topic *Topic[note]

	mu sync.Mutex // a publisher at a time
	n  uint64     // published
	in uint64     // in this incarnation
}

// inMemory runs a test in a bubble, on a ring in memory.
func inMemory(t *testing.T, test func(t *testing.T, r *service), opts ...Option) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		r := &service{ringtest.New(t, net, ringdht.WithLease(ringtest.Lease)), t, net, append([]Option{WithBuffer(1 << 16)}, opts...)}
		test(t, r)
		r.Close()
	})
}

// make makes a node with a topic, that has not joined.
func (r *service) make(id ringdht.ID, opts ...ringdht.NodeOption) *peer {
	r.t.Helper()
	host := fmt.Sprint("n", len(r.Nodes))
	n := ringdht.NewNode(r.Options(append(opts, ringdht.WithID(id)))...)
	p := &peer{Node: &ringtest.Node{Node: n}, r: r, host: host, topic: New[note](n, "t", r.opts...)}
	r.Nodes = append(r.Nodes, p.Node)
	return p
}

// join lets a node join.
func (r *service) join(p *peer) *peer {
	r.t.Helper()
	if err := p.Join(r.Ctx(), r.Line()); err != nil {
		r.t.Fatal(err)
	}
	return p
}

// start starts a ring of nodes with these numbers of members, and IDs 10, 20 and so on.
func (r *service) start(n int) (all []*peer) {
	r.t.Helper()
	for i := range n {
		all = append(all, r.join(r.make(ringdht.ID(10*(i+1)))))
	}
	r.Setup(0)
	return all
}

// publish publishes a number of notes.
func (p *peer) publish(count int) {
	p.r.t.Helper()
	for range count {
		if err := p.tryPublish(p.r.Ctx()); err != nil {
			p.r.t.Error(err)
			return
		}
	}
}

func (p *peer) tryPublish(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in := p.Incarnation(); in != p.in {
		p.in, p.n = in, 0
	}
	err := p.topic.Publish(ctx, "s", note{p.in, p.n + 1})
	if err == nil {
		p.n++
	}
	return err
}

// record is what a subscription has got, by the publishers' lives.
type record struct {
	p       *peer
	sub     *Subscription[note]
	mu      sync.Mutex
	got     map[uint64][]uint64
	missed  uint64
	changed chan struct{}
	done    chan struct{}
}

// subscribe subscribes, and records.
func (p *peer) subscribe() *record {
	p.r.t.Helper()
	sub, err := p.topic.Subscribe(p.r.Ctx(), "s")
	if err != nil {
		p.r.t.Fatal(err)
	}
	rec := &record{p: p, sub: sub, got: make(map[uint64][]uint64), changed: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(rec.done)
		for m := range sub.All(context.Background()) {
			rec.mu.Lock()
			rec.missed += m.Missed
			rec.got[m.Value.Life] = append(rec.got[m.Value.Life], m.Value.N)
			close(rec.changed)
			rec.changed = make(chan struct{})
			rec.mu.Unlock()
		}
	}()
	return rec
}

// await waits until the latest note of a life has come.
func (rec *record) await(life, latest uint64) {
	rec.p.r.t.Helper()
	for deadline := time.After(2 * time.Minute); ; {
		rec.mu.Lock()
		got, changed := rec.got[life], rec.changed
		rec.mu.Unlock()
		if latest == 0 || len(got) > 0 && got[len(got)-1] >= latest {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			rec.p.r.t.Fatalf("node %d has %d notes of %d, the latest %v; want %d", rec.p.ID(), len(got), life, got[max(0, len(got)-1):], latest)
		}
	}
}

// check fails the test unless the notes of a life came once and in order, from first at the latest on.
// If first is 0 none need have come.
func (rec *record) check(life, first uint64) {
	rec.p.r.t.Helper()
	rec.mu.Lock()
	defer rec.mu.Unlock()
	got := rec.got[life]
	if first > 0 && (len(got) == 0 || got[0] > first) {
		rec.p.r.t.Errorf("node %d: %d notes of %d, want all from %d on: %v", rec.p.ID(), len(got), life, first, got[:min(3, len(got))])
	}
	for i := range got {
		if got[i] != got[0]+uint64(i) {
			rec.p.r.t.Fatalf("node %d: note %d of %d came after %v", rec.p.ID(), got[i], life, got[max(0, i-3):i])
		}
	}
}

// subscribeAll subscribes at all nodes.
func subscribeAll(all []*peer) (records []*record) {
	for _, p := range all {
		records = append(records, p.subscribe())
	}
	return records
}
