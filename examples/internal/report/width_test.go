package report

import (
	"flag"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/meter"
	"github.com/x/ringdht/status"
)

var show = flag.Bool("show", false, "print the listings")

// busy returns a snapshot of ten nodes with IDs of some bits, large figures, and events of all
// kinds.
func busy(bits int) *status.Snapshot {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := &status.Snapshot{Time: now, Lease: 3 * time.Second, Epoch: 123, Live: true}
	for i := range 10 {
		m := status.Member{State: status.StateRegistered, Heard: now.Add(-9 * time.Second), Joined: now.Add(-time.Hour)}
		m.Peer = ringdht.Peer{ID: ringdht.ID(math.MaxUint64>>(64-bits) - uint64(i)*(1<<bits/16)), Addr: fmt.Sprintf("192.168.100.1%02d:4000%d", i, i)}
		m.Incarnation, m.Epoch = math.MaxUint64-uint64(i), 123
		m.Counters = status.Counters{Sent: 1e9, Delivered: 1e9, Relayed: 1e9, Queued: 1e8, Dropped: status.Dropped{QueueFull: 12345}}
		m.Latency = status.Histogram{Counts: []int64{5, 0, 0, 7}}
		m.Links = []status.Link{{To: m.ID, Up: true, Bytes: 1e12, Queued: 1e6}, {To: m.ID}}
		m.Name, m.Tags, m.Services = "worker-"+m.ID.String(), map[string]string{"zone": "eu-west-1"}, []string{"count", "sum"}
		m.Limits = status.Limits{SendBuffer: 8 << 20, ReceiveBuffer: 8 << 20, HandlerBacklog: 16 << 20}
		m.Counters.SendBuffer, m.Counters.ReceiveBuffer, m.Counters.HandlerBacklog = 8<<20, 8<<20, 16<<20
		m.Streams = status.Streams{Outgoing: 1000, Incoming: 1000, InFlight: 8 << 20, Window: 8 << 20}
		s.Members = append(s.Members, m)
	}
	why := "connection lost: EOF, and it does not answer at its address, and none has heard of it since"
	for i, kind := range []status.EventKind{status.EventJoined, status.EventDead, status.EventDegraded, status.EventSetup, status.EventRunEnded} {
		e := status.Event{Seq: 1000 + uint64(i), Time: now, Kind: kind, Epoch: 123, Why: why}
		if i < 3 {
			e.Node, e.Other, e.Incarnation = s.Members[i].Peer, s.Members[9].Peer, 5
		}
		s.Events = append(s.Events, e)
	}
	s.Degraded = []status.Degraded{{From: s.Members[0].Peer, To: s.Members[1].Peer, Why: why}}
	s.Runs = []status.Run{
		{Number: 31, Started: now, Messages: 25000, Payload: 4, Received: 250000, Elapsed: 83 * time.Millisecond, Rate: 3e6, MeanHops: 1.5, MaxHops: 4, Verdict: "exact"},
		{Number: 32, Started: now, Messages: 4000000, Payload: 65536, Received: 40000000, Elapsed: time.Minute, Rate: 3e6, MeanHops: 1.5, MaxHops: 12, Verdict: "balanced: 7 messages of unknown outcome; lost: " + why},
	}
	return s
}

// All listings of ten nodes fit terminals of 80 and of 40 columns, with IDs of 16 and 64 bits.
func TestListingsFit(t *testing.T) {
	for _, bits := range []int{16, 63} {
		s := busy(bits)
		var peers []ringdht.Peer
		var infos []status.MemberInfo
		for i := range s.Members {
			peers = append(peers, s.Members[i].Peer)
			infos = append(infos, InfoOf(&s.Members[i]))
		}
		m := new(meter.Meter)
		names := NamesIn(s)
		for _, width := range []int{80, 40} {
			for what, text := range map[string]string{
				"peers": Peers(infos, width), "table": routes(peers[0], peers[1:], width), "members": Members(s, m, width),
				"member": Member(s, 3, m, width), "events": Events(s.Events, names, width), "runs": Runs(s.Runs, width),
				"degraded": Degraded(s.Degraded, names, width), "no links": Links(nil, nil, width),
				"trace": Trace(peers[0].ID, peers[1].ID, []status.Hop{{ID: peers[1].ID, Elapsed: time.Minute}}, width),
			} {
				fits(t, fmt.Sprintf("%s of %d bits", what, bits), text, width)
				if *show {
					fmt.Printf("--- %s, %d bits, %d columns\n%s", what, bits, width, text)
				}
			}
		}
		// Without a terminal no column is left out, and nothing wraps.
		if text := Events(s.Events, names, 0); strings.Count(text, "\n") != 6 {
			t.Errorf("events in a pipe:\n%s", text)
		}
		if text := Members(s, m, 0); strings.Contains(text, "No room") || !strings.Contains(text, "heard") {
			t.Errorf("members in a pipe:\n%s", text)
		}
	}
}
