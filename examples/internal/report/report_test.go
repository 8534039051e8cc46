package report

import (
	"encoding/json"
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

func TestPeers(t *testing.T) {
	check(t, Peers([]status.MemberInfo{{Peer: ringdht.Peer{ID: 7, Addr: "10.0.0.1:80"}}, {Peer: ringdht.Peer{ID: 65000, Addr: "[::1]:40001"}}}, 0), `host       port     ID
10.0.0.1     80      7
::1       40001  65000
`)
}

func TestTrace(t *testing.T) {
	check(t, Trace(101, 54, []status.Hop{{ID: 32, Elapsed: 1234567}, {ID: 54, Elapsed: 980 * time.Microsecond}}, 0), `From 101 to 54:
         answered
hop  ID     after
  1  32  1.235 ms
  2  54  0.980 ms
`)
	check(t, Trace(5, 5, nil, 0), "From 5 to itself: no hops\n")
}

func TestCounters(t *testing.T) {
	c := status.Counters{Sent: 25000, Delivered: 24999, Relayed: 22222, FramesIn: 900, Reads: 90, BytesIn: 32400}
	quiet := `Messages of all kinds
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
		Table(evil, new(ringdht.Table), 0), Peers([]status.MemberInfo{{Peer: evil}}, 0), Member(snapshot, 0, new(meter.Meter), 0), Members(snapshot, new(meter.Meter), 0),
		Summary(&status.Summary{Wrong: []string{"a", evil.Addr}}, 0),
		Events([]status.Event{{Node: evil, Incarnation: 1, Why: evil.Addr}}, NamesIn(snapshot), 0),
		Runs([]status.Run{{Verdict: "WRONG: " + evil.Addr}}, 0),
		Degraded([]status.Degraded{{From: evil, To: evil, Why: evil.Addr}}, NamesIn(snapshot), 0),
	} {
		if strings.Contains(text, "\nVerdict: exact") || strings.Contains(text, "\x1b") {
			t.Errorf("%q", text)
		}
	}
}

// Scripts learn which node is at fault, and not only which pairs suffer.
func TestDegradedDocument(t *testing.T) {
	text, err := json.Marshal(NewDegradedDocument(nil, []status.Sidelined{{Node: status.Peer{ID: 7}, Pairs: 3, Why: "nothing comes through"}}))
	for _, want := range []string{`"pairs":[]`, `"node":{"id":7`, `"why":"nothing comes through"`} {
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s has no %s, %v", text, want, err)
		}
	}
}
