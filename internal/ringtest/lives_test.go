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
	livesFor  = flag.Duration("lives", 2*time.Second, "how long TestRandomLives runs its rings, such as 10m")
	livesSeed = flag.Uint64("lives.seed", 0, "its seed; 0 for another one each time")
)

// leavesDuringRuns says whether nodes leave during runs.
const leavesDuringRuns = true

// TestRandomLives does random things to a ring over the in-memory network and to one over TCP.
// Members join, leave, are killed and cut off; registries are replaced; tables change. Before,
// during and after that there are runs of 1 to 100,000 messages, while handlers send to each
// other. Each account must balance, and each relayed message be accounted for. The seed repeats
// what is done, not when.
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

// lives is a ring to which random things happen, and what was counted of them. It is also the
// log of its nodes.
type lives struct {
	*ringtest.Ring
	rng    *rand.Rand
	serial int // of hosts
	done   []string
	dead   map[ringdht.ID]bool // ever killed, or cut off until declared dead

	broken                             atomic.Int64 // links between members, as logged
	runs, alone, unwatched, lost, torn int
	underWay                           int
	messages, relayed, wasted, late    int64
}

func (l *lives) fatal(format string, args ...any) {
	l.T.Helper()
	l.T.Fatalf("%s\nwhat was done: %s", fmt.Sprintf(format, args...), strings.Join(l.done[max(0, len(l.done)-40):], ", "))
}

// within calls f with a context that only ends if something is broken. In contrast to
// [ringtest.Ring.Ctx] it leaves nothing behind.
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

// Enabled and the other three methods of a slog.Handler count links that break.
func (l *lives) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}
func (l *lives) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *lives) WithGroup(string) slog.Handler      { return l }
func (l *lives) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "link ended" {
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "err" { // else the peer has left
				l.broken.Add(1)
			}
			return a.Key != "err"
		})
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
	l.T.Logf("%d runs: %d undisturbed, %d abandoned, %d with lost nodes, %d with broken links, %d that ended before copies of messages, made by changes of tables, had arrived; %d messages, %d relayed, %d of them in vain, %d by nodes that came late",
		l.runs, l.alone, l.unwatched, l.lost, l.torn, l.underWay, l.messages, l.relayed, l.wasted, l.late)
}

// event does one of the things that happen to a ring.
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
	if l.rng.IntN(4) == 0 {
		opts = append(opts, earlierProgram())
	}
	l.must("join", func(ctx context.Context) error {
		self := new(atomic.Pointer[ringtest.Node])
		n, err := ringtest.Join(ctx, l.Line(), func(ctx context.Context, m ringdht.Message) { passOn(ctx, self.Load(), m.Body) }, opts...)
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

// passOn sends a message on to a random member, as often as its first byte says. Errors do not
// matter to the test.
func passOn(ctx context.Context, n *ringtest.Node, body []byte) {
	if n == nil || len(body) == 0 || body[0] == 0 {
		return
	}
	all := n.Members()
	if len(all) == 0 {
		return
	}
	to, next := all[rand.IntN(len(all))].ID, []byte{body[0] - 1}
	if rand.IntN(4) == 0 {
		n.Cast(ctx, to, next)
	} else {
		n.Send(ctx, to, next)
	}
}

// talk makes the handlers of nodes send to each other. It waits until the first messages are
// delivered.
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

// some removes a random member from the list and returns it, or returns nil if the ring needs
// it.
func (l *lives) some() *ringtest.Node {
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

// honest compares the error of a leave with what has happened. Messages may be of unknown
// outcome only if the sink has died, or the node itself before.
func (l *lives) honest(n *ringtest.Node, err error) {
	l.T.Logf("node %d left: %v", n.ID(), err)
	var lost *status.UndeliveredError
	if !errors.As(err, &lost) || err.Error() != lost.Error() {
		l.fatal("node %d left: %v", n.ID(), err)
	}
	for _, u := range lost.Streams {
		if u.Messages > u.NotHandled && !l.dead[u.Sink] && !l.dead[n.ID()] {
			l.fatal("node %d left, and messages to %d, which has not died, are of unknown outcome: %v", n.ID(), u.Sink, err)
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

// cutOff cuts a member off until it is declared dead. It waits until the member is back as
// another incarnation.
func (l *lives) cutOff() {
	n := l.Nodes[l.rng.IntN(len(l.Nodes))]
	host, _, _ := strings.Cut(n.Peer().Addr, ":")
	inc, id := n.Incarnation(), n.ID()
	l.dead[id] = true
	l.must(fmt.Sprintf("cut %d off", id), func(ctx context.Context) error {
		l.Net.Hold(host, "")
		l.Net.Hold("", host)
		return ringtest.RegistryOf(l.Registry).Await(ctx, func() bool {
			m, there := ringtest.RegistryOf(l.Registry).Authority().Holder(uint64(id))
			return !there || m.Incarnation != inc
		})
	})
	l.Net.Heal()
	l.must(fmt.Sprintf("heal %d", id), func(ctx context.Context) error {
		return ringtest.NodeOf(n).Await(ctx, func() bool { return n.Incarnation() != inc })
	})
	l.dead[n.ID()] = true // for what its former incarnation had sent
}

// restart replaces the registry. It may kill a member while there is none.
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
	r, err := ringdht.NewRegistry(l.Heir(opts)...)
	if err == nil {
		l.Registry = r // closed when the test ends
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
		_, err := l.Registry.Setup(ctx, k, plan)
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

// task draws the traffic of a run. Large runs are rare.
func (l *lives) task() status.Traffic {
	tf := status.Traffic{Messages: int(math.Pow(10, 5*l.rng.Float64()))}
	if l.rng.IntN(4) == 0 {
		tf.Payload = 4 + l.rng.IntN(200)
	}
	return tf
}

func (l *lives) begin() (tf status.Traffic, ended <-chan func() (*status.Summary, error)) {
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

// undisturbed does a run during which nothing else happens.
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

// disturbed does a run during which other things happen.
func (l *lives) disturbed() {
	broken, r, before := l.broken.Load(), l.Registry, l.resent()
	_, done := l.begin()
	// Polled: done is no state of the registry, and a change may come before it for the last time.
	ringtest.WaitUntil(l.T, "the run has begun, or has ended already", func() bool { return r.Snapshot().Running != nil || len(done) > 0 })
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
	case errors.Is(err, ringdht.ErrNotReady): // the run began too late to be disturbed
	default:
		l.fatal("%v", err)
	}
}
