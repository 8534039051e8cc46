package examples_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program runs a program with the given standard output and input. It returns its standard
// error and its state.
func program(t *testing.T, stdout *os.File, typed string, binary string, args ...string) (stderr string, state *os.ProcessState) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(typed), stdout, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	defer stuck.Stop()
	cmd.Wait()
	return said.String(), cmd.ProcessState
}

// programs lists programs that print something without a registry.
var programs = []struct {
	line  string
	typed string
}{
	{line: "ring -nodes 2 -messages 10"},
	{line: "ring -nodes 2 -messages 10 -json"},
	{line: "ring -h"},
	{line: "study -n 8 -simulate 0"},
	{line: "study -n 8 -csv"},
	{line: "study -n 8 -json"},
	{line: "study -h"},
	{line: "registry 127.0.0.1:0", typed: "help\nquit\n"},
	{line: "registry -json 127.0.0.1:0", typed: "help\nquit\n"},
	{line: "registry -h"},
	{line: "messenger -h"},
}

// If output cannot be written, as on a full disk, the program prints an error and exits with
// a status.
func TestOutputToAFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	bin := build(t)
	const why = "write /dev/stdout: no space left on device"
	for _, p := range programs {
		args := strings.Fields(p.line)
		stderr, state := program(t, full, p.typed, filepath.Join(bin, args[0]), args[1:]...)
		if state.ExitCode() != 1 || !strings.Contains(stderr, args[0]+": ") || !strings.Contains(stderr, why) {
			t.Errorf("%s: %v, stderr %q", p.line, state, stderr)
		}
	}

	// A registry goes on, since nodes need it, and reports the error at once.
	addr := freeAddr(t)
	registry := exec.Command(filepath.Join(bin, "registry"), addr)
	registry.Stdout = full
	in, err := registry.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := registry.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := registry.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(2*time.Minute, func() { registry.Process.Kill() })
	defer stuck.Stop()
	lines := make([]byte, 1000)
	n, err := said.Read(lines)
	if got := string(lines[:n]); err != nil || got != "Output is lost: "+why+"\n" {
		t.Errorf("the registry says %q, %v", got, err)
	}
	for _, args := range [][]string{{addr}, {"-json", addr}} {
		stderr, state := program(t, full, "print\nexit-overlay\n", filepath.Join(bin, "messenger"), args...)
		if state.ExitCode() != 1 || strings.Count(stderr, "Output is lost: "+why) != 1 || !strings.Contains(stderr, "messenger: output is lost: "+why) {
			t.Errorf("messenger %q: %v, stderr %q", args, state, stderr)
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if stderr, state := program(t, null, "exit-overlay\n", filepath.Join(bin, "messenger"), addr); state.ExitCode() != 0 {
		t.Errorf("messenger: %v, stderr %q", state, stderr)
	}
	in.Write([]byte("list\nquit\n"))
	rest, _ := io.ReadAll(said)
	if registry.Wait(); registry.ProcessState.ExitCode() != 1 || string(rest) != "registry: output is lost: "+why+"\n" {
		t.Errorf("the registry ends with %v, and says %q", registry.ProcessState, rest)
	}
}

// If the reader of a pipe has closed it, as with "| head", a program ends by SIGPIPE, without
// a message, as other programs do.
func TestOutputToAClosedPipe(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	bin := build(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	for _, p := range programs {
		args := strings.Fields(p.line)
		stderr, state := program(t, w, p.typed, filepath.Join(bin, args[0]), args[1:]...)
		if status := state.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGPIPE || !strings.Contains(p.line, "-json") && stderr != "" {
			t.Errorf("%s: %v, stderr %q", p.line, state, stderr)
		}
	}
}
