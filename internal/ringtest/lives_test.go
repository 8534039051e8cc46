package ringtest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

var (
	livesFor  = flag.Duration("lives", 2*time.Second, "how long TestRandomLives lets its rings live, such as 10m")
	livesSeed = flag.Uint64("lives.seed", 0, "what it draws from; 0 for another one each time")
)

// leavesDuringRuns says whether nodes leave in the midst of runs.
const leavesDuringRuns = true

// TestRandomLives lets a ring over the in-memory network and one over TCP live at random:
// members join, leave, are killed and cut off; registries are replaced; tables change; and
// there are runs of 1 to 100,000 messages, before, beside and after all that, while
// handlers send to each other. Each account must balance, and each relay be accounted for.
// The seed repeats what is done, not when.
func TestRandomLives(t *testing.T) {
	seed := *livesSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-lives.seed %d", seed)
	for i, net := range []*memnet.Network{nil, memnet.New(seed)} {
		t.Run([]string{"TCP", "memory"}[i], func(t *testing.T) {
			t.Parallel()
			l := &lives{Ring: ringtest.New(t, net, ringdht.WithLease(livesLease)), rng: rand.New(rand.NewPCG(seed, uint64(i))), dead: make(map[ringdht.ID]bool)}
			l.live(*livesFor)
		})
	}
}

const (
	livesLease = 2 * time.Second
	maxLives   = 10 // members at once
)

type lives struct {
	*ringtest.Ring
	rng    *rand.Rand
	serial int // of hosts
	done   []string
	dead   map[ringdht.ID]bool // killed, or cut off until declared dead, at any time

	broken                             atomic.Int64 // links between members, as far as logs tell
	runs, alone, unwatched, lost, torn int
	underWay                           int
	messages, relayed, wasted, late    int64
}

func (l *lives) fatal(format string, args ...any) {
	l.T.Helper()
	l.T.Fatalf("%s\nwhat was done: %s", fmt.Sprintf(format, args...), strings.Join(l.done[max(0, len(l.done)-40):], ", "))
}

// within bounds what is not broken. In contrast to [testRing.ctx] it leaves nothing behind.
func (l *lives) within(f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return f(ctx)
}

func (l *lives) must(what string, f func(ctx context.Context) error) {
	l.T.Helper()
	l.done = append(l.done, what)
	if err := l.within(f); err != nil {
		l.fatal("%s: %v", what, err)
	}
}

// Handle and the rest make lives a log that counts links that break.
func (l *lives) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}
func (l *lives) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *lives) WithGroup(string) slog.Handler      { return l }
func (l *lives) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "link ended" {
		l.broken.Add(1)
	}
	return nil
}

func (l *lives) live(long time.Duration) {
	for range 4 {
		l.join()
	}
	l.setup()
	for start := time.Now(); time.Since(start) < long; {
		for range l.rng.IntN(3) {
			l.event(false)
		}
		l.settle()
		l.talk()
		if l.rng.IntN(2) == 0 {
			l.undisturbed()
		} else {
			l.disturbed()
		}
	}
	l.settle()
	l.undisturbed()
	l.T.Logf("%d runs, %d of them undisturbed, %d abandoned, %d in which nodes were lost, %d in which links broke, %d that ended before the copies of messages that changes of tables had made; %d messages, %d relayed, %d of them in vain, %d by nodes that came late",
		l.runs, l.alone, l.unwatched, l.lost, l.torn, l.underWay, l.messages, l.relayed, l.wasted, l.late)
}

// event is one of the things that happen to a ring.
func (l *lives) event(duringRun bool) {
	switch n := l.rng.IntN(12); {
	case n < 3 && len(l.Nodes) < maxLives:
		l.join()
	case n < 5 && (leavesDuringRuns || !duringRun):
		l.leave()
	case n < 7:
		l.kill()
	case n == 7:
		l.restart()
	case n == 8 && l.Net != nil:
		l.cutOff()
	case n < 11:
		l.setup()
	default:
		l.talk()
	}
}

func (l *lives) join() {
	opts := []ringdht.NodeOption{ringdht.WithLogger(slog.New(l))}
	if l.Net != nil {
		l.serial++
		opts = append(opts, ringdht.WithTransport(l.Net.Host(l.host(l.serial))))
	}
	if l.rng.IntN(4) > 0 || l.senders() < 3 {
		opts = append(opts, ringdht.WithTraffic())
	}
	l.must("join", func(ctx context.Context) error {
		self := new(atomic.Pointer[ringdht.Node])
		n, err := ringdht.Join(ctx, l.Addr, func(ctx context.Context, m ringdht.Message) { passOn(ctx, self.Load(), m.Body) }, opts...)
		if err == nil {
			self.Store(n)
			l.Nodes = append(l.Nodes, n)
		}
		return err
	})
}

func (l *lives) host(serial int) string { return fmt.Sprintf("h%d", serial) }

func (l *lives) senders() (n int) {
	for _, x := range l.Nodes {
		if ringtest.NodeOf(x).Config().Traffic {
			n++
		}
	}
	return n
}

// passOn is what handlers do: they send a message on to anybody, as often as it says.
// What becomes of it is not the test's business.
func passOn(ctx context.Context, n *ringdht.Node, body []byte) {
	if n == nil || len(body) == 0 || body[0] == 0 {
		return
	}
	all := n.Members()
	if len(all) == 0 {
		return
	}
	to, next := all[rand.IntN(len(all))], []byte{body[0] - 1}
	if rand.IntN(4) == 0 {
		n.Cast(ctx, to, next)
	} else {
		n.Send(ctx, to, next)
	}
}

// talk has the nodes' handlers send to each other, and waits until the first messages
// are delivered.
func (l *lives) talk() {
	l.done = append(l.done, "talk")
	from := l.Nodes[l.rng.IntN(len(l.Nodes))]
	l.within(func(ctx context.Context) error {
		for range 20 {
			passOn(ctx, from, []byte{20})
		}
		return from.Flush(ctx)
	})
}

// some takes a member out of the list that the ring can do without.
func (l *lives) some() *ringdht.Node {
	i := l.rng.IntN(len(l.Nodes))
	n := l.Nodes[i]
	if len(l.Nodes) < 4 || ringtest.NodeOf(n).Config().Traffic && l.senders() < 4 {
		return nil
	}
	l.Nodes = slices.Delete(l.Nodes, i, i+1)
	return n
}

func (l *lives) leave() {
	if n := l.some(); n != nil {
		l.done = append(l.done, fmt.Sprintf("leave %d", n.ID()))
		if err := l.within(n.Leave); err != nil {
			l.honest(n, err)
		}
	}
}

// honest holds what a node says that leaves against what has happened: messages have no
// known outcome only if a death was in it, of the sink or, before this, of the node itself.
func (l *lives) honest(n *ringdht.Node, err error) {
	l.T.Logf("node %d left: %v", n.ID(), err)
	var lost *ringdht.UndeliveredError
	if !errors.As(err, &lost) || err.Error() != lost.Error() {
		l.fatal("node %d left: %v", n.ID(), err)
	}
	for _, u := range lost.Streams {
		if u.Messages > u.NotHandled && !l.dead[u.Sink] && !l.dead[n.ID()] {
			l.fatal("node %d left, and %d, which has not died, leaves messages of unknown outcome: %v", n.ID(), u.Sink, err)
		}
	}
}

func (l *lives) kill() {
	if n := l.some(); n != nil {
		l.dead[n.ID()] = true
		l.done = append(l.done, fmt.Sprintf("kill %d", n.ID()))
		n.Close()
	}
}

// cutOff cuts a member off for so long that it is declared dead, and waits until it has
// come back as another life.
func (l *lives) cutOff() {
	n := l.Nodes[l.rng.IntN(len(l.Nodes))]
	host, _, _ := strings.Cut(n.Peer().Addr, ":")
	life, id := n.Incarnation(), n.ID()
	l.dead[id] = true
	l.must(fmt.Sprintf("cut %d off", id), func(ctx context.Context) error {
		l.Net.Hold(host, "")
		l.Net.Hold("", host)
		return ringtest.RegistryOf(l.Registry).Await(ctx, func() bool {
			m, there := ringtest.RegistryOf(l.Registry).Authority().Holder(uint64(id))
			return !there || m.Incarnation != life
		})
	})
	l.Net.Heal()
	l.must(fmt.Sprintf("mend %d", id), func(ctx context.Context) error {
		return ringtest.NodeOf(n).Await(ctx, func() bool { return n.Incarnation() != life })
	})
	l.dead[n.ID()] = true // what its former life had sent
}

// Restart replaces the registry, and may kill a member while there is none.
func (l *lives) restart() {
	l.done = append(l.done, "restart")
	l.Registry.Close()
	if l.rng.IntN(3) == 0 {
		l.kill()
	}
	opts := []ringdht.RegistryOption{ringdht.WithLease(livesLease), ringdht.WithGrace(livesLease * 3 / 4)}
	if l.Net != nil {
		opts = append(opts, ringdht.WithTransport(l.Net.Host("registry")))
	}
	r, err := ringdht.NewRegistry(opts...)
	if err == nil {
		l.Registry = r // which is closed when the test ends
		_, err = r.Listen(context.Background(), l.Addr)
	}
	if err != nil {
		l.fatal("%v", err)
	}
	l.must("come back", func(ctx context.Context) error { return r.WaitMembers(ctx, len(l.Nodes)) })
}

func (l *lives) setup() {
	k, plan := l.rng.IntN(4), []ringdht.Plan{ringdht.Classic, ringdht.FewestHops}[l.rng.IntN(2)]
	l.must(fmt.Sprintf("setup %d %v", k, plan), func(ctx context.Context) error {
		_, err := l.Registry.Setup(ctx, k, ringdht.WithPlan(plan))
		return err
	})
}

// settle waits until every node is where it should be.
func (l *lives) settle() {
	l.must("settle", func(ctx context.Context) error {
		if err := l.Registry.WaitMembers(ctx, len(l.Nodes)); err != nil {
			return err
		}
		for _, n := range l.Nodes {
			if err := n.Ready(ctx); err != nil {
				return err
			}
		}
		return l.Registry.WaitSettled(ctx)
	})
}

// task draws a run, the larger the rarer.
func (l *lives) task() ringdht.Traffic {
	tf := ringdht.Traffic{Messages: int(math.Pow(10, 5*l.rng.Float64()))}
	if l.rng.IntN(4) == 0 {
		tf.Payload = 4 + l.rng.IntN(200)
	}
	return tf
}

func (l *lives) begin() (tf ringdht.Traffic, ended <-chan func() (*status.Summary, error)) {
	tf = l.task()
	l.done = append(l.done, fmt.Sprintf("run of %d", tf.Messages))
	done := make(chan func() (*status.Summary, error), 1)
	r := l.Registry
	go l.within(func(ctx context.Context) error {
		s, err := r.RunTraffic(ctx, tf)
		done <- func() (*status.Summary, error) { return s, err }
		return nil
	})
	return tf, done
}

// undisturbed is a run during which nothing else is done.
func (l *lives) undisturbed() {
	broken := l.broken.Load()
	tf, done := l.begin()
	s, err := (<-done)()
	if err != nil {
		l.fatal("%v", err)
	}
	l.check(s, broken, false)
	if len(s.Lost) == 0 {
		l.alone++
		if want := int64(tf.Messages * l.senders()); !s.Exact() || s.Sum.Sent != want || len(s.Nodes) != len(l.Nodes) {
			l.fatal("%s, %d rows for %d nodes, %d sent, want %d", s.Verdict(), len(s.Nodes), len(l.Nodes), s.Sum.Sent, want)
		}
	}
}

// disturbed is a run in the midst of which things happen.
func (l *lives) disturbed() {
	broken, r, before := l.broken.Load(), l.Registry, l.resent()
	_, done := l.begin()
	l.within(func(ctx context.Context) error { // until it has begun, or has ended already
		return ringtest.RegistryOf(r).Await(ctx, func() bool { return ringtest.RegistryOf(r).Running() != 0 || len(done) > 0 })
	})
	for range 1 + l.rng.IntN(3) {
		l.event(true)
	}
	s, err := (<-done)()
	switch {
	case err == nil:
		copies := false
		for n, after := range l.resent() {
			copies = copies || after > before[n]
		}
		l.check(s, broken, copies)
	case r != l.Registry && (errors.Is(err, ringdht.ErrClosed) || errors.Is(err, ringdht.ErrNotReady)):
		l.unwatched++
	case errors.Is(err, ringdht.ErrNotReady): // it came after what was to disturb it
	default:
		l.fatal("%v", err)
	}
}
