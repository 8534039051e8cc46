package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// javascript is the node in JavaScript, which was written from the document alone.
const javascript = "../../examples/javascript/main.mjs"

// nodejs returns the command that runs Node.js. Where everything must be checked, its absence is a
// failure.
func nodejs(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("node")
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") == "true":
		t.Fatal("CI is true, and this machine has no Node.js: install nodejs")
	}
	t.Skip("this machine has no Node.js (node), so the node in JavaScript was not checked")
	return ""
}

// Nodes in JavaScript and in Go live in one ring, open and secure.
func TestJavaScript(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	node, messenger, registry := nodejs(t), program(t, "messenger"), program(t, "registry")
	t.Run("open", func(t *testing.T) { openRing(t, node, messenger, registry) })
	t.Run("secure", func(t *testing.T) { secureRing(t, node, messenger, registry) })
}

// The nodes in JavaScript carry the messages of others. The runs are exact, also when the registry
// was killed and another one took its place. They take and send messages, answer requests, and
// leave in good order.
func openRing(t *testing.T, node, messenger, registry string) {
	first, in, lines := spawn(t, registry, "-lease", "10s", "127.0.0.1:0")
	addr := regexp.MustCompile(`listening on (\S+)`).FindStringSubmatch(until(t, lines, "listening on"))[1]
	var said *bufio.Scanner // of the last messenger
	var typed io.Writer
	for range 4 {
		typed, said = launch(t, messenger, addr)
	}
	friend := number(until(t, said, "This is node "))
	a := startJavaScript(t, node, addr)
	b := startJavaScript(t, node, addr)

	fmt.Fprintln(in, "wait 6\nsetup-overlay 3\nstart 3000 8")
	exact(t, lines, 6, a, b)

	until(t, a.lines, "Ready: ")
	fmt.Fprintf(typed, "send %s to JavaScript\n", a.id)
	until(t, a.lines, "to JavaScript")
	fmt.Fprintf(a.in, "send %s from JavaScript\nflush\n", friend)
	until(t, a.lines, "All that was sent is delivered")
	until(t, said, "from JavaScript")
	fmt.Fprintf(b.in, "call %s upper a request\n", a.id)
	until(t, b.lines, "Answer: A REQUEST")
	fmt.Fprintf(b.in, "trace %s\n", friend)
	until(t, b.lines, friend+" after ")

	first.Process.Kill()
	first.Wait()
	_, in, lines = spawn(t, registry, "-lease", "10s", addr)
	fmt.Fprintln(in, "wait 6\nstart 3000 300")
	exact(t, lines, 6, a, b)

	a.cmd.Process.Signal(syscall.SIGTERM)
	if err := a.cmd.Wait(); err != nil {
		t.Errorf("the node did not leave in good order: %v", err)
	}
	fmt.Fprintln(in, "start 1000 8")
	exact(t, lines, 5, b)
}

// In a secure ring they are members like the others.
func secureRing(t *testing.T, node, messenger, registry string) {
	in, lines := launch(t, registry, "-secure", "127.0.0.1:0")
	line := regexp.MustCompile(`rdht1:\S+`).FindString(until(t, lines, "rdht1:"))
	for range 3 {
		launch(t, messenger, line)
	}
	a := startJavaScript(t, node, line)
	b := startJavaScript(t, node, line)
	fmt.Fprintln(in, "wait 5\nsetup-overlay 3\nstart 3000 8")
	exact(t, lines, 5, a, b)
}

// process is a node in JavaScript.
type process struct {
	cmd   *exec.Cmd
	in    io.Writer
	lines *bufio.Scanner
	id    string
}

func startJavaScript(t *testing.T, node, registry string) process {
	t.Helper()
	cmd, in, lines := spawn(t, node, javascript, registry)
	return process{cmd, in, lines, number(until(t, lines, "This is node "))}
}

func number(line string) string { return regexp.MustCompile(`\d+`).FindString(line) }

// exact reads the table of a run. It is exact, each node sent to it, and those named passed on
// messages of others.
func exact(t *testing.T, lines *bufio.Scanner, nodes int, relays ...process) {
	t.Helper()
	relayed := map[string]int{}
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Verdict:") {
		row := strings.Fields(lines.Text())
		if len(row) == 6 && row[0] == number(row[0]) && row[1] != "0" {
			relayed[row[0]], _ = strconv.Atoi(row[3])
		}
	}
	if lines.Text() != "Verdict: exact" || len(relayed) != nodes {
		t.Errorf("%q, %d nodes in the table and not %d: %v", lines.Text(), len(relayed), nodes, lines.Err())
	}
	for _, p := range relays {
		if relayed[p.id] == 0 {
			t.Errorf("node %s, in JavaScript, relayed nothing: %v", p.id, relayed)
		}
	}
}
