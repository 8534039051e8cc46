package ringtest_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// still is a log handler that blocks: in every method, or in Handle only.
type still struct {
	release <-chan struct{}
	ask     bool
}

func (s still) Handle(context.Context, slog.Record) error { <-s.release; return nil }

func (s still) Enabled(context.Context, slog.Level) bool {
	if s.ask {
		<-s.release
	}
	return true
}

func (s still) WithAttrs([]slog.Attr) slog.Handler {
	if s.ask {
		<-s.release
	}
	return s
}

func (s still) WithGroup(string) slog.Handler { return s.WithAttrs(nil) }

// A ring whose logs block, at every level, does what a ring without logs does, from joining to
// closing.
func TestLogsThatStandStill(t *testing.T) {
	release := make(chan struct{}) // for the first ring, whose log does not block
	var want string
	for _, log := range []string{"none", "still in Handle", "still in everything"} {
		synctest.Test(t, func(t *testing.T) {
			var shared []ringdht.Option
			if log != "none" {
				release = make(chan struct{})
				defer close(release)
				shared = []ringdht.Option{ringdht.WithLogger(slog.New(still{release, log == "still in everything"}))}
			}
			got := wholeRing(t, shared)
			if want == "" {
				want = got
			}
			if got != want || got == "" {
				t.Errorf("with a log that is %s:\n%swithout a log:\n%s", log, got, want)
			}
		})
	}
}

// wholeRing takes a ring through everything that the library logs. It describes the outcome.
func wholeRing(t *testing.T, shared []ringdht.Option) string {
	var told strings.Builder
	start := time.Now()
	say := func(limit time.Duration, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		ringtest.CheckElapsed(t, text, start, limit)
		fmt.Fprintln(&told, text)
		start = time.Now()
	}
	net := memnet.New(1)
	registryOpts := []ringdht.RegistryOption{ringdht.WithLease(ringtest.Lease)}
	for _, o := range shared {
		registryOpts = append(registryOpts, o)
	}
	tr := ringtest.New(t, net, registryOpts...)
	tr.Shared = shared
	lost := make(chan uint64, 1)
	for i := range 6 {
		var h ringdht.Handler
		if i == 5 {
			h = func(context.Context, ringdht.Message) { panic("as it must be seen") }
		}
		tr.Join(h, ringdht.WithID(ringdht.ID(10*i+10)), ringdht.WithTraffic(), ringtest.WithUndelivered(func(u status.Undelivered) {
			if u.Sink == 60 {
				lost <- u.Messages
			}
			panic("a callback, too")
		}))
	}
	say(time.Second, "%d joined", ringtest.RegistryOf(tr.Registry).Authority().Len())
	audit := tr.Setup(0)
	say(time.Second, "set up: %d routes", audit.Pairs)
	say(time.Second, "a run: %s", tr.Run(status.Traffic{Messages: 100}).Verdict())
	if conn, err := net.Host("stranger").Dial(tr.Ctx(), tr.Addr); err == nil {
		conn.Write([]byte("GET / HTTP/1.1\r\n\r\n                                                   "))
		conn.Close()
	}
	if _, err := tr.TryJoin(nil, ringdht.WithID(10)); err == nil {
		t.Error("an ID was given twice")
	}
	net.Cut("n1", "n2")
	tr.Exchange(tr.Nodes...)
	say(2*ringtest.Lease, "%d members of which a pair cannot talk", len(tr.Registry.Members()))
	net.Mend("n1", "n2")
	if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return len(ringtest.RegistryOf(tr.Registry).Authority().Unreachable()) == 0 }); err != nil {
		t.Fatal(err)
	}
	tr.WaitSettled()
	say(2*ringtest.Lease, "which can talk again")
	leaver := tr.Nodes[0]
	if err := leaver.Leave(tr.Ctx()); err != nil {
		t.Error(err)
	}
	tr.Remove(leaver)
	say(ringtest.Lease, "%d left", leaver.ID())
	net.Hold("n5", "registry")
	tr.WaitGone(60)
	say(2*ringtest.Lease, "60 died of silence")
	net.Heal()
	if err := tr.Registry.WaitMembers(tr.Ctx(), 5); err != nil {
		t.Fatal(err)
	}
	if err := tr.Nodes[4].Ready(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	tr.WaitSettled()
	say(2*ringtest.Lease, "and came back")
	tr.Registry.Close()
	say(1500*time.Millisecond, "the registry has closed")
	for _, n := range tr.Nodes {
		<-n.Disconnected()
	}
	tr.Exchange(tr.Nodes...)
	tr.RestartRegistry(registryOpts...)
	for _, n := range tr.Nodes {
		if err := n.WaitConnected(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
	}
	tr.WaitSettled()
	say(3*ringtest.Lease, "another has %d members", len(tr.Registry.Members()))
	say(time.Second, "a run: %s", tr.Run(status.Traffic{Messages: 100}).Verdict())
	dead := tr.Nodes[4]
	net.Hold("n5", "n1") // nothing that it says arrives
	tr.Nodes[0].Send(tr.Ctx(), dead.ID(), nil)
	dead.Close()
	tr.Remove(dead)
	tr.WaitGone(dead.ID())
	select {
	case n := <-lost:
		say(ringtest.Lease, "%d message of unknown outcome", n)
	case <-time.After(time.Minute):
		say(time.Hour, "nothing of unknown outcome")
	}
	tr.Close()
	say(1500*time.Millisecond, "closed")
	return told.String()
}
