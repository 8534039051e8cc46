//go:build unix

package examples_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	counterRounds = flag.Int("counter.rounds", 1, "how often TestCounterProgram restarts each owner: its README says 10")
	counterPause  = flag.Int("counter.pause", 0, "the `seconds` that it waits after each restart, as its README does not")
)

// blocks returns the blocks of a document that are in a language.
func blocks(text, language string) (all []string) {
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// The README of examples/counter is typed literally, but for the port and the number of rounds. It prints
// what the README says, but for the figures. The README has figures of
//
//	go test -v -run 'TestCounterProgram$' ./examples -counter.rounds 80
func TestCounterProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	readme, err := os.ReadFile("counter/README.md")
	if err != nil {
		t.Fatal(err)
	}
	script := strings.Join(blocks(string(readme), "sh"), "")
	_, port, _ := strings.Cut(freeAddr(t), ":")
	for old, by := range map[string]string{
		"12345":          port,
		"{1..10}":        fmt.Sprintf("{1..%d}", *counterRounds),
		"  done\ndone\n": fmt.Sprintf("    sleep %d\n  done\ndone\n", *counterPause),
	} {
		if !strings.Contains(script, old) {
			t.Fatalf("the README has no %q", old)
		}
		script = strings.ReplaceAll(script, old, by)
	}
	out := runScript(t, bash, script)
	t.Logf("%s", out)

	shape := func(text string) string {
		return regexp.MustCompile(`\d+(\.\d+)?(µs|ms|s\b)?`).ReplaceAllString(text, "N")
	}
	if want := strings.Join(blocks(string(readme), "text"), ""); shape(out) != shape(want) {
		t.Errorf("it should print\n%s", want)
	}
	for _, pattern := range []string{
		`(?s)^The client's status is 0\.\n[^\n]*; until now 0 of unknown outcome, 0 failed\n.*counters are exact\.\nThe client's status is 1\.`,
		`; until now [1-9]\d* of unknown outcome, 0 failed\ncounter: Counter`,
		`\ncounter: [12]?\d?\d of 1000 counters have lost additions, .* 0 count one twice\n`, // those of one owner
	} {
		if !regexp.MustCompile(pattern).MatchString(out) {
			t.Errorf("it should print %s", pattern)
		}
	}
}

// runScript runs commands in the folder of the clone, and returns their output. It leaves no process.
func runScript(t *testing.T, shell, script string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(shell, "-c", script)
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "TMPDIR="+t.TempDir())
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // also those that are stopped
	late := time.AfterFunc(10*time.Minute, end)
	err := cmd.Wait()
	late.Stop()
	end()
	if err != nil {
		t.Errorf("%v: %s%s", err, stdout.String(), stderr.String())
	}
	return stdout.String()
}
