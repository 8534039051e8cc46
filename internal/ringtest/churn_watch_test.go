package ringtest_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/status"
)

// churnWatch is nodes that stay while others come and go, what loops of Watch at them saw, and what the
// registry did.
type churnWatch struct {
	c     *churn
	stay  []*churnNode
	loops []*watchLoop

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	sampled atomic.Bool // lists have been samples, so that only loops of a service see all

	mu    sync.Mutex // guards what follows
	lists map[uint64]string
	seq   uint64             // of the latest event of the registry
	lives map[ring.Ref]*life // those that were announced
}

// life is what became of an incarnation.
type life struct {
	end status.MemberChange // "" while it lasts
}

// watchLoop is what one loop saw.
type watchLoop struct {
	name string
	each time.Duration // how long it takes for an event

	mu     sync.Mutex // guards what follows
	hurry  bool       // it takes no time any more
	begun  map[ring.Ref]status.MemberChange
	ended  map[ring.Ref]status.MemberChange
	epoch  uint64
	faults []string
}

// watch starts loops at two nodes that stay: prompt ones of all members and of those with a service, and
// one for which an event takes longer than the next one.
func (c *churn) watch() *churnWatch {
	w := &churnWatch{c: c, lists: make(map[uint64]string), lives: make(map[ring.Ref]*life)}
	w.ctx, w.stop = context.WithCancel(context.Background())
	for range 2 {
		n, err := c.join(c.Ctx())
		if err == nil {
			err = n.Ready(c.Ctx())
		}
		if err != nil {
			c.T.Fatal(err)
		}
		w.stay = append(w.stay, n)
		c.left = append(c.left, n)
	}
	c.WaitSettled()
	w.seq = w.latest()
	for _, m := range ringtest.RegistryOf(c.Registry).Authority().All() { // nothing changes now
		w.lives[m.Ref()] = new(life)
	}
	for i, n := range w.stay {
		node := ringtest.NodeOf(n.Node)
		w.start(fmt.Sprint("members at ", i), 0, n, n.Watch)
		w.start(fmt.Sprint("a service at ", i), 0, n, func(ctx context.Context) iter.Seq[status.MemberEvent] {
			return node.WatchService(ctx, churnService)
		})
		w.start(fmt.Sprint("members, slowly, at ", i), *churnSlow, n, n.Watch)
	}
	for _, l := range w.loops { // each has seen all that are present
		ringtest.WaitUntil(c.T, l.name+": to see all", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.begun) >= *churnNodes/2
		})
	}
	w.wg.Go(func() { // the events of the registry
		tick := time.NewTicker(100 * time.Millisecond) // it keeps 512 of them
		defer tick.Stop()
		for w.ctx.Err() == nil {
			<-tick.C
			w.gather()
		}
	})
	return w
}

func (w *churnWatch) latest() uint64 {
	events := w.c.Registry.Snapshot().Events
	return events[len(events)-1].Seq
}

// gather notes what the registry has done since the last call.
func (w *churnWatch) gather() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.c.Registry.Snapshot().Events {
		if e.Seq <= w.seq {
			continue
		}
		if e.Seq != w.seq+1 {
			w.c.T.Errorf("the test has missed events %d to %d of the registry", w.seq+1, e.Seq-1)
		}
		w.seq = e.Seq
		ref := ring.Ref{ID: uint64(e.Node.ID), Incarnation: e.Incarnation}
		switch l := w.lives[ref]; {
		case e.Kind == status.EventReady:
			w.lives[ref] = new(life)
		case l == nil:
		case e.Kind == status.EventLeft:
			l.end = status.MemberLeft
		case e.Kind == status.EventDead:
			l.end = status.MemberDied
		}
	}
}

// start starts a loop.
func (w *churnWatch) start(name string, each time.Duration, n *churnNode, events func(context.Context) iter.Seq[status.MemberEvent]) {
	l := &watchLoop{name: name, each: each, begun: make(map[ring.Ref]status.MemberChange), ended: make(map[ring.Ref]status.MemberChange)}
	w.loops = append(w.loops, l)
	w.wg.Go(func() {
		for e := range events(w.ctx) {
			l.note(e)
			if each == 0 {
				w.compare(n)
			}
			l.mu.Lock()
			slow := !l.hurry && e.Change != status.MemberPresent
			l.mu.Unlock()
			if slow {
				time.Sleep(each) // this loop is slow on purpose
			}
		}
	})
}

// note notes an event, and what is wrong with it.
func (l *watchLoop) note(e status.MemberEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ref := ring.Ref{ID: uint64(e.ID), Incarnation: e.Incarnation}
	_, begun := l.begun[ref]
	_, ended := l.ended[ref]
	switch {
	case e.Change.Over() && (!begun || ended), !e.Change.Over() && begun:
		l.faults = append(l.faults, fmt.Sprintf("%v of %v, begun: %v, ended: %v", e, ref, begun, ended))
	case e.Epoch < l.epoch:
		l.faults = append(l.faults, fmt.Sprintf("%v at epoch %d after %d", e, e.Epoch, l.epoch))
	}
	l.epoch = e.Epoch
	if e.Change.Over() {
		l.ended[ref] = e.Change
	} else {
		l.begun[ref] = e.Change
	}
}

// compare compares a node's list of members with those of others at the same epoch.
func (w *churnWatch) compare(n *churnNode) {
	all, epoch := ringtest.NodeOf(n.Node).ServiceMembers("")
	if epoch == 0 { // leaves took so long that the ring has grown beyond a list
		w.sampled.Store(true)
		return
	}
	slices.SortFunc(all, func(x, y status.MemberInfo) int { return int(int64(x.ID) - int64(y.ID)) })
	list := make([]byte, 0, 16*len(all))
	for _, m := range all {
		list = fmt.Append(list, m.ID, m.Incarnation, " ")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if known, ok := w.lists[epoch]; !ok {
		w.lists[epoch] = string(list)
	} else if known != string(list) {
		w.c.T.Errorf("two lists of epoch %d", epoch)
	}
}

// check waits until the loops have seen all, and compares what they saw with what the registry did.
func (w *churnWatch) check() {
	t := w.c.T
	t.Helper()
	for _, l := range w.loops {
		l.mu.Lock()
		l.hurry = true
		l.mu.Unlock()
	}
	w.c.WaitSettled()
	behind := func(l *watchLoop) (unseen, unended int) {
		w.gather()
		w.mu.Lock()
		defer w.mu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		for ref, life := range w.lives {
			_, begun := l.begun[ref]
			_, ended := l.ended[ref]
			switch {
			case life.end == "" && !begun:
				unseen++
			case life.end != "" && begun && !ended:
				unended++
			}
		}
		return unseen, unended
	}
	loops := w.loops
	if w.sampled.Load() {
		t.Logf("there were more than 1,024 members: only loops of a service are compared")
		loops = slices.DeleteFunc(slices.Clone(loops), func(l *watchLoop) bool { return !strings.HasPrefix(l.name, "a service") })
	}
	for _, l := range loops {
		ringtest.WaitUntil(t, l.name+": to catch up", func() bool {
			unseen, unended := behind(l)
			return unseen+unended == 0
		})
	}
	w.stop()
	w.wg.Wait()
	over := 0
	for _, life := range w.lives {
		if life.end != "" {
			over++
		}
	}
	t.Logf("the registry announced %d incarnations, of which %d ended; the lists of %d epochs were compared", len(w.lives), over, len(w.lists))
	for _, l := range loops {
		skipped, unknown := 0, 0
		for ref, life := range w.lives {
			how, ended := l.ended[ref]
			switch _, begun := l.begun[ref]; {
			case !begun:
				skipped++
			case ended && how == status.MemberEnded:
				unknown++
			case ended && how != life.end:
				l.faults = append(l.faults, fmt.Sprintf("%v: %q, and not %q", ref, how, life.end))
			}
		}
		for ref := range l.begun {
			if w.lives[ref] == nil {
				l.faults = append(l.faults, fmt.Sprintf("%v was never announced", ref))
			}
		}
		t.Logf("%s: %d begins and %d ends; %d lives were over before it looked", l.name, len(l.begun), len(l.ended), skipped)
		if unknown > 0 {
			t.Errorf("%s: of %d ends it does not know how", l.name, unknown)
		}
		if len(l.faults) > 0 {
			t.Errorf("%s: %d faults, such as %s", l.name, len(l.faults), l.faults[0])
		}
	}
}

// churnService is a service that all nodes handle.
const churnService = "churn"

// follow runs a loop at a node for as long as it lives, as an rpc endpoint does.
func (c *churn) follow(n *ringtest.Node) {
	go func() {
		for range n.Watch(context.Background()) {
			c.events.Add(1)
		}
	}()
}

// serve registers the service.
func serve(n *ringtest.Node) {
	n.Node.Service(churnService).Handle(func(context.Context, ringdht.Message) {})
}
