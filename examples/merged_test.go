//go:build unix

package examples_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// secureRing starts a registry whose ring sets itself up, and returns its join line.
func secureRing(t *testing.T, bin, lease string) (line string) {
	t.Helper()
	registry := start(t, "registry", filepath.Join(bin, "registry"), "-secure", "-setup", "auto", "-lease", lease, "-grace", "10ms", "-log", "error", "127.0.0.1:0")
	_, groups := registry.expect(`^Join with: .*(rdht1:\S+)$`)
	return groups[1]
}

// startMerged starts a program whose input is a file, if it has a name. Its lines are those of both
// outputs.
func startMerged(t *testing.T, name, input, binary string, args ...string) *process {
	t.Helper()
	lines := make(chan string, 1000)
	p := &process{t: t, name: name, cmd: exec.Command(binary, args...), lines: lines}
	if input != "" {
		f, err := os.Open(input)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p.cmd.Stdin = f
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.cmd.Stdout
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill() // also one that is stopped
		p.cmd.Wait()
	})
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// ends demands an exit status, and that the last lines match. It returns them.
func (p *process) ends(status int, pattern string) (rest []string) {
	p.t.Helper()
	stuck := time.AfterFunc(2*time.Minute, func() { p.cmd.Process.Kill() })
	for line := range p.lines {
		rest = append(rest, line)
	}
	stuck.Stop()
	p.cmd.Wait()
	text := strings.Join(rest, "\n")
	if got := p.cmd.ProcessState.ExitCode(); got != status || !regexp.MustCompile("(?m)"+pattern).MatchString(text) {
		p.t.Errorf("%s ended with status %d, expected %d and %q; its last lines are\n%s", p.name, got, status, pattern, text)
	}
	return rest
}
