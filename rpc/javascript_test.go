package rpc_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/rpc"
)

// Go and JavaScript answer each other's requests. An error keeps its code, and a call to a node that
// dies ends.
func TestJavaScriptRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	registry, err := ringdht.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	addr, err := registry.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const upper = rpc.Method[string, string]("upper")
	const wait = rpc.Method[int, int]("wait")
	n := ringdht.NewNode()
	defer n.Close()
	words := rpc.New(n, "words")
	upper.Handle(words, func(_ context.Context, s string) (string, error) { return strings.ToUpper(s) + " in Go", nil })
	if err := n.Join(ctx, addr.String()); err != nil {
		t.Fatal(err)
	}
	node, err := exec.LookPath("node")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("CI is true, and this machine has no Node.js: install nodejs")
	} else if err != nil {
		t.Skip("this machine has no Node.js (node), so the node in JavaScript was not asked")
	}
	js := exec.CommandContext(ctx, node, "../examples/javascript/main.mjs", addr.String())
	in, err := js.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := js.StdoutPipe()
	if err == nil {
		err = js.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer js.Wait()
	defer js.Process.Kill()
	lines := bufio.NewScanner(out)
	until := func(text string) string {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return lines.Text()
			}
		}
		t.Fatalf("no line has %q: %v", text, lines.Err())
		return ""
	}
	var to ringdht.ID
	fmt.Sscanf(until("This is node "), "This is node %d", &to)
	if _, err := registry.Setup(ctx, 0); err != nil {
		t.Fatal(err)
	}
	until("Ready: ")

	if s, err := upper.Call(ctx, words, to, "hello"); s != "HELLO" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	if _, err := rpc.Method[int, int]("other").Call(ctx, words, to, 1); !errors.Is(err, rpc.ErrNoMethod) {
		t.Error(err)
	}
	fmt.Fprintf(in, "call %d upper hello\n", n.ID())
	until("Answer: HELLO in Go")
	fmt.Fprintf(in, "call %d other hello\n", n.ID())
	until("no such method")

	begun := make(chan error, 1)
	go func() {
		_, err := wait.Call(ctx, words, to, 60000)
		begun <- err
	}()
	upper.Call(ctx, words, to, "the request before is there") // one stream: in order
	js.Process.Kill()
	if err := <-begun; !errors.Is(err, rpc.ErrUnknown) {
		t.Errorf("a call to a node that died: %v", err)
	}
}
