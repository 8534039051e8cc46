// Package examples_test runs the programs as people do: a registry and ten messengers, each a
// process of its own, over TCP; and the small examples.
package examples_test

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a running program and its output, line by line.
type process struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string
}

func start(t *testing.T, name, binary string, args ...string) *process {
	t.Helper()
	return startWith(t, os.Stderr, name, binary, args...)
}

// startWith starts a program with the given standard error.
func startWith(t *testing.T, stderr *os.File, name, binary string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(binary, args...), lines: make(chan string, 1000)}
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	return p
}

func (p *process) enter(line string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.stdin, line); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// expect reads lines up to one that matches. It returns the lines and the groups of the
// match.
func (p *process) expect(pattern string) (lines, groups []string) {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	for timeout := time.After(2 * time.Minute); ; {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("%s ended before it printed %q; it printed\n%s", p.name, pattern, strings.Join(lines, "\n"))
			}
			lines = append(lines, line)
			if groups := re.FindStringSubmatch(line); groups != nil {
				return lines, groups
			}
		case <-timeout:
			p.t.Fatalf("%s does not print %q; it printed\n%s", p.name, pattern, strings.Join(lines, "\n"))
		}
	}
}

// exits demands that the process ends by itself with status 0.
func (p *process) exits() {
	p.t.Helper()
	for range p.lines {
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%s: %v", p.name, err)
	}
}

// built is where build puts the programs. Linking them takes seconds, so all tests share them.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// build builds the programs and returns their directory, which is for reading only.
func build(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "programs"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", built.dir, "./registry", "./messenger", "./ring", "./study", "./queue", "./web")
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%v: %w\n%s", build, err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

// removePrograms removes what build has made.
func removePrograms() {
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
}

func TestTenMessengerProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts eleven processes")
	}
	bin := build(t)
	registry := start(t, "registry", filepath.Join(bin, "registry"), "127.0.0.1:0")
	_, groups := registry.expect(`listening on (127\.0\.0\.1:\d+)`)
	var messengers []*process
	ids := make([]string, 10)
	for i := range ids {
		m := start(t, fmt.Sprint("messenger ", i), filepath.Join(bin, "messenger"), groups[1])
		_, g := m.expect(`^Registration request successful\. The number of messaging nodes currently constituting the overlay is \((\d+)\)$`)
		if g[1] != fmt.Sprint(i+1) {
			t.Errorf("messenger %d was told of %s members", i, g[1])
		}
		_, g = m.expect(`node (\d+) at`)
		ids[i] = g[1]
		messengers = append(messengers, m)
	}
	registry.enter("wait 10")
	registry.enter("list-messaging-nodes")
	registry.enter("setup-overlay 3")
	lines, _ := registry.expect(`^Registry now ready to initiate tasks\.$`)
	for _, id := range ids {
		if !strings.Contains(strings.Join(lines, "\n"), id) {
			t.Errorf("node %s is not listed:\n%s", id, strings.Join(lines, "\n"))
		}
	}
	for _, messages := range []int{25000, 100000} {
		registry.enter(fmt.Sprint("start ", messages))
		_, sum := registry.expect(`^Sum +(\d+) +(\d+) +(\d+) +(-?\d+) +(-?\d+)$`)
		registry.expect(`^Verdict: exact$`)
		want := fmt.Sprint(10 * messages)
		if sum[1] != want || sum[2] != want || sum[4] != sum[5] {
			t.Errorf("start %d: %s", messages, sum[0])
		}
		var relayed, mean float64
		fmt.Sscan(sum[3], &relayed)
		mean = float64(10*messages) * (17.0/9 - 1)
		if math.Abs(relayed-mean) > 0.03*mean {
			t.Errorf("start %d: relayed %v, want %.0f within 3 %%", messages, relayed, mean)
		}
		registry.expect(`^Hops: mean 1\.\d+, maximum 3\.`)
	}
	messengers[0].enter("send " + ids[9] + " hello there")
	messengers[9].expect(`Message from ` + ids[0] + `.*hello there`)
	messengers[0].enter("trace " + ids[9])
	messengers[0].expect(`^ *\d+ +` + ids[9])

	messengers[0].enter("exit-overlay")
	messengers[0].expect(`^exited overlay$`)
	messengers[0].exits()
	messengers[1].cmd.Process.Signal(syscall.SIGINT)
	messengers[1].exits()
	registry.enter("start 10")
	registry.enter("list")
	registry.expect(ids[2])
	for _, m := range messengers[2:] {
		m.enter("exit")
		m.exits()
	}
	registry.enter("quit")
	registry.exits()
}
