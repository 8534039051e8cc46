//go:build unix

package examples_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The README of examples/kv is typed literally, but for the port and the folder of the programs. Each get finds its
// value.
func TestKvReadme(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	t.Parallel()
	text, err := os.ReadFile("kv/README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("the README has no commands")
	}
	_, port, err := net.SplitHostPort(freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	script := strings.NewReplacer("12345", port, "bin/", t.TempDir()+"/").Replace(string(block[1]))
	var out, errs bytes.Buffer
	cmd := exec.Command("bash", "-c", "set -e\n"+script+"wait\n")
	cmd.Dir, cmd.Stdout, cmd.Stderr = "..", &out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // what it has started too
	late := time.AfterFunc(2*time.Minute, end)
	cmd.Wait() // its status is that of what was killed last
	if !late.Stop() {
		t.Error("not after two minutes")
	}
	end()
	var want []string
	for round := range 2 {
		for n := 1; n <= 9; n++ {
			value := fmt.Sprint("value-", n)
			if round == 1 && n == 1 {
				value = "new"
			}
			want = append(want, value)
		}
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "value-") || line == "new" {
			got = append(got, line)
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the gets printed %q, want %q\n%s\n%s", got, want, script, errs.String())
	}
}
