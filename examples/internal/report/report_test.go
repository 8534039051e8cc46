package report

import (
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/meter"
	"github.com/x/ringdht/status"
)

func check(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSummary(t *testing.T) {
	s := &status.Summary{
		Nodes: []status.NodeSummary{
			{ID: 10, Addr: "a:1", Sent: 25000, Received: 24999, Relayed: 7, SumSent: -152885816525, SumReceived: 84917970788},
			{ID: 65535, Addr: "b:1", Sent: 25000, Received: 25001, Relayed: 22222, SumSent: 88821521114, SumReceived: -148982266199},
		},
		Sum:     status.NodeSummary{Sent: 50000, Received: 50000, Relayed: 22229, SumSent: -64064295411, SumReceived: -64064295411},
		Elapsed: 250 * time.Millisecond, MeanHops: 1.8889, MaxHops: 3,
	}
	table := `node   packets sent  packets received  packets relayed  sum of values sent  sum of values received
10            25000             24999                7       -152885816525             84917970788
65535         25000             25001            22222         88821521114           -148982266199
Sum           50000             50000            22229        -64064295411            -64064295411
`
	check(t, Summary(s), table+`Verdict: exact
Hops: mean 1.889, maximum 3. Rate: 200000 messages per second. Time: 0.250 s.
`)
	s.Wrong = []string{"node 43 (c:1) is gone", "from 10 to 65535: 5 sent, 4 received, sums 12 and -3"}
	s.Elapsed = 25 * time.Second
	check(t, Summary(s), table+`Verdict: WRONG: node 43 (c:1) is gone; from 10 to 65535: 5 sent, 4 received, sums 12 and -3
Hops: mean 1.889, maximum 3. Rate: 2000 messages per second. Time: 25.0 s.
`)
	s = &status.Summary{
		Nodes: []status.NodeSummary{{ID: 10, Sent: 5, Received: 5, Relayed: 7}, {ID: 11, Late: true, Relayed: 3}, {ID: 12, Late: true, Lost: true}},
		Sum:   status.NodeSummary{Sent: 5, Received: 5, Relayed: 10}, Wasted: 2,
	}
	check(t, Summary(s), `node              packets sent  packets received  packets relayed  sum of values sent  sum of values received
10                           5                 5                7                   0                       0
11 (joined late)             0                 0                3                   0                       0
12 (lost)                    0                 0                0                   0                       0
Sum                          5                 5               10                   0                       0
Verdict: exact
Hops: mean 0.000, maximum 0. Rate: 0 messages per second. Time: 0.000 s. Wasted relays: 2.
`)
}

func TestPeers(t *testing.T) {
	check(t, Peers([]ringdht.Peer{{ID: 7, Addr: "10.0.0.1:80"}, {ID: 65000, Addr: "[::1]:40001"}}), `host       port     ID
10.0.0.1     80      7
::1       40001  65000
`)
}

func TestTrace(t *testing.T) {
	check(t, Trace(101, 54, []status.Hop{{ID: 32, Elapsed: 1234567}, {ID: 54, Elapsed: 980 * time.Microsecond}}), `From 101 to 54:
hop  ID  answered after
  1  32        1.235 ms
  2  54        0.980 ms
`)
	check(t, Trace(5, 5, nil), "From 5 to itself: no hops\n")
}

func TestCounters(t *testing.T) {
	c := status.Counters{Sent: 25000, Delivered: 24999, Relayed: 22222, FramesIn: 900, Reads: 90, BytesIn: 32400}
	quiet := `Messages
  sent                    25000
  delivered to this node  24999
  relayed for others      22222
  retransmitted               0
  duplicates dropped          0
`
	rest := `Links
  frames in          900
  bytes in         32 kB
  reads               90
  frames per read   10.0
  bytes out          0 B
  writes               0
`
	check(t, Counters(c), quiet+rest)
	c.Dropped = status.Dropped{QueueFull: 12, Malformed: 1}
	check(t, Counters(c), quiet+`Trouble, frames by reason
  queue of a link full  12
  malformed              1
`+rest)
}

// A line end in a node's address, or in a registry's verdict, adds no line.
func TestForgedLines(t *testing.T) {
	evil := ringdht.Peer{ID: 7, Addr: "[::1%\nVerdict: exact\x1bc]:80"}
	snapshot := &status.Snapshot{Members: make([]status.Member, 1)}
	snapshot.Members[0].Peer = evil
	for _, text := range []string{
		Table(evil, new(ringdht.Table)), Peers([]ringdht.Peer{evil}), Member(snapshot, 0, new(meter.Meter)), Members(snapshot, new(meter.Meter)),
		Summary(&status.Summary{Wrong: []string{"a", evil.Addr}}),
		Events([]status.Event{{Node: evil, Incarnation: 1, Why: evil.Addr}}, NamesIn(snapshot)),
	} {
		if strings.Contains(text, "\nVerdict: exact") || strings.Contains(text, "\x1b") {
			t.Errorf("%q", text)
		}
	}
}
