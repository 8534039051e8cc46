package ringdht

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// still is a log that stands still: in everything that it is asked, or in Handle only.
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

// A ring whose logs stand still, at every level, does what a ring without logs does:
// from the joining of its nodes to the closing of it.
func TestLogsThatStandStill(t *testing.T) {
	release := make(chan struct{}) // of the first ring, which has no log to wait for it
	var want string
	for _, log := range []string{"none", "still in Handle", "still in everything"} {
		synctest.Test(t, func(t *testing.T) {
			var shared []Option
			if log != "none" {
				release = make(chan struct{})
				defer close(release)
				shared = []Option{WithLogger(slog.New(still{release, log == "still in everything"}))}
			}
			got := lifeOfARing(t, shared)
			if want == "" {
				want = got
			}
			if got != want || got == "" {
				t.Errorf("with a log that is %s:\n%swithout a log:\n%s", log, got, want)
			}
		})
	}
}

// lifeOfARing takes a ring through everything that the library logs, and says what came
// of it.
func lifeOfARing(t *testing.T, shared []Option) string {
	var told strings.Builder
	start := time.Now()
	say := func(limit time.Duration, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		took(t, text, start, limit)
		fmt.Fprintln(&told, text)
		start = time.Now()
	}
	net := NewMemoryNetwork(1)
	registryOpts := []RegistryOption{WithLease(lease)}
	for _, o := range shared {
		registryOpts = append(registryOpts, o)
	}
	tr := newTestRing(t, net, registryOpts...)
	tr.shared = shared
	lost := make(chan uint64, 1)
	for i := range 6 {
		var h Handler
		if i == 5 {
			h = func(context.Context, Message) { panic("as it must be seen") }
		}
		tr.join(h, WithID(ID(10*i+10)), WithTraffic(), WithUndelivered(func(u Undelivered) {
			if u.Sink == 60 {
				lost <- u.Messages
			}
			panic("a callback, too")
		}))
	}
	say(time.Second, "%d joined", tr.registry.members.Len())
	audit := tr.setup(0)
	say(time.Second, "set up: %d routes", audit.Pairs)
	say(time.Second, "a run: %s", tr.run(Traffic{Messages: 100}).Verdict())
	if conn, err := net.Host("stranger").Dial(tr.ctx(), tr.addr); err == nil {
		conn.Write([]byte("GET / HTTP/1.1\r\n\r\n                                                   "))
		conn.Close()
	}
	if _, err := tr.tryJoin(nil, WithID(10)); err == nil {
		t.Error("an ID was given twice")
	}
	net.Cut("n1", "n2")
	tr.exchange(tr.nodes...)
	say(2*lease, "%d members of which a pair cannot talk", len(tr.registry.Members()))
	net.Mend("n1", "n2")
	if err := tr.registry.await(tr.ctx(), func() bool { return len(tr.registry.members.Parted()) == 0 }); err != nil {
		t.Fatal(err)
	}
	tr.settled()
	say(2*lease, "which can talk again")
	leaver := tr.nodes[0]
	if err := leaver.Leave(tr.ctx()); err != nil {
		t.Error(err)
	}
	tr.drop(leaver)
	say(lease, "%d left", leaver.ID())
	net.Hold("n5", "registry")
	tr.gone(60)
	say(2*lease, "60 died of silence")
	net.Heal()
	if err := tr.registry.WaitMembers(tr.ctx(), 5); err != nil {
		t.Fatal(err)
	}
	if err := tr.nodes[4].Ready(tr.ctx()); err != nil {
		t.Fatal(err)
	}
	tr.settled()
	say(2*lease, "and came back")
	tr.registry.Close()
	say(1500*time.Millisecond, "the registry has closed")
	for _, n := range tr.nodes {
		<-n.Disconnected()
	}
	tr.exchange(tr.nodes...)
	tr.restart(registryOpts...)
	for _, n := range tr.nodes {
		if err := n.WaitConnected(tr.ctx()); err != nil {
			t.Fatal(err)
		}
	}
	tr.settled()
	say(3*lease, "another has %d members", len(tr.registry.Members()))
	say(time.Second, "a run: %s", tr.run(Traffic{Messages: 100}).Verdict())
	dead := tr.nodes[4]
	net.Hold("n5", "n1") // nothing that it says arrives
	tr.nodes[0].Send(tr.ctx(), dead.ID(), nil)
	dead.Close()
	tr.drop(dead)
	tr.gone(dead.ID())
	select {
	case n := <-lost:
		say(lease, "%d message of unknown outcome", n)
	case <-time.After(time.Minute):
		say(time.Hour, "nothing of unknown outcome")
	}
	tr.close()
	say(1500*time.Millisecond, "closed")
	return told.String()
}
