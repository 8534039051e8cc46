package main

import (
	"context"
	"encoding/csv"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
)

// A registry says how to join its ring, from this machine and from others.
func TestInvitation(t *testing.T) {
	flags := flagsToJoin("two words", "json")
	for _, c := range []struct {
		at, outside string
		flags       []string
		want        string
	}{
		{"[::]:12345", "192.0.2.7", nil, "To join from this machine:  m localhost:12345; To join from another one:   m 192.0.2.7:12345"},
		{"0.0.0.0:80", "fd00::1", flags, "To join from this machine:  m -ring 'two words' -codec json localhost:80; " +
			"To join from another one:   m -ring 'two words' -codec json [fd00::1]:80"},
		{"[::]:12345", "", nil, "To join from this machine:  m localhost:12345"},
		{"127.0.0.1:5", "", nil, "To join, from this machine only: m localhost:5"},
		{"127.0.0.2:5", "", nil, "To join, from this machine only: m 127.0.0.2:5"},
		{"[::1]:5", "", nil, "To join, from this machine only: m [::1]:5"},
		{"192.0.2.7:5", "", nil, "To join: m 192.0.2.7:5"},
	} {
		at, err := net.ResolveTCPAddr("tcp", c.at)
		if err != nil {
			t.Fatal(err)
		}
		i := invitation{strings.Join(append([]string{"m"}, c.flags...), " "), at, c.outside}
		if got := strings.Join(i.lines(), "; "); got != c.want {
			t.Errorf("at %s: %q, want %q", c.at, got, c.want)
		}
	}
	if flags := flagsToJoin("ring", "msgpack"); len(flags) > 0 {
		t.Errorf("the usual ring needs %q", flags)
	}
	if q := quoted("it's"); q != `'it'\''s'` {
		t.Errorf("quoted: %s", q)
	}
}

// The command for a messenger is the one that fits how the registry was started.
func TestMessengerCommand(t *testing.T) {
	for _, c := range []struct{ self, there, want string }{
		{"/tmp/go-build123/b001/exe/registry", "examples/messenger", "go run ./examples/messenger"},
		{"/tmp/go-build123/b001/exe/registry", "../messenger", "go run ../messenger"},
		{"/root/.cache/go-build/ab/registry", "", "go run github.com/x/ringdht/examples/messenger@latest"},
		{"./registry", "messenger", "./messenger"},
		{"./registry", "../messenger/messenger", "../messenger/messenger"},
		{"bin/registry", "bin/messenger", "./bin/messenger"},
		{"/opt/ring/registry", "/opt/ring/messenger", "/opt/ring/messenger"},
		{"/opt/my ring/registry", "/opt/my ring/messenger", "'/opt/my ring/messenger'"},
		{"./registry", "", "messenger"},
		{"registry", "messenger", "messenger"},
	} {
		exists := func(path string) bool { return c.there != "" && filepath.ToSlash(path) == c.there }
		if got := messengerCommand(c.self, exists); got != c.want {
			t.Errorf("%s, with %s: %q, want %q", c.self, c.there, got, c.want)
		}
	}
}

// With -csv stdout is one table, whatever else the registry says.
func TestCSV(t *testing.T) {
	t.Parallel()
	p, addr := start(t, "-csv")
	p.ExpectError(`^To join, from this machine only: .*messenger localhost:\d+$`)
	join(t, addr, 3)
	p.Type("wait 3", "list", "setup 2", "start 10", "summary -json", "start 20 100", "summary", "exit")
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	stdout := p.Stdout()
	if a := strings.Index(stdout, "{"); a < 0 {
		t.Errorf("summary -json is missing in %s", stdout)
	} else {
		stdout = stdout[:a] + stdout[a+strings.Index(stdout[a:], "\n")+1:]
	}
	rows, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if err != nil || len(rows) != 1+3*4 || rows[0][0] != "run" || rows[4][1] != "Sum" || rows[4][4] != "30" || rows[8][0] != "2" || rows[8][4] != "60" || rows[8][15] != "exact" || rows[12][4] != "60" {
		t.Errorf("%v: %q", err, rows)
	}
	for _, want := range []string{"3 nodes are registered.\n", "host  ", "all 6 routes arrive", "Registry now ready"} {
		if !strings.Contains(p.Stderr(), want) {
			t.Errorf("no %q on stderr: %s", want, p.Stderr())
		}
	}
}

// A single command takes -csv as well.
func TestCSVOfOneCommand(t *testing.T) {
	t.Parallel()
	p, addr := start(t)
	join(t, addr, 2)
	p.Type("setup", "start 10 -csv", "summary -csv", "summary", "summary 5", "start -csv")
	for range 2 {
		p.Expect(`^run,node,address,.*,verdict$`)
		p.Expect(`^1,Sum,,,20,20,0,-?\d+,-?\d+,0,0,1\.000000,1,\d+,\d\.\d+,exact$`)
	}
	p.Expect(`^Sum +20 +20 `)
	p.ExpectError(`^summary: expected -csv or nothing`)
	p.ExpectError(`^start: expected n `)
}

// With -setup and -wait the overlay is set up when the nodes are there, and a script's commands
// come after that.
func TestSetupByFlags(t *testing.T) {
	t.Parallel()
	p, addr := start(t, "-setup", "2 best", "-wait", "3")
	join(t, addr, 3)
	p.Type("start 10")
	p.Expect(`^3 nodes are registered\.$`)
	p.Expect(`^epoch 1: 3 nodes with 2 entries`)
	p.Expect(`^The entries of a node are the nodes 1 2 positions ahead of it\.$`)
	p.Expect(ready)
	p.Expect(`^Verdict: exact$`)
}

// With -setup alone the ring sets itself up from the first node on.
func TestSelfSetup(t *testing.T) {
	t.Parallel()
	p, addr := start(t, "-setup", "auto", "-state", t.TempDir(), "-grace", "100ms")
	nodes := join(t, addr, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, n := range nodes {
		if err := n.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	p.Type("audit", "start 10")
	p.Expect(`^epoch \d+: 3 nodes with 2 entries, all 6 routes arrive`)
	p.Expect(`^Verdict: exact$`)
}

func TestMaxPayload(t *testing.T) {
	t.Parallel()
	p, addr := start(t, "-max-payload", "100")
	if n := join(t, addr, 2)[0].MaxPayload(); n != 100 {
		t.Errorf("the longest message is %d", n)
	}
	p.Type("setup", "start 5 101", "start 5 100")
	p.ExpectError(`of 4 to 100 bytes`)
	p.Expect(`^Verdict: exact$`)
}

func TestTables(t *testing.T) {
	for _, c := range []struct {
		text, command string
		k             int
		plan          ringdht.Plan
	}{
		{"auto", "setup-overlay", 0, ringdht.Classic}, {"3", "setup-overlay 3", 3, ringdht.Classic},
		{"10 best", "setup-overlay 10 best", 10, ringdht.FewestHops}, {"best", "setup-overlay best", 0, ringdht.FewestHops},
		{"auto best", "setup-overlay best", 0, ringdht.FewestHops}, {"3 classic", "setup-overlay 3", 3, ringdht.Classic},
		{"", "", 0, 0}, {"0", "", 0, 0}, {"many", "", 0, 0}, {"3 4", "", 0, 0}, {"auto 3 4", "", 0, 0},
	} {
		var tables tables
		err := tables.parse(c.text)
		if c.command == "" {
			if err == nil {
				t.Errorf("%q is %+v", c.text, tables)
			}
			continue
		}
		if err != nil || tables.k != c.k || tables.plan != c.plan || tables.command() != c.command {
			t.Errorf("%q is %+v, %q, %v", c.text, tables, tables.command(), err)
		}
	}
}
