package main

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Nodes that know bundles and nodes that do not live in one ring: Go nodes, and nodes in Python with
// bundles and without. Each sends to all others, and relays for all. The runs are exact.
func TestMixedRing(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	messenger, node := program(t, "messenger"), python(t)
	in, lines := launch(t, program(t, "registry"), "-codec", "json", "127.0.0.1:0")
	addr := regexp.MustCompile(`listening on (\S+)`).FindStringSubmatch(until(t, lines, "listening on"))[1]
	for range 3 {
		launch(t, messenger, "-codec", "json", addr)
	}
	for range 2 {
		launch(t, node, "testdata/node.py", addr)
		launch(t, node, "testdata/node.py", addr, "--bundles")
	}
	for _, command := range []string{"wait 7", "setup-overlay 2", "start 2000 8", "start 500 300"} {
		io.WriteString(in, command+"\n")
	}
	for range 2 {
		if verdict := until(t, lines, "Verdict:"); verdict != "Verdict: exact" {
			t.Error(verdict)
		}
	}
}

// launch starts a process that ends with the test. It returns its input and the lines that it prints.
func launch(t *testing.T, command ...string) (io.Writer, *bufio.Scanner) {
	t.Helper()
	_, in, lines := spawn(t, command...)
	return in, lines
}

// spawn is launch for a process that the test ends itself.
func spawn(t *testing.T, command ...string) (*exec.Cmd, io.Writer, *bufio.Scanner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // then until fails
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		c.Wait()
	})
	return c, in, bufio.NewScanner(out)
}

// until reads lines until one has a text, and returns that one.
func until(t *testing.T, lines *bufio.Scanner, text string) string {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return lines.Text()
		}
		t.Log(lines.Text())
	}
	t.Fatalf("no line has %q: %v", text, lines.Err())
	return ""
}
