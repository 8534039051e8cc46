package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/x/ringdht/examples/internal/drive"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/status"
)

// answers reads the lines of JSON that a program prints.
type answers struct {
	t  *testing.T
	p  *drive.Program
	at int
}

// next reads one line.
func (a *answers) next(into any) string {
	a.t.Helper()
	a.p.Expect(`^.*\n`)
	line, _, _ := strings.Cut(a.p.Stdout()[a.at:], "\n")
	a.at += len(line) + 1
	if err := json.Unmarshal([]byte(line), into); err != nil {
		a.t.Fatalf("%s: %v", line, err)
	}
	return line
}

// Each command has an example, and each example in help can be typed as it is.
func TestExamplesOfHelp(t *testing.T) {
	t.Parallel()
	p, addr := start(t, "-json")
	a := &answers{t: t, p: p}
	joinOwners(t, addr, 1)
	join(t, addr, 3)
	var commands []struct {
		Name, Help, More string
		Examples         []string
	}
	p.Type("help")
	a.next(&commands)
	var lines []string
	for _, name := range []string{"setup-overlay", "start"} { // the other commands need these
		for _, c := range commands {
			if c.Name == name {
				lines = append(lines, c.Examples...)
			}
		}
	}
	for _, c := range commands {
		if len(c.Examples) == 0 || c.Help == "" || c.More == "" {
			t.Errorf("%s is not explained: %+v", c.Name, c)
		}
		if c.Name != "quit" {
			lines = append(lines, c.Examples...)
		}
	}
	if len(lines) < 30 {
		t.Errorf("examples: %q", lines)
	}
	for _, line := range lines {
		p.Type(line)
		count := 1
		if strings.HasPrefix(line, "watch ") {
			fmt.Sscanf(line, "watch %d", &count)
		}
		for ; count > 0; count-- {
			var document any
			got := a.next(&document)
			d, ok := document.(map[string]any)
			if ok && d["error"] != nil {
				t.Errorf("%s: %s", line, got)
			}
			if strings.HasPrefix(line, "watch start ") && d["verdict"] == nil {
				count++ // one second of the run
			}
		}
	}
	p.Type("quit")
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if rest := p.Stdout()[a.at:]; rest != "" {
		t.Errorf("more on stdout: %q", rest)
	}
}

func TestListings(t *testing.T) {
	t.Parallel()
	p, addr := start(t)
	p.Type("nodes", "events", "runs", "audit -json")
	p.Expect(`^No nodes are registered\.$`)
	p.Expect(`^Nothing has happened yet\.$`)
	p.Expect(`^There has been no traffic run yet: start one with start n\.$`)
	p.Expect(`^{"error":"there are no routing tables yet: run setup-overlay first"}$`)
	nodes := join(t, addr, 4)
	p.Type("setup 2", "start 1000", "list-nodes")
	p.Expect(`^ +ID  address  state +in all +now +in all +now  dropped  queued +heard$`)
	for range nodes {
		p.Expect(`^ *\d+  :\d+ +active +\d+ +[\d.]+k?/s +\d+ +[\d.]+k?/s +\d+ +\d.* B +\d+\.\d s ago$`)
	}
	p.Expect(`^All are at 127\.0\.0\.1\.$`)

	n := nodes[1]
	_, port, _ := strings.Cut(n.Peer().Addr, ":")
	for _, name := range []string{n.ID().String(), n.ID().String() + "*", n.Peer().Addr, ":" + port, "localhost:" + port} {
		p.Type("show-node " + name)
		p.Expect(fmt.Sprintf(`^Node %d, host 127\.0\.0\.1, port %s$`, n.ID(), port))
		p.Expect(`^  state +active$`)
		p.Expect(fmt.Sprintf(`^  incarnation +%d$`, n.Incarnation()))
		p.Expect(`^  epoch +1, the ring's is 1$`)
		p.Expect(`^link to  address +is +sent +queued$`)
		p.Expect(`^\d+ +127\.0\.0\.1:\d+  up  \d.*kB`)
		p.Expect(`^  windows +\d+ B +of .*B +0 %$`)
		p.Expect(`^  sent +1000$`)
	}
	p.Type("trace :" + port + " " + nodes[0].ID().String())
	p.Expect(fmt.Sprintf(`^From %d to %d:$`, n.ID(), nodes[0].ID()))

	p.Type("events 3")
	p.Expect(`^event  at +epoch  what +node  why$`)
	p.Expect(`^ +\d+  \d\d:\d\d:\d\d +1  set up `)
	p.Expect(`^ +\d+  \d\d:\d\d:\d\d +1  run started `)
	p.Expect(`^ +\d+  \d\d:\d\d:\d\d +1  run ended +run 1: exact$`)
	p.Type("runs")
	p.Expect(`^run  at +per node +each +in all +time +rate +mean  most  verdict$`)
	p.Expect(`^  1  \d\d:\d\d:\d\d +1000 +4 +4000  0\.\d+ s +\d.*/s  1\.\d+ +2  exact$`)
	p.Type("audit")
	p.Expect(`^epoch 1: 4 nodes with 2 entries, all 12 routes arrive`)
	p.Type("watch 1")
	p.Expect(`^\d\d:\d\d:\d\d  delivered +[\d.]+k?/s  relayed +[\d.]+k?/s  dropped \d+  4 active$`)

	p.Type("watch sta 1000")
	p.Expect(`^Verdict: exact$`)
	p.Type("watch setup", "watch 5 6", "watch sta", "watch sta x")
	p.ExpectError(`^watch: seconds must be a whole number of at least 1, not "setup" \(usage: watch \[seconds \| start n \[payload\]\]\)$`)
	p.ExpectError(`^watch: expected nothing after the seconds`)
	p.ExpectError(`^watch: give the number of messages after start`)
	p.ExpectError(`^watch: n must be a whole number of at least 1, not "x"`)

	if err := nodes[3].Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Type("wait 3", "audit", "events 1 -json")
	p.Expect(`^epoch \d+: 3 nodes with 2 entries, all 6 routes arrive`)
	p.Expect(fmt.Sprintf(`^\[{"seq":\d+,"time":"[^"]+","kind":"left","epoch":\d+,"node":{"id":%d,`, nodes[3].ID()))
	if n := strings.Count(p.Complaints(), "\n"); n != 4 {
		t.Errorf("complaints: %s", p.Stderr())
	}
}

// A listing with -json is a document on stdout, and notices go to stderr.
func TestListingsAsJSON(t *testing.T) {
	t.Parallel()
	p, addr := start(t)
	nodes := join(t, addr, 3)
	p.Type("setup best -json")
	p.ExpectError(ready)
	p.Type("start 10")
	p.Expect(`^Hops: .*\n`)
	a := &answers{t: t, p: p, at: len(p.Stdout())}

	var members []report.MemberDocument
	p.Type("nodes -json")
	if line := a.next(&members); len(members) != 3 || members[0].Rates == nil || members[0].State != status.StateActive ||
		members[0].Addr == "" || len(members[0].Links) != 2 || members[0].HeardAgo <= 0 {
		t.Errorf("nodes: %s", line)
	}
	var m report.MemberDocument
	p.Type(fmt.Sprintf("show-node -json %d", nodes[0].ID()))
	if line := a.next(&m); m.ID != nodes[0].ID() || m.Counters.Sent != 10 || m.Rates == nil {
		t.Errorf("show-node: %s", line)
	}
	var runs []status.Run
	p.Type("runs -json")
	if line := a.next(&runs); len(runs) != 1 || !runs[0].Exact {
		t.Errorf("runs: %s", line)
	}
	var audit status.Audit
	p.Type("audit -json")
	if line := a.next(&audit); !audit.OK() || audit.Nodes != 3 {
		t.Errorf("audit: %s", line)
	}
	var pairs report.DegradedDocument
	p.Type("degraded -json")
	if line := a.next(&pairs); line != `{"pairs":[],"sidelined":[]}` {
		t.Errorf("degraded: %s", line)
	}
	var sample struct {
		Members map[string]int
		Events  []status.Event
	}
	p.Type("watch 1 -json")
	if line := a.next(&sample); sample.Members["active"] != 3 || sample.Events == nil {
		t.Errorf("watch: %s", line)
	}
}
