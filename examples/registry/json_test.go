package main

import (
	"fmt"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/status"
)

// With -json each command prints one document, and nothing else is on stdout.
func TestJSON(t *testing.T) {
	p, addr := start(t, "-json")
	a := &answers{t: t, p: p}
	next := func(into any) { t.Helper(); a.next(into) }
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
	var audit status.Audit
	p.Type("setup 9")
	if next(&audit); !audit.OK() || audit.Nodes != 3 || audit.Entries != 2 {
		t.Errorf("audit %+v", audit)
	}
	p.ExpectError(`^The tables have 2 entries instead of 9`)
	p.ExpectError(ready)
	var tables []report.RoutesDocument
	p.Type("route")
	if next(&tables); len(tables) != 3 || len(tables[0].Entries) != 2 || tables[0].Addr == "" {
		t.Errorf("tables %+v", tables)
	}
	for _, line := range []string{"start 7", "summary"} {
		var s report.SummaryDocument
		p.Type(line)
		if next(&s); !s.Exact || s.Verdict != "exact" || s.Rate <= 0 || s.Sum.Sent != 21 || len(s.Nodes) != 3 || s.Wrong == nil {
			t.Errorf("%s: %+v %+v", line, s, s.Summary)
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
	if rest := p.Stdout()[a.at:]; rest != "" {
		t.Errorf("more on stdout: %q", rest)
	}
}
