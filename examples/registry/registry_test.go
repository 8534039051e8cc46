package main

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/drive"
)

const ready = `^Registry now ready to initiate tasks\.$`

// start starts a registry on a free port and returns its address.
func start(t *testing.T, flags ...string) (*drive.Program, string) {
	t.Helper()
	p := drive.Start(t, run, append(flags, "localhost:0")...)
	expect := p.Expect
	for _, f := range flags {
		if f == "-json" || f == "-csv" {
			expect = p.ExpectError
		}
	}
	return p, expect(`^Registry listening on (\S+:\d+)$`)[1]
}

// join adds nodes until the test ends.
func join(t *testing.T, addr string, count int, opts ...ringdht.NodeOption) []*ringdht.Node {
	t.Helper()
	nodes := make([]*ringdht.Node, count)
	for i := range nodes {
		n := ringdht.NewNode(append(opts, ringdht.WithTraffic())...)
		if err := n.Join(t.Context(), addr); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		nodes[i] = n
	}
	return nodes
}

// The page is read-only without -control.
func TestPage(t *testing.T) {
	p, _ := start(t, "-http", "localhost:0")
	url := p.Expect(`^Page at (http://localhost:\d+/)$`)[1]
	for path, status := range map[string]int{"": 200, "snapshot.json": 200, "events": 200} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() // the stream of events stays open, and does not delay the end
		if resp.StatusCode != status {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	resp, err := http.Post(url+"setup", "application/json", strings.NewReader(`{"k":1}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("control is off: %s", resp.Status)
	}
	p.Interrupt()
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

func TestSession(t *testing.T) {
	p, addr := start(t)
	p.Type("list")
	p.Expect(`^No nodes are registered\.$`)
	p.Type("wait 4")
	nodes := join(t, addr, 4)
	p.Expect(`^4 nodes are registered\.$`)

	p.Type("list-messaging-nodes")
	p.Expect(`^host +port +ID$`)
	for range nodes {
		p.Expect(`^\S+ +\d+ +\d+$`)
	}

	p.Type("setup-overlay 2")
	p.Expect(`^epoch 1: 4 nodes with 2 entries, all 12 routes arrive`)
	p.Expect(ready)

	p.Type("list-routing-tables")
	for range nodes {
		p.Expect(`^Node \d+, host \S+, port \d+$`)
		p.Expect(`^ +1 +\d+ +\S+ +\d+$`)
		p.Expect(`^ +2 +\d+ +\S+ +\d+$`)
	}

	p.Type("start 100")
	p.Expect(`^ +packets +packets +packets +sum of values +sum of values\nnode +sent +received +relayed +sent +received$`)
	sum := p.Expect(`^Sum +400 +400 +\d+ +(-?\d+) +(-?\d+)$`)
	if sum[1] != sum[2] {
		t.Errorf("the sums are %s and %s", sum[1], sum[2])
	}
	p.Expect(`^Verdict: exact$`)
	p.Expect(`^Hops: mean \d\.\d+, maximum \d\. Rate: \d+ messages per second\. Time: \d+\.\d+ s\.$`)

	p.Type("summary")
	p.Expect(`^Sum +400 +400 `)
	p.Expect(`^Verdict: exact$`)

	p.Type("start 50 1000") // with counters from zero
	p.Expect(`^Sum +200 +200 `)
	p.Expect(`^Verdict: exact$`)

	a, b := nodes[0].ID(), nodes[1].ID()
	p.Type(fmt.Sprintf("trace %d %d", a, b))
	p.Expect(fmt.Sprintf(`^From %d to %d:$`, a, b))
	p.Expect(fmt.Sprintf(`^ *\d +%d +\d+\.\d+ ms$`, b))
	p.Type(fmt.Sprintf("trace %d %d", a, a))
	p.Expect(`to itself: no hops$`)

	p.Type("setup") // by default as many entries as are useful
	p.Expect(ready)
	join(t, addr, 1) // it takes part at once
	p.Type("start 10")
	p.Expect(`^Sum +50 +50 `)
	p.Expect(`^Verdict: exact$`)
	p.Type("degraded")
	p.Expect(`^All links are up\.$`)
	p.Type("setup 9")
	p.Expect(`^epoch \d+: 5 nodes with 3 entries`)
	p.Expect(`^The tables have 3 entries instead of 9: a ring of 5 nodes has no use for more\.$`)
	p.Expect(ready)
	p.Type("setup 9 best")
	p.Expect(`^epoch \d+: 5 nodes with 4 entries, .* hops mean 1\.000 `)
	p.Expect(`^The entries of a node are the nodes 1 2 3 4 positions ahead of it\.$`)
	p.Expect(`^The tables have 4 entries instead of 9: a ring of 5 nodes has no use for more\.$`)
	p.Type("setup best")
	p.Expect(`^epoch \d+: 5 nodes with 3 entries`)
	p.Expect(ready)

	p.Type("help")
	p.Expect(`^list-messaging-nodes +list `)
	p.Expect(`^help `)
	if err := p.Complaints(); err != "" {
		t.Errorf("complaints: %s", err)
	}
	p.Type("quit")
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	for _, n := range nodes {
		<-n.Disconnected() // the registry has said goodbye
	}
}

func TestMistakes(t *testing.T) {
	p, addr := start(t)
	for _, c := range []struct{ line, want string }{
		{"foo", `^unknown command "foo": type help for the list$`},
		{"Start 5", `^unknown command "Start": did you mean start\? \(help lists them all\)$`},
		{"strat 5", `^unknown command "strat": did you mean start\? \(help lists them all\)$`},
		{"list-n 5", `^list-nodes: expected no arguments \(usage: list-nodes\)$`},
		{"l", `^"l" is ambiguous: it can be list-messaging-nodes, list-routing-tables, .* or list-runs$`},
		{"start", `^start: expected n \[payload\] \[-csv\] \(usage: start n \[payload\] \[-csv\]\)$`},
		{"start many", `^start: n must be a whole number of at least 1, not "many" \(usage: `},
		{"start 0", `^start: n must be a whole number of at least 1, not "0"`},
		{"start 5 3", `^start: payload must be a whole number of at least 4, not "3"`},
		{"start 5 6 7", `^start: expected n `},
		{"start 99999999999999999999", `^start: n must be a whole number`},
		{"setup x", `^setup-overlay: k must be a whole number of at least 1, not "x" \(usage: setup-overlay \[k\] \[classic\|best\]\)$`},
		{"setup best 3", `^setup-overlay: expected a size and a plan, classic or best, not "3"`},
		{"setup 3 Best", `^setup-overlay: expected a size and a plan, classic or best, not "Best"`},
		{"setup 0 best", `^setup-overlay: k must be a whole number of at least 1, not "0"`},
		{"setup 3 best 4", `^setup-overlay: expected \[k\] \[classic\|best\]`},
		{"list all", `^list-messaging-nodes: expected no arguments`},
		{"trace 1", `^trace: expected a b \(usage: trace a b\)$`},
		{"trace 1 -2", `^trace: no node matches "-2": give an ID, an address, or a part of one, such as 42\* or :8080`},
		{"trace 1 2", `^tracing from 1: `},
		{"wait", `^wait: expected n`},
		{"start 5", `the overlay is not ready: it has not been set up: .*setup-overlay`},
		{"setup", `no nodes are registered`},
		{"route", `^there are no routing tables yet`},
		{"summary", `^there is no summary yet`},
		{"help me", `^unknown command "me"`},
		{"help me now", `^help: expected \[command\]`},
		{"show-node 5", `^no node has the ID 5: list-messaging-nodes lists`},
		{"audit", `^there are no routing tables yet: run setup-overlay first$`},
		{"watch", `^watch: give a number of seconds: without a terminal`},
		{"events 0", `^list-events: n must be a whole number of at least 1`},
	} {
		p.Type(c.line)
		p.ExpectError(c.want)
	}
	p.Type("", "  ", "# a comment", "\tlist\r")
	p.Expect(`^No nodes are registered\.$`)

	// It still works after all these errors. An error about too long a payload states the
	// maximum.
	join(t, addr, 2)
	p.Type("setup", "start 5 99999999")
	p.ExpectError(`a node sends 1 to \d+ messages, of 4 to \d+ bytes`)
	p.Type("start 5")
	p.Expect(`^Verdict: exact$`)
}

func TestEndOfInput(t *testing.T) {
	p, addr := start(t)
	p.EOF()
	p.Expect(`^End of input`)
	join(t, addr, 1) // it still serves
	p.Interrupt()
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("it still listens after its end")
	}
}

// A wait prints its progress each second, until it is interrupted.
func TestInterruptedCommand(t *testing.T) {
	t.Parallel()
	p, addr := start(t)
	join(t, addr, 1)
	p.Type("wait 3")
	p.Expect(`^waiting: 1 of 3 nodes are registered$`)
	p.Interrupt()
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	p.Expect(`^Interrupted: wait 3$`)
}

// An interrupted run does not delay the end of the program.
func TestInterruptedRun(t *testing.T) {
	t.Parallel()
	p, addr := start(t)
	join(t, addr, 2)
	p.Type("setup")
	p.Expect(ready)
	p.Type("start 2000000000")
	p.Expect(`^sent \d+ of 4000000000 messages \(\d+ %\)$`)
	p.Interrupt()
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

func TestCodec(t *testing.T) {
	p, addr := start(t, "-codec", "json", "-log", "error")
	if n := ringdht.NewNode(); n.Join(t.Context(), addr) == nil {
		n.Close()
		t.Error("a node with another codec was admitted")
	}
	join(t, addr, 2, ringdht.WithCodec(ringdht.JSON()))
	p.Type("setup", "start 10")
	p.Expect(`^Verdict: exact$`)
}

func TestLogs(t *testing.T) {
	p, addr := start(t, "-log", "info", "-ring", "a", "-bits", "1")
	join(t, addr, 2, ringdht.WithRing("a"))
	p.ExpectError(`level=INFO msg=joined`)
	if err := ringdht.NewNode(ringdht.WithRing("a")).Join(t.Context(), addr); err == nil || !strings.Contains(err.Error(), "-bits") {
		t.Errorf("a full ring answers %v", err)
	}
}

func TestRefusesToStart(t *testing.T) {
	taken, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		args   string
		status int
		stderr string
	}{
		{taken.Addr().String(), 1, `^registry: listen tcp .*address already in use: another program listens there, .*choose another port$`},
		{"", 2, `^registry: expected one argument, a port or host:port to listen on, got 0 \(registry -h prints the manual\)$`},
		{"1 2", 2, `^registry: expected one argument`},
		{"localhost:0 -json", 2, `^registry: put the flag -json before the address`},
		{"-bits 65 localhost:0", 2, `^registry: -bits: an ID has 1 to 64 bits, not 65`},
		{"-bits x localhost:0", 2, `^registry: invalid value "x" for flag -bits`},
		{"-codec xml localhost:0", 2, `^registry: invalid value "xml" for flag -codec: expected msgpack or json`},
		{"-log loud localhost:0", 2, `^registry: invalid value "loud" for flag -log: expected debug`},
		{"-port 5", 2, `^registry: flag provided but not defined: -port`},
		{"65536", 2, `^registry: expected a port or host:port with a port from 0 to 65535, got "65536"`},
		{"-http nowhere:port 0", 2, `^registry: invalid value "nowhere:port" for flag -http: expected a port or host:port`},
		{"-wait 3 0", 2, `^registry: -wait needs -setup: `},
		{"-validity 1h 0", 2, `^registry: -validity needs -secure: `},
		{"-setup 3 -wait -3 0", 2, `^registry: -wait must be at least 1, not -3`},
		{"-setup much 0", 2, `^registry: invalid value "much" for flag -setup: k must be a whole number`},
		{"-json -csv 0", 2, `^registry: give -json or -csv, not both`},
		{"-max-payload 3 0", 2, `^registry: -max-payload: 3 is not between 4 and 8388608 bytes`},
		{"-control 0", 2, `^registry: -control needs -http`},
		{"localhost:http:", 2, `^registry: expected a port or host:port, got "localhost:http:"`},
	} {
		p := drive.Start(t, run, strings.Fields(c.args)...)
		if status := p.Status(); status != c.status {
			t.Errorf("%s: exit status %d, want %d", c.args, status, c.status)
		}
		if e := p.Complaints(); !regexp.MustCompile(c.stderr).MatchString(strings.TrimSuffix(e, "\n")) || strings.Count(e, "\n") != 1 {
			t.Errorf("%s: stderr is %q", c.args, e)
		}
		if out := p.Stdout(); out != "" {
			t.Errorf("%s: stdout is %q", c.args, out)
		}
	}
	p := drive.Start(t, run, "-h")
	p.Expect(`^usage: registry`)
	p.Expect(`^  -bits n$`)
	if status := p.Status(); status != 0 {
		t.Errorf("-h: exit status %d", status)
	}
}
