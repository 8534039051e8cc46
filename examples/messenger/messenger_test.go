package main

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/drive"
	"github.com/x/ringdht/status"
)

// newRegistry starts a registry and returns its address. By default no machine is so busy that a node seems dead.
func newRegistry(t *testing.T, opts ...ringdht.RegistryOption) (*ringdht.Registry, string) {
	t.Helper()
	r, err := ringdht.NewRegistry(append([]ringdht.RegistryOption{ringdht.WithLease(30 * time.Second)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	at, err := r.Listen(t.Context(), "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	return r, at.String()
}

// start starts a messenger. It returns its ID when it reports that it is the nth node.
func start(t *testing.T, nth int, args ...string) (*drive.Program, ringdht.ID) {
	t.Helper()
	p := drive.Start(t, run, args...)
	p.Expect(fmt.Sprintf(`^Registration request successful\. The number of messaging nodes currently constituting the overlay is \(%d\)$`, nth))
	id, err := strconv.ParseUint(p.Expect(`^This is node (\d+) at \S+:\d+\.$`)[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return p, ringdht.ID(id)
}

func TestSession(t *testing.T) {
	r, addr := newRegistry(t)
	var all []*drive.Program
	var ids []ringdht.ID
	for i := range 4 {
		p, id := start(t, i+1, "-wait", "0", addr)
		all, ids = append(all, p), append(ids, id)
	}
	a, b := all[0], all[1]

	a.Type("print")
	a.Expect(`^Overlay: the overlay is not set up yet$`)
	a.Type("table")
	a.ExpectError(`^there is no routing table yet: run setup-overlay at the registry$`)
	a.Type(fmt.Sprintf("send %d too early", ids[1]))
	a.ExpectError(`^the overlay is not set up yet: type setup-overlay at the registry$`)

	if _, err := r.Setup(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	a.Type(fmt.Sprintf("send %d hello,  you   there ", ids[1]))
	a.Expect(fmt.Sprintf(`^Sent to %d\.$`, ids[1]))
	b.Expect(fmt.Sprintf(`^Message from %d \(\d hops?\): hello,  you   there$`, ids[0]))
	b.Type(fmt.Sprintf("send %d ünïcode", ids[0]))
	a.Expect(fmt.Sprintf(`^Message from %d \(\d hops?\): ünïcode$`, ids[1]))
	a.Type(fmt.Sprintf("send %d \x1b[2Jboo", ids[0])) // to itself
	a.Expect(fmt.Sprintf(`^Message from %d \(0 hops\): "\\x1b\[2Jboo"$`, ids[0]))

	a.Type("table")
	a.Expect(fmt.Sprintf(`^Node %d, host \S+, port \d+$`, ids[0]))
	a.Expect(`^ +2 +\d+ +\S+ +\d+$`)
	a.Type(fmt.Sprintf("trace %d", ids[2]))
	a.Expect(fmt.Sprintf(`^From %d to %d:$`, ids[0], ids[2]))
	a.Expect(fmt.Sprintf(`^ +\d +%d +\d+\.\d+ ms$`, ids[2]))

	s, err := r.RunTraffic(t.Context(), status.Traffic{Messages: 100})
	if err != nil || !s.Exact() || s.Sum.Sent != 400 {
		t.Fatalf("run: %v, %+v", err, s)
	}
	a.Type("print-counters-and-diagnostics")
	a.Expect(fmt.Sprintf(`^Node %d at \S+, registry at \S+$`, ids[0]))
	a.Expect(`^Overlay: epoch 1, 2 routing table entries, 4 nodes in all$`)
	a.Expect(`^ +run 1, +all$`)
	a.Expect(`^In traffic runs +the latest +1 run$`)
	for _, n := range s.Nodes {
		if n.ID == ids[0] {
			for _, figure := range []struct {
				name  string
				value int64
			}{{"packets sent", n.Sent}, {"packets received", n.Received}, {"packets relayed", n.Relayed},
				{"sum of values sent", n.SumSent}, {"sum of values received", n.SumReceived}} {
				a.Expect(fmt.Sprintf(`^  %s +%d +%d$`, figure.name, figure.value, figure.value))
			}
		}
	}
	a.Expect(`^  sent +102$`)

	if n := len(r.Members()); n != 4 {
		t.Errorf("%d members", n)
	}
	a.Type("exit-overlay")
	a.Expect(`^exited overlay$`)
	b.Interrupt()
	b.Expect(`^exited overlay$`)
	for _, p := range []*drive.Program{a, b} {
		if status := p.Status(); status != 0 {
			t.Errorf("exit status %d: %s", status, p.Stderr())
		}
	}
	if n := len(r.Members()); n != 2 { // deregistered before they ended
		t.Errorf("%d members after two left", n)
	}
}

func TestMistakes(t *testing.T) {
	r, addr := newRegistry(t)
	p, id := start(t, 1, addr)
	start(t, 2, addr)
	if _, err := r.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	nobody := id
	for nobody == id || nobody == r.Members()[0].ID || nobody == r.Members()[1].ID {
		nobody = (nobody + 1) % (1 << 16)
	}
	for _, c := range []struct{ line, want string }{
		{"foo", `^unknown command "foo": type help for the list$`},
		{"send", `^send: expected node text \(usage: send node text\)$`},
		{"send 5", `^send: expected node text`},
		{"send you hello", `^send: no node matches "you"`},
		{fmt.Sprintf("send %d hello", nobody), `^node \d+: .*nobody|no such node|no node`},
		{"send 5 " + strings.Repeat("x", 100_000), `65536`},
		{"trace", `^trace: expected node`},
		{"trace me", `^trace: no node matches`},
		{fmt.Sprintf("trace %d", nobody), fmt.Sprintf(`^node \d+: tracing the route to %d: no such node: .*; the registry lists its members$`, nobody)},
		{"table 5", `^table: expected no arguments`},
		{"exit now", `^exit-overlay: expected no arguments`},
	} {
		p.Type(c.line)
		p.ExpectError(c.want)
	}
	p.Type("help")
	p.Expect(`^exit-overlay +exit `)
	p.Expect(`^help `)
}

// The list of nodes says why some have no host.
func TestNodesWithoutHosts(t *testing.T) {
	r, addr := newRegistry(t)
	p, _ := start(t, 1, addr)
	const why = "This node knows the hosts of its table's entries, and of those next to it."
	nodes := 1
	for _, want := range []int{3, 9} { // it knows the hosts of two, and not of eight
		for ; nodes < want; nodes++ {
			start(t, nodes+1, addr)
		}
		if _, err := r.Setup(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		p.Type(fmt.Sprint("wait ", want), "nodes", "table")
		p.Expect(`^entry `)
		if said := strings.Contains(p.Stdout(), why); said != (want == 9) {
			t.Errorf("%d nodes: %v, in\n%s", want, said, p.Stdout())
		}
	}
}

func TestEndOfInput(t *testing.T) {
	r, addr := newRegistry(t)
	p, _ := start(t, 1, "-log", "info", addr)
	p.EOF()
	p.Expect(`^End of input`)
	if n := len(r.Members()); n != 1 {
		t.Errorf("%d members after the end of input", n)
	}
	p.Interrupt()
	p.Expect(`^exited overlay$`)
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if n := len(r.Members()); n != 0 {
		t.Errorf("%d members after the interrupt", n)
	}
}

func TestRegistryLost(t *testing.T) {
	r, addr := newRegistry(t)
	p, _ := start(t, 1, addr)
	q, id := start(t, 2, addr)
	if _, err := r.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	r.Close()
	for _, p := range []*drive.Program{p, q} {
		p.Expect(`^The registry at \S+ cannot be reached\. `)
	}
	p.Type(fmt.Sprintf("send %d still here", id), "print")
	q.Expect(`: still here$`)
	p.Expect(`, which cannot be reached$`)
	p.Type("exit")
	p.Expect(`^exited overlay$`)
	if status := p.Status(); status != 0 || p.Complaints() != "" {
		t.Errorf("exit status %d, stderr %q", status, p.Stderr())
	}
}

func TestCannotJoin(t *testing.T) {
	free, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := free.Addr().String()
	free.Close()
	taken, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, addr := newRegistry(t)
	_, full := newRegistry(t, ringdht.WithBits(1))
	start(t, 1, full)
	start(t, 2, full)
	for _, c := range []struct {
		args   string
		status int
		stderr string
	}{
		{"-wait 0 " + nobody, 1, `^messenger: joining the registry at ` + nobody + `: .*connection refused: is the registry running there\?$`},
		{"-codec json " + addr, 1, `^messenger: joining the registry at .* codec "msgpack", you asked for "json"`},
		{"-ring other " + addr, 1, `^messenger: joining the registry at .* ring "ring", you asked for "other"`},
		{"-listen " + taken.Addr().String() + " " + addr, 1, `^messenger: .*address already in use: another program listens there, .*choose another port$`},
		{"-advertise " + nobody + " " + addr, 1, `^messenger: .*cannot be reached: .*-advertise`},
		{full, 1, `^messenger: .*the ring is full: all 2 IDs .*-bits`},
		{"", 2, `^messenger: expected one argument, the host:port of the registry or a join line, got 0 \(messenger -h prints the manual\)$`},
		{addr + " -log debug", 2, `^messenger: put the flag -log before`},
		{"-codec xml " + addr, 2, `^messenger: invalid value "xml" for flag -codec: expected msgpack or json`},
		{"-wait -1s " + addr, 2, `^messenger: -wait must be at least 0, not -1s`},
		{"-id x " + addr, 2, `^messenger: invalid value "x" for flag -id: expected a whole number`},
		{"-id 70000 " + addr, 1, `^messenger: .*no ID 70000 in a 16-bit ring`},
		{"localhost:x", 2, `^messenger: expected a port or host:port`},
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
	p.Expect(`^usage: messenger`)
	if status := p.Status(); status != 0 {
		t.Errorf("-h: exit status %d", status)
	}
}

// The first command of a messenger that joins a live ring can be send, even if the ring has
// not given it a table yet. Before the overlay is set up, it reports that.
func TestSendsAtOnce(t *testing.T) {
	t.Parallel()
	r, addr := newRegistry(t)
	a, id := start(t, 1, addr)
	if _, err := r.Setup(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		p := drive.Start(t, run, addr)
		p.Type(fmt.Sprintf("send %d hi", id), fmt.Sprintf("trace %d", id), "exit")
		if status := p.Status(); status != 0 || p.Complaints() != "" {
			t.Fatalf("exit status %d, stderr %q", status, p.Stderr())
		}
		a.Expect(`^Message from \d+ \(1 hop\): hi$`)
	}
}
