package ringtest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
)

// BenchmarkAtRest measures what the processes of a ring of four cost while nothing is sent. Each
// node and the registry is a process of its own. An operation is a second:
//
//	go test -run '^$' -bench AtRest -benchtime 60x ./internal/ringtest
//
// The figures are shares of a core, by the scheduler's clock, and context switches a second. The
// default lease of 3 s holds.
func BenchmarkAtRest(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("it reads /proc")
	}
	registry := startRest(b, "registry")
	addr := registry.say(b, "listen")
	var nodes []*resting
	for range 4 {
		n := startRest(b, "node")
		n.say(b, addr)
		nodes = append(nodes, n)
	}
	registry.say(b, "setup")
	time.Sleep(5 * time.Second) // what begins with a node is over
	of := func(p ...*resting) (cpu, switches float64) {
		for _, p := range p {
			c, s := p.cost(b)
			cpu, switches = cpu+c/float64(len(nodes)), switches+s/float64(len(nodes))
		}
		return cpu, switches
	}
	nodeCPU, nodeSwitches := of(nodes...)
	regCPU, regSwitches := registry.cost(b)
	start := time.Now()
	for b.Loop() {
		time.Sleep(time.Second)
	}
	seconds := time.Since(start).Seconds()
	b.ReportMetric(0, "ns/op")
	cpu, switches := of(nodes...)
	b.ReportMetric(100*(cpu-nodeCPU)/seconds, "%core/node")
	b.ReportMetric((switches-nodeSwitches)/seconds, "switches/s/node")
	cpu, switches = registry.cost(b)
	b.ReportMetric(100*(cpu-regCPU)/seconds, "%core/registry")
	b.ReportMetric((switches-regSwitches)/seconds, "switches/s/registry")
}

// resting is a process of the ring. It answers each line with one.
type resting struct {
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Scanner
}

// restRole says in a process's environment what it is.
const restRole = "RINGDHT_TEST_REST"

func startRest(b *testing.B, role string) *resting {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), restRole+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	return &resting{cmd, in, bufio.NewScanner(out)}
}

func (p *resting) say(b *testing.B, line string) (answer string) {
	b.Helper()
	fmt.Fprintln(p.in, line)
	if !p.out.Scan() {
		b.Fatal("a process has ended: ", p.out.Err())
	}
	return p.out.Text()
}

// cost is the CPU time of a process's threads in seconds, and how often they were switched.
func (p *resting) cost(b *testing.B) (cpu, switches float64) {
	b.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.cmd.Process.Pid))
	if err != nil || len(tasks) == 0 {
		b.Fatal("no threads: ", err)
	}
	for _, task := range tasks {
		var ran, waited, slices float64
		stat, err := os.ReadFile(filepath.Join(task, "schedstat"))
		if err == nil {
			_, err = fmt.Sscan(string(stat), &ran, &waited, &slices)
		}
		if err != nil {
			b.Fatal(err)
		}
		cpu += ran / 1e9
		status, err := os.ReadFile(filepath.Join(task, "status"))
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(string(status)) {
			var n float64
			if name, count, _ := strings.Cut(line, ":"); strings.HasSuffix(name, "_ctxt_switches") {
				fmt.Sscan(count, &n)
				switches += n
			}
		}
	}
	return cpu, switches
}

// restProcess is the main function of such a process.
func restProcess(role string) {
	ctx := context.Background()
	var registry *ringdht.Registry
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		line, answer := in.Text(), "done"
		var err error
		switch {
		case role == "node":
			var n *ringtest.Node
			if n, err = ringtest.Join(ctx, line, nil, ringdht.WithListen("127.0.0.1:0")); err == nil {
				defer n.Close()
			}
		case line == "listen":
			if registry, err = ringdht.NewRegistry(); err == nil {
				defer registry.Close()
				var at fmt.Stringer
				if at, err = registry.Listen(ctx, "127.0.0.1:0"); err == nil {
					answer = at.String()
				}
			}
		default:
			_, err = registry.Setup(ctx, 0)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		fmt.Println(answer)
	}
}
