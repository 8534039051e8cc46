package ringtest_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Frames in the names of others, over a link in the name of a member. What no member can have sent
// is dropped. What one could have sent is a limit of a ring without security: the test says which.
func TestForgedFrames(t *testing.T) {
	const never = 1<<64 - 1
	for _, c := range []struct {
		name      string
		frame     func(victim, member ring.Ref) []byte
		malformed int64 // frames that are dropped as impossible
		handled   int64 // messages that reach the handler
	}{
		{"A3: a cast in the victim's own name", func(v, _ ring.Ref) []byte { return cast(v.ID, v.ID, 0) }, 1, 0},
		{"A3: a cast from beyond the ID space", func(v, _ ring.Ref) []byte { return cast(v.ID, 1<<40, 0) }, 1, 0},
		{"A3: a cast in a member's name, which only security prevents", func(v, m ring.Ref) []byte { return cast(v.ID, m.ID, 0) }, 0, 1},
		{"A4: an Open with the last incarnation", func(v, m ring.Ref) []byte { return open(v.ID, m.ID, never, never) }, 1, 0},
		{"A4: an Open with an incarnation that no registry has given", func(v, m ring.Ref) []byte { return open(v.ID, m.ID, m.Incarnation+1<<50, 1) }, 1, 0},
		{"A4: an Open with the last generation", func(v, m ring.Ref) []byte { return open(v.ID, m.ID, m.Incarnation, never) }, 1, 0},
		{"A4: an Open with a generation that the member has not reached", func(v, m ring.Ref) []byte { return open(v.ID, m.ID, m.Incarnation, 1<<60) }, 0, 0},
		{"E7: a cast for a reserved port", func(v, m ring.Ref) []byte { return cast(v.ID, m.ID, 77) }, 1, 0},
		{"E7: a message for a service without a stream", func(v, m ring.Ref) []byte {
			return wire.Append(nil, wire.Header{Type: wire.Data, Port: 1, Dst: v.ID, Src: m.ID, Seq: 5}, []byte("x"))
		}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := ringtest.New(t, memnet.New(1))
				var handled atomic.Int64
				for range 3 {
					tr.Join(func(context.Context, ringdht.Message) { handled.Add(1) }, ringdht.WithTraffic())
				}
				tr.Setup(1)
				victim, member := tr.Nodes[0], tr.Nodes[1]
				link := tr.Link(t, victim, ringtest.RefOf(tr.Nodes[2]))
				link.Write(c.frame(ringtest.RefOf(victim), ringtest.RefOf(member)))
				synctest.Wait()
				if got := victim.Status().Counters.Dropped.Malformed; got != c.malformed || handled.Load() != c.handled {
					t.Errorf("%d malformed, %d handled; want %d and %d", got, handled.Load(), c.malformed, c.handled)
				}
				// The member reaches the victim at once, or after a question.
				start := time.Now()
				if err := member.Send(tr.Ctx(), victim.ID(), []byte("x")); err != nil {
					t.Fatal(err)
				}
				if err := member.Flush(tr.Ctx()); err != nil {
					t.Fatal(err)
				}
				ringtest.CheckElapsed(t, "a message to the victim", start, 2*time.Second)
				tr.Run(status.Traffic{Messages: 1000})
				link.Close()
				tr.Close()
			})
		})
	}
}

func cast(to, from uint64, port uint8) []byte {
	return wire.Append(nil, wire.Header{Type: wire.Cast, Dst: to, Src: from, Port: port}, []byte("x"))
}

func open(to, from, inc, gen uint64) []byte {
	return wire.Append(nil, wire.Header{Type: wire.Open, Dst: to, Src: from, Seq: gen}, wire.OpenBody{Incarnation: inc}.Append(nil))
}

// A stranger that guesses a node's incarnation learns nothing from a refusal: neither its text nor
// its time depend on what was wrong.
func TestRefusalsTellNothing(t *testing.T) {
	ringtest.OpenOnly(t, "certificates name incarnations, and nothing rests on their being secret")
	synctest.Test(t, func(t *testing.T) {
		log := ringtest.NewLog()
		net := memnet.New(1)
		tr := ringtest.New(t, net, log.Option(), ringdht.WithLease(3*time.Second))
		tr.Join(nil)
		dead := ringtest.RefOf(tr.Join(nil))
		tr.Setup(1)
		tr.Nodes[1].Close()
		tr.Remove(tr.Nodes[1])
		time.Sleep(10 * time.Second)
		to := ringtest.RefOf(tr.Nodes[0])
		c := ringtest.DialConfig()
		c.Transport = net.Host("stranger")
		type outcome struct {
			text string
			took time.Duration
		}
		seen := make(map[outcome][]string)
		for name, h := range map[string]wire.Hello{
			"an earlier incarnation": {From: 7, FromIncarnation: 1, To: to.ID, ToIncarnation: to.Incarnation - 1},
			"a later incarnation":    {From: 7, FromIncarnation: 1, To: to.ID, ToIncarnation: to.Incarnation + 1},
			"none":                   {From: 7, FromIncarnation: 1, To: to.ID},
			"another ID":             {From: 7, FromIncarnation: 1, To: to.ID ^ 1, ToIncarnation: to.Incarnation},
			"the dead":               {From: dead.ID, FromIncarnation: dead.Incarnation, To: to.ID, ToIncarnation: to.Incarnation},
			"itself":                 {From: to.ID, FromIncarnation: to.Incarnation, To: to.ID, ToIncarnation: to.Incarnation},
			"beyond the ID space":    {From: 1 << 40, FromIncarnation: 1, To: to.ID, ToIncarnation: to.Incarnation},
			"an impossible life":     {From: 7, FromIncarnation: 1<<64 - 1, To: to.ID, ToIncarnation: to.Incarnation},
		} {
			h.Role = wire.RoleLink
			start := time.Now()
			_, a, _, err := c.Dial(t.Context(), tr.Nodes[0].Peer().Addr, h)
			if err == nil {
				t.Errorf("%s: accepted", name)
				continue
			}
			o := outcome{a.Reason, time.Since(start)}
			seen[o] = append(seen[o], name)
		}
		if len(seen) != 1 {
			t.Errorf("%d different refusals: %v", len(seen), seen)
		}
		synctest.Wait()
		for _, detail := range []string{"declared dead", "another incarnation", "ID space", "cannot have given"} {
			if !strings.Contains(log.Text(), detail) {
				t.Errorf("the node's log does not say %q", detail)
			}
		}
		tr.Close()
	})
}

// Opens in the names of nodes that do not exist change nothing for the ring: a run is exact, and
// windows and streams of members are as before. A newcomer opens its streams at once.
func TestOpenFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1))
		for range 4 {
			tr.Join(nil, ringdht.WithTraffic())
		}
		tr.Setup(2)
		tr.Run(status.Traffic{Messages: 100})
		victim := tr.Nodes[0]
		before := victim.Status()
		link := tr.Link(t, victim, ringtest.RefOf(tr.Nodes[1]))
		var all []byte
		for i := range 66_000 {
			all = append(all, open(uint64(victim.ID()), uint64(i), uint64(1+i), 1)...)
		}
		link.Write(all)
		synctest.Wait()
		s := victim.Status()
		if most := before.Streams.Incoming + 1024; s.Streams.Incoming > most || s.Counters.Dropped.Refused < 60_000 {
			t.Errorf("%d incoming streams, at most %d; %d refused", s.Streams.Incoming, most, s.Counters.Dropped.Refused)
		}
		tr.Join(nil, ringdht.WithTraffic())
		tr.WaitSettled()
		start := time.Now()
		tr.Run(status.Traffic{Messages: 1000})
		ringtest.CheckElapsed(t, "a run with a newcomer", start, time.Second)
		if window, want := tr.Nodes[1].Status().Streams.Window, int64(4*1<<20); window < want {
			t.Errorf("windows of %d bytes in all for 4 sinks, at least %d are right", window, want)
		}
		link.Close()
		time.Sleep(3 * time.Minute)
		if got := victim.Status().Streams.Incoming; got > 4 {
			t.Errorf("%d streams are left", got)
		}
		tr.Close()
	})
}
