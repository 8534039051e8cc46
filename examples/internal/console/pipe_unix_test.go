//go:build unix

package console

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// childOfPipe is set in the process that [TestClosedPipe] starts.
const childOfPipe = "RINGDHT_CONSOLE_TEST_PIPE"

// A program whose output goes to a pipe that its reader has closed is not killed: it says so
// once, goes on, and can end in good order.
func TestClosedPipe(t *testing.T) {
	if os.Getenv(childOfPipe) != "" {
		s := NewScreen(os.Stdout, os.Stderr, false)
		ctx, cancel := context.WithTimeout(Context(), time.Minute)
		defer cancel()
		c := &Console{Screen: s, Commands: []Command{
			{Name: "say", Run: func(context.Context, *Call) error { s.Say("something"); return nil }},
			{Name: "quit", Run: func(context.Context, *Call) error { return ErrQuit }},
		}}
		c.Run(ctx, os.Stdin)
		fmt.Fprintln(os.Stderr, "ended:", s.Ended(nil))
		os.Exit(Exit("test", os.Stderr, s.Ended(nil)))
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestClosedPipe$")
	cmd.Env = append(os.Environ(), childOfPipe+"=1")
	cmd.Stdin = strings.NewReader("say\nsay\nquit\n")
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &stderr
	cmd.Run()
	text := stderr.String()
	if status := cmd.ProcessState.ExitCode(); status != 1 || strings.Count(text, "Output is lost: ") != 1 || !strings.Contains(text, "\nended: ") {
		t.Errorf("%v, stderr %q", cmd.ProcessState, text)
	}
}
