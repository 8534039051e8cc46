package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/report"
)

// With -json each command prints one document, and nothing else is on stdout.
func TestJSON(t *testing.T) {
	p, addr := start(t, "-json")
	at := 0
	next := func(into any) {
		t.Helper()
		p.Expect(`^.*\n`)
		line, _, _ := strings.Cut(p.Stdout()[at:], "\n")
		at += len(line) + 1
		if err := json.Unmarshal([]byte(line), into); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	var failed struct{ Error string }
	for _, line := range []string{"foo", "start", "start 5", "trace 1 2", "route", "summary"} {
		p.Type(line)
		failed.Error = ""
		next(&failed)
		if failed.Error == "" {
			t.Errorf("%s does not fail", line)
		}
	}
	var peers []ringdht.Peer
	p.Type("list")
	if next(&peers); peers == nil || len(peers) != 0 {
		t.Errorf("no nodes are listed as %v", peers)
	}
	nodes := join(t, addr, 3)
	p.Type("wait 3")
	var count registered
	if next(&count); count.Registered != 3 {
		t.Errorf("wait says %+v", count)
	}
	p.Type("list")
	if next(&peers); len(peers) != 3 || peers[0].Addr == "" {
		t.Errorf("listed %v", peers)
	}
	var audit ringdht.Audit
	p.Type("setup 9")
	if next(&audit); !audit.OK() || audit.Nodes != 3 || audit.Entries != 2 {
		t.Errorf("audit %+v", audit)
	}
	p.ExpectError(`^k was cut from 9 to 2`)
	p.ExpectError(ready)
	var tables []report.RoutesDocument
	p.Type("route")
	if next(&tables); len(tables) != 3 || len(tables[0].Entries) != 2 || tables[0].Addr == "" {
		t.Errorf("tables %+v", tables)
	}
	for _, line := range []string{"start 7", "summary"} {
		var a report.SummaryDocument
		p.Type(line)
		if next(&a); !a.Exact || a.Verdict != "exact" || a.Rate <= 0 || a.Sum.Sent != 21 || len(a.Nodes) != 3 || a.Wrong == nil {
			t.Errorf("%s: %+v %+v", line, a, a.Summary)
		}
	}
	var way report.TraceDocument
	p.Type(fmt.Sprintf("trace %d %d", nodes[0].ID(), nodes[2].ID()))
	if next(&way); way.From != nodes[0].ID() || len(way.Hops) != 1 || way.Hops[0].ID != nodes[2].ID() {
		t.Errorf("trace %+v", way)
	}
	var commands []struct {
		Name     string
		Examples []string
	}
	p.Type("help")
	if next(&commands); len(commands) < 10 || commands[0].Name != "list-messaging-nodes" || commands[0].Examples[0] == "" {
		t.Errorf("help is %+v", commands)
	}
	p.Type("quit")
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if rest := p.Stdout()[at:]; rest != "" {
		t.Errorf("more on stdout: %q", rest)
	}
}
