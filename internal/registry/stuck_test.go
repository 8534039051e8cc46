package registry_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// patience is how long a ring of these tests waits for a member that makes no progress.
const patience = status.StuckLeases * ringtest.Lease

// inLiarsBubble runs a test with a ring of five nodes, of which one lies to its registry as the test
// says. In the end the member is honest again, and a run must be exact.
func inLiarsBubble(t *testing.T, test func(t *testing.T, tr *ringtest.Ring, liar *ringtest.Node, lie *ringtest.Tamper)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease))
		for _, id := range []ringdht.ID{10, 20, 40, 50} {
			tr.Join(nil, ringdht.WithID(id), ringdht.WithTraffic())
		}
		liar, lie := tr.JoinLiar(ringdht.WithID(30), ringdht.WithTraffic())
		tr.Setup(2)
		test(t, tr, liar, lie)
		lie.Set(nil)
		tr.Setup(2) // it confirms its table
		if err := tr.Registry.WaitSettled(long(t)); err != nil {
			t.Error(err)
		}
		tr.Run(status.Traffic{Messages: 200})
		tr.Close()
	})
}

// long is a context for the waits of these tests, in virtual time.
func long(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
	t.Cleanup(cancel)
	return ctx
}

// counts waits until no member is left out.
func counts(t *testing.T, tr *ringtest.Ring) {
	t.Helper()
	r := ringtest.RegistryOf(tr.Registry)
	if err := r.Await(long(t), func() bool { return len(r.Authority().AllLeftOut()) == 0 }); err != nil {
		t.Fatal(err)
	}
}

// row finds a node's row in an account.
func row(s *status.Summary, id ringdht.ID) status.NodeSummary {
	return s.Nodes[slices.IndexFunc(s.Nodes, func(n status.NodeSummary) bool { return n.ID == id })]
}

// A member does not answer what a run asks. The run ends without it: its account is what the others
// tell, and it is named.
func TestRunLeavesOutMembersWithoutProgress(t *testing.T) {
	for name, c := range map[string]struct {
		drop []wire.Type
		lost bool
		most time.Duration
		why  string
	}{
		"no Finished": {[]wire.Type{control.TypeFinished}, false, patience, "has not finished, and made no progress for 30s"},
		"no Summary":  {[]wire.Type{control.TypeSummary}, true, patience, "has not reported what it sent and received"},
		"no Pairs":    {[]wire.Type{control.TypePairs}, true, patience, "has not reported its account with each node"},
		"nothing":     {[]wire.Type{control.TypeFinished, control.TypeSummary, control.TypePairs}, true, 2 * patience, "has not finished"},
	} {
		t.Run(name, func(t *testing.T) {
			inLiarsBubble(t, func(t *testing.T, tr *ringtest.Ring, liar *ringtest.Node, lie *ringtest.Tamper) {
				lie.DropFrames(c.drop...)
				start := time.Now()
				s, err := tr.Registry.RunTraffic(long(t), status.Traffic{Messages: 1000})
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < c.most || took > c.most+2*ringtest.Lease {
					t.Errorf("the run took %v", took)
				}
				if !strings.HasPrefix(s.Verdict(), "balanced: 0 messages") || !strings.Contains(s.Verdict(), c.why) || !strings.Contains(s.Verdict(), "node 30 ") || s.Exact() {
					t.Error(s.Verdict())
				}
				for _, n := range s.Nodes {
					if is := n.ID == liar.ID(); n.Stuck != is || n.Lost != (is && c.lost) || n.Sent != 1000 {
						t.Errorf("%+v", n)
					}
				}
				if s.Sum.Sent != 5000 || s.Sum.Received != 5000 || s.Sum.SumSent != s.Sum.SumReceived || len(s.Doubtful) > 0 {
					t.Errorf("%+v, doubtful %v", s.Sum, s.Doubtful)
				}
				if s.Elapsed > 2*ringtest.Lease {
					t.Errorf("the messages took %v", s.Elapsed)
				}
				if r := tr.Registry.Snapshot().Runs; len(r) != 1 || r[0].Exact {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

// A member never says that it uses its table. Set-ups, waits and runs do without it after a while, and
// name it. It counts as soon as it has confirmed.
func TestRingLeavesOutAMemberThatNeverLinks(t *testing.T) {
	inLiarsBubble(t, func(t *testing.T, tr *ringtest.Ring, liar *ringtest.Node, lie *ringtest.Tamper) {
		lie.DropFrames(control.TypeLinked)
		r, start := tr.Registry, time.Now()
		audit, err := r.Setup(long(t), 3)
		if err != nil || len(audit.LeftOut) != 1 || audit.LeftOut[0].Node.ID != liar.ID() || !strings.Contains(audit.String(), "settled without node 30 (") {
			t.Fatal(audit, err)
		}
		if took := time.Since(start); took < patience || took > patience+2*ringtest.Lease {
			t.Errorf("Setup took %v", took)
		}
		for range 2 {
			start = time.Now()
			err = r.WaitSettled(long(t))
			if left, ok := errors.AsType[*status.LeftOutError](err); !ok || len(left.Members) != 1 || left.Members[0].Node.ID != liar.ID() || errors.Is(err, ringdht.ErrNotReady) {
				t.Error(err)
			}
			s, err := r.RunTraffic(long(t), status.Traffic{Messages: 100})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(s.Verdict(), "balanced: 0 messages") || !strings.Contains(s.Verdict(), "is left out: it has not confirmed its table for 30s") {
				t.Error(s.Verdict())
			}
			if n := row(s, liar.ID()); !n.Stuck || !n.Lost || n.Sent != 0 || n.Received == 0 || s.Sum.Sent != 400 {
				t.Errorf("%+v", n)
			}
			ringtest.CheckElapsed(t, "the wait and the run", start, ringtest.Lease)
		}
		s := r.Snapshot()
		if len(s.LeftOut) != 1 || s.LeftOut[0].Node.ID != liar.ID() || time.Since(s.LeftOut[0].Since) > time.Minute || len(s.Missing) > 0 || s.Members[2].State != status.StateStuck || s.Happened[status.EventLeftOut] != 1 {
			t.Errorf("left out %+v, missing %q, state %s, happened %v", s.LeftOut, s.Missing, s.Members[2].State, s.Happened)
		}
		lie.Set(nil)
		if audit, err := r.Setup(long(t), 2); err != nil {
			t.Error(audit, err)
		}
		counts(t, tr)
		synctest.Wait() // until the event is recorded
		if s := r.Snapshot(); len(s.LeftOut) > 0 || s.Members[2].State != status.StateActive || s.Happened[status.EventCounts] != 1 {
			t.Errorf("%+v, %s, %v", s.LeftOut, s.Members[2].State, s.Happened)
		}
	})
}

// A member tells over and over that it can reach no other. Runs and set-ups go on after a while. It
// takes that back for a moment each second: it may count again then, so the runs are asked for at other
// times of a second, each.
func TestRunsDespiteTroubleOverAndOver(t *testing.T) {
	inLiarsBubble(t, func(t *testing.T, tr *ringtest.Ring, liar *ringtest.Node, _ *ringtest.Tamper) {
		ctx, cancel := context.WithCancel(context.Background())
		over := make(chan struct{})
		tell := func(why string) {
			for _, n := range tr.Nodes {
				if n != liar {
					ringtest.NodeOf(liar).Tell(control.TypeTrouble, control.Trouble{ID: uint64(n.ID()), Incarnation: n.Incarnation(), Error: why})
				}
			}
		}
		go func() {
			defer close(over)
			for i := 0; ctx.Err() == nil; i++ {
				if i%5 == 4 {
					tell("")
				}
				tell("refused")
				time.Sleep(200 * time.Millisecond)
			}
		}()
		time.Sleep(2 * ringtest.Lease)
		refused, start := 0, time.Now()
		for {
			s, err := tr.Registry.RunTraffic(long(t), status.Traffic{Messages: 100})
			if errors.Is(err, ringdht.ErrNotReady) && strings.Contains(err.Error(), "node 30 cannot reach node") {
				refused++
				if time.Since(start) > 4*patience {
					t.Fatal("it was never left out")
				}
				time.Sleep(700 * time.Millisecond)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if !s.Exact() && (!strings.HasPrefix(s.Verdict(), "balanced") || !strings.Contains(s.Verdict(), "node 30 ")) {
				t.Error(s.Verdict())
			}
			if !s.Exact() {
				break
			}
			if time.Since(start) > 4*patience {
				t.Fatal("it was never left out")
			}
			time.Sleep(700 * time.Millisecond)
		}
		t.Log(refused, "runs were refused;", tr.Registry.Snapshot().LeftOut)
		audit, err := tr.Registry.Setup(long(t), 1)
		if err != nil {
			t.Error(audit, err)
		}
		cancel()
		<-over
		tell("")
		counts(t, tr)
	})
}

// A stopped run ends though a member ignores that: it is silent, it seems to send on, or it seems to
// receive for ever.
func TestStopOfAMemberThatGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		beat func(*control.Beat)
		most time.Duration
		why  string
	}{
		"silent":         {func(*control.Beat) {}, patience, "has not finished, though it was told to stop, and made no progress"},
		"sends on":       {func(b *control.Beat) { b.Sent = time.Now().UnixNano() >> 20 & 0xffffffff }, patience, ""},
		"receives on":    {func(b *control.Beat) { b.Received = time.Now().UnixNano() >> 20 & 0xffffffff }, 10 * patience, "has not finished"},
		"impossible":     {func(b *control.Beat) { b.Sent, b.Received = 1<<62, 1<<62 }, patience, "has not finished"},
		"up and down":    {func(b *control.Beat) { b.Sent = time.Now().UnixNano() >> 30 & 1 << 20; b.Received = b.Sent }, patience, "has not finished"},
		"less than none": {func(b *control.Beat) { b.Sent, b.Received = -time.Now().UnixNano(), -5 }, patience, "has not finished"},
	} {
		t.Run(name, func(t *testing.T) {
			inLiarsBubble(t, func(t *testing.T, tr *ringtest.Ring, liar *ringtest.Node, lie *ringtest.Tamper) {
				lie.Set(func(is wire.Type, body []byte) []byte {
					switch is {
					case control.TypeFinished:
						return nil
					case control.TypeBeat:
						return ringtest.Rewrite(body, c.beat)
					}
					return body
				})
				tr.Net.Delay("", "", 20*time.Millisecond, 0) // else no time passes while they send
				over := make(chan error, 1)
				go func() {
					_, err := tr.Registry.RunTraffic(long(t), status.Traffic{Messages: math.MaxInt32, Payload: 20_000})
					over <- err
				}()
				time.Sleep(500 * time.Millisecond)
				start := time.Now()
				if err := tr.Registry.StopTraffic(long(t)); err != nil {
					t.Fatal(err)
				}
				if err := <-over; err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < c.most-ringtest.Lease || took > c.most+2*ringtest.Lease {
					t.Errorf("the stop took %v", took)
				}
				s := tr.Registry.Snapshot().Last
				if !strings.HasPrefix(s.Verdict(), "stopped: balanced, ") || !strings.Contains(s.Verdict(), c.why) || !row(s, 30).Stuck || len(s.Lost) != 1 {
					t.Error(s.Verdict())
				}
			})
		})
	}
}

// A run that takes many times longer than a stuck member is waited for is exact, as long as it goes
// on: here all links stand still again and again, and messages flow for some seconds in between.
func TestSlowRunIsExact(t *testing.T) {
	ringtest.InBubble(t, 2, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		each := func(f func(from, to string)) {
			for i := range tr.Nodes {
				for j := range tr.Nodes {
					f(fmt.Sprintf("n%d", i), fmt.Sprintf("n%d", j))
				}
			}
		}
		delay := 500 * time.Millisecond
		if tr.Secure {
			delay = 250 * time.Millisecond // a handshake goes there and back twice, within its deadline
		}
		each(func(from, to string) { net.Delay(from, to, delay, 0) })
		done := make(chan *status.Summary, 1)
		start := time.Now()
		go func() {
			s, err := tr.Registry.RunTraffic(long(t), status.Traffic{Messages: 150, Payload: 60_000})
			if err != nil {
				t.Error(err)
			}
			done <- s
		}()
		stood := 0
		for len(done) == 0 {
			// The last message, too, must have time to arrive while the links carry: they end when they
			// stand still, and are dialled again with growing delays. And from the beginning of one such
			// time to the middle of the next is less than the patience.
			each(net.Hold)
			time.Sleep(patience - 6*ringtest.Lease)
			each(net.Release)
			time.Sleep(4 * ringtest.Lease)
			stood++
		}
		s := <-done
		if took := time.Since(start); !s.Exact() || took < 5*patience {
			t.Errorf("it stood still %d times, and after %v: %s", stood, took, s.Verdict())
		}
		net.Heal()
		tr.WaitSettled()
	})
}

// No link to one member carries anything, while all report to the registry. The run ends: no node has
// finished, all have reported, and the member is named.
func TestRunNamesTheSinkThatIsWaitedFor(t *testing.T) {
	inLiarsBubble(t, func(t *testing.T, tr *ringtest.Ring, _ *ringtest.Node, _ *ringtest.Tamper) {
		for i := range 4 {
			tr.Net.Hold(fmt.Sprintf("n%d", i), "n4")
		}
		start := time.Now()
		s, err := tr.Registry.RunTraffic(long(t), status.Traffic{Messages: 1000})
		if err != nil {
			t.Fatal(err)
		}
		ringtest.CheckElapsed(t, "the run", start, patience+3*ringtest.Lease)
		if !strings.HasPrefix(s.Verdict(), "balanced: ") || !strings.Contains(s.Verdict(), "node 30 may be what they wait for: ") {
			t.Error(s.Verdict())
		}
		if s.Sum.Sent != s.Sum.Received+s.Sum.Unknown || s.Sum.SumSent != s.Sum.SumReceived+s.Sum.SumUnknown || s.Sum.Unknown == 0 {
			t.Errorf("%+v", s.Sum)
		}
		for _, n := range s.Nodes {
			if n.Lost {
				t.Errorf("%+v", n)
			}
		}
		tr.Net.Heal()
		time.Sleep(patience)
	})
}

// A member that has not finished reports more and more, beyond what it was asked to send and what the
// others can have sent to it. That is no progress.
func TestFiguresBeyondTheTaskAreNoProgress(t *testing.T) {
	inLiarsBubble(t, func(t *testing.T, tr *ringtest.Ring, _ *ringtest.Node, lie *ringtest.Tamper) {
		start := time.Now()
		lie.Set(func(is wire.Type, body []byte) []byte {
			switch is {
			case control.TypeFinished:
				return nil
			case control.TypeBeat:
				return ringtest.Rewrite(body, func(b *control.Beat) {
					b.Sent, b.Received = 1e6+int64(time.Since(start)), 1e6+int64(time.Since(start))
				})
			}
			return body
		})
		s, err := tr.Registry.RunTraffic(long(t), status.Traffic{Messages: 1000})
		if err != nil {
			t.Fatal(err)
		}
		ringtest.CheckElapsed(t, "the run", start, patience+2*ringtest.Lease)
		if !row(s, 30).Stuck || !s.Balanced() {
			t.Error(s.Verdict())
		}
	})
}
