package watch

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/meter"
	"github.com/x/ringdht/status"
)

var update = flag.Bool("update", false, "write the golden files anew, to be read before they are committed")

// golden compares a view with a file, and with its size.
func golden(t *testing.T, name string, size console.Size, lines []string) {
	t.Helper()
	if len(lines) > size.Rows {
		t.Errorf("%s: %d lines for %d rows", name, len(lines), size.Rows)
	}
	for _, l := range lines {
		if n := length(l); n > size.Columns {
			t.Errorf("%s: %d columns for %d: %s", name, n, size.Columns, l)
		}
	}
	file := filepath.Join("testdata", name+".txt")
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
	}
}

var (
	narrow = console.Size{Columns: 40, Rows: 10}
	usual  = console.Size{Columns: 80, Rows: 24}
	wide   = console.Size{Columns: 120, Rows: 40}
)

var start = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

// busyRing returns snapshots of a ring of some nodes, one a second, in the middle of a run.
func busyRing(nodes int, second int64) *status.Snapshot {
	now := start.Add(time.Duration(second) * time.Second)
	s := &status.Snapshot{Time: now, Ring: "ring", Bits: 16, Plan: "classic", Lease: 3 * time.Second, Epoch: 12, Live: true, Entries: 4,
		Offsets: []int{1, 2, 4, 8}, Missing: []string{}}
	for i := range nodes {
		m := status.Member{State: status.StateActive, Joined: start.Add(-time.Hour), Heard: now.Add(-time.Duration(i) * 70 * time.Millisecond)}
		m.Peer = ringdht.Peer{ID: ringdht.ID(801 + 6007*i), Addr: fmt.Sprintf("127.0.0.1:%d", 40000+i)}
		m.Incarnation, m.Epoch = 7, 12
		steps := second * (second + 1) / 2 // faster each second
		m.Counters.Sent, m.Counters.Delivered = 20000*steps, 20000*steps
		m.Counters.Relayed = int64(10000+i*500) * steps
		m.Counters.BytesOut, m.Counters.Queued = 1_200_000*steps, int64(i)*3000
		m.Streams.InFlight, m.Streams.Window = int64(i)*100_000, 1_000_000
		s.Members = append(s.Members, m)
		s.Total.Delivered += m.Counters.Delivered
	}
	s.Running = &status.Running{Number: 3, Messages: 250000, Sent: 400_000 * second, Received: 390_000 * second, Total: 2_500_000}
	s.Total.Dropped.QueueFull, s.Total.Retransmitted = 12*second, 15
	for i := range 9 {
		s.Events = append(s.Events, status.Event{Seq: uint64(i + 1), Time: start.Add(time.Duration(i) * time.Second), Kind: status.EventJoined,
			Epoch: 12, Node: s.Members[i%nodes].Peer, Incarnation: 7})
	}
	s.Events = append(s.Events, status.Event{Seq: 10, Time: now, Kind: status.EventRun, Epoch: 12, Why: "run 3: 10 nodes send 250000 messages of 4 bytes each"})
	return s
}

// watched returns a view of a ring after some refreshes.
func watched(snapshots ...*status.Snapshot) *Ring {
	next := 0
	r := NewRing(func() *status.Snapshot { next++; return snapshots[next-1] }, &meter.Meter{})
	for range snapshots {
		r.Refresh()
	}
	return r
}

func TestRingViews(t *testing.T) {
	var all []*status.Snapshot
	for second := range int64(6) {
		all = append(all, busyRing(10, second))
	}
	r := watched(all...)
	golden(t, "ring-narrow", narrow, r.Lines(narrow))
	golden(t, "ring-usual", usual, r.Lines(usual))
	golden(t, "ring-wide", wide, r.Lines(wide))

	// Many nodes on several hosts, one of them suspect, and a pair with a detour.
	before, after := busyRing(100, 4), busyRing(100, 5)
	for _, s := range []*status.Snapshot{before, after} {
		for i := range s.Members {
			s.Members[i].Addr = fmt.Sprintf("host%d.example.org:8080", i)
		}
		for i := range 9 {
			s.Events[i].Node = s.Members[i].Peer
		}
		s.Running = nil
		s.Runs = []status.Run{{Number: 3, Received: 25_000_000, Elapsed: 5 * time.Second, Rate: 5e6, MeanHops: 3.5, Verdict: "exact"}}
		s.Members[50].State, s.Members[50].Heard = status.StateSuspect, start.Add(-time.Minute)
		s.Degraded = []status.Degraded{{From: s.Members[3].Peer, To: s.Members[4].Peer, Why: "connection\x1b[2J refused"}}
		s.Missing = []string{"node 2 has not linked"}
	}
	r = watched(before, after)
	golden(t, "large-narrow", narrow, r.Lines(narrow))
	golden(t, "large-wide", wide, r.Lines(wide))

	empty := watched(&status.Snapshot{Time: start, Ring: "ring", Plan: "classic"})
	golden(t, "empty-narrow", narrow, empty.Lines(narrow))
}

// A view fits for any data.
func TestViewsFit(t *testing.T) {
	rings := []*Ring{watched(busyRing(1, 0)), watched(busyRing(3, 1), busyRing(3, 2)), watched(busyRing(300, 1), busyRing(300, 2))}
	nodes := []*Node{watchedNode(sampleAt(0)), watchedNode(sampleAt(1), sampleAt(2))}
	for columns := 1; columns <= 130; columns += 9 {
		for rows := 1; rows <= 60; rows += 2 {
			size := console.Size{Columns: columns, Rows: rows}
			for i, w := range []console.Watched{rings[0], rings[1], rings[2], nodes[0], nodes[1]} {
				lines := w.Lines(size)
				if len(lines) > rows {
					t.Fatalf("%d in %v: %d lines", i, size, len(lines))
				}
				for _, l := range lines {
					if length(l) > columns {
						t.Fatalf("%d in %v: %q", i, size, l)
					}
				}
			}
		}
	}
}

func TestRingLine(t *testing.T) {
	r := watched(busyRing(10, 1), busyRing(10, 2))
	if got, want := r.Line(), "15:04:07  delivered  400k/s  relayed  245k/s  dropped 24  10 active  run 3: 31 %"; got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// A document has the events since the document before, each event once.
func TestRingDocument(t *testing.T) {
	a, b, c := busyRing(3, 1), busyRing(3, 2), busyRing(3, 3)
	b.Events = append(b.Events, status.Event{Seq: 11, Kind: status.EventDead}, status.Event{Seq: 12, Kind: status.EventLeft})
	c.Events = b.Events
	all := []*status.Snapshot{a, b, c}
	r := NewRing(func() *status.Snapshot { s := all[0]; all = all[1:]; return s }, &meter.Meter{})
	for i, want := range []string{"[]", "[11 12]", "[]"} {
		r.Refresh()
		text, err := json.Marshal(r.Document())
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			Members map[string]int
			Rates   *meter.Rates
			Events  []status.Event
		}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		var seqs []uint64
		for _, e := range d.Events {
			seqs = append(seqs, e.Seq)
		}
		if fmt.Sprint(seqs) != want || d.Members["active"] != 3 || (d.Rates != nil) != (i > 0) {
			t.Errorf("refresh %d: %s", i, text)
		}
	}
}

// sampleAt returns the sample of a node after some seconds.
func sampleAt(second int64) Sample {
	s := status.Node{Peer: ringdht.Peer{ID: 801, Addr: "127.0.0.1:40000"}, Incarnation: 7, Epoch: 12, Members: 10}
	s.Counters.Sent, s.Counters.Delivered, s.Counters.Relayed = 1000*second*second, 2000*second, 0
	s.Counters.Dropped.LinkDown, s.Counters.SendBuffer = second, 1<<20
	s.Limits.SendBuffer, s.Limits.ReceiveBuffer, s.Limits.HandlerBacklog = 8<<20, 8<<20, 16<<20
	s.Streams = status.Streams{Outgoing: 9, Incoming: 1, InFlight: 500_000, Window: 2_000_000}
	s.Latency = status.Histogram{Counts: []int64{0, 0, 0, 0, 0, 90, 0, 0, 0, 0, 0, 10}}
	s.Links = []status.Link{{To: 6808, Up: true, Bytes: 60_000 * second, Queued: 4000}, {To: 12815}}
	return Sample{Time: start.Add(time.Duration(second) * time.Second), Status: s, Registry: "localhost:12345",
		Peers: []ringdht.Peer{{ID: 6808, Addr: "127.0.0.1:40001"}, {ID: 12815, Addr: "127.0.0.1:40002"}}}
}

func watchedNode(samples ...Sample) *Node {
	next := 0
	n := NewNode(func() Sample { next++; return samples[next-1] })
	for range samples {
		n.Refresh()
	}
	return n
}

func TestNodeViews(t *testing.T) {
	n := watchedNode(sampleAt(0), sampleAt(1), sampleAt(2), sampleAt(3), sampleAt(4))
	golden(t, "node-narrow", narrow, n.Lines(narrow))
	golden(t, "node-wide", wide, n.Lines(wide))
	if got, want := n.Line(), "15:04:09  sent  7.0k/s  delivered  2.0k/s  relayed     0/s  dropped 4  queued 0 B"; got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	if _, err := json.Marshal(n.Document()); err != nil {
		t.Error(err)
	}
	lost, reborn := sampleAt(5), sampleAt(1)
	lost.Lost = true
	reborn.Time, reborn.Status.Incarnation = start.Add(time.Minute), 8
	if l := watchedNode(sampleAt(4), lost).Lines(usual)[1]; l != "The registry at localhost:12345 cannot be reached." {
		t.Errorf("%q", l)
	}
	if l := watchedNode(sampleAt(4), reborn).Lines(usual)[2]; !strings.HasPrefix(l, "sent            - ") {
		t.Errorf("another incarnation: %q", l)
	}
}

func TestSpark(t *testing.T) {
	var h history
	for _, f := range []float64{9, 0, 1, 2, 4, 8} {
		h.add(f)
	}
	if got := spark(h, 5); got != " ▂▃▅█" {
		t.Errorf("%q", got)
	}
	if spark(h, 0) != "" || spark(nil, 9) != "" || spark(history{0, 0}, 9) != "  " {
		t.Error("of nothing")
	}
	for range 1000 {
		h.add(1)
	}
	if len(h) != maxHistory {
		t.Errorf("%d are kept", len(h))
	}
	if got := progress(1, 4, 10) + progress(9, 4, 4) + progress(1, 0, 4); got != "[██░░░░░░][██]" {
		t.Errorf("%q", got)
	}
}
