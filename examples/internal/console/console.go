// Package console is what the example programs share: commands read from a line
// each, which may be shortened, results as text or JSON, a screen that keeps apart
// what several goroutines print, a view that takes the whole terminal and gives it
// back, short names of nodes, flags, and errors made fit for one line.
package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/x/ringdht"
)

// ErrQuit is returned by a command that ends the console.
var ErrQuit = errors.New("quit")

// Console reads commands and carries out one after the other.
type Console struct {
	Screen   *Screen
	Commands []Command
	// JSON is whether all results are JSON; else those are whose command says -json.
	JSON bool
	// Notes end what help prints.
	Notes string
	// Errors of the library begin with this name and a colon, which goes without saying.
	Name string
	// Nodes are those that arguments may name, as of now.
	Nodes func() Nodes
	// Ended is called at the end of the input, after which Run goes on waiting.
	Ended func()

	input  *input
	typed  bool          // by a person, at a terminal
	period time.Duration // between two looks at what is watched; 0 for a second
	// tooLate says that a view has ended by itself a moment ago. The q that was meant to
	// end it must not end the program.
	tooLate bool
}

// Run reads commands until one says ErrQuit or ctx ends. A command finishes before
// the next is read. The end of the input does not end it.
//
// Where results cannot be printed it says so once, and goes on: others may need the
// program, and the disk may have room again. [Screen.Ended] has the error.
//
// It may leave a goroutine behind that waits for one more line of in.
func (c *Console) Run(ctx context.Context, in io.Reader) {
	c.Screen.keepRunning()
	c.input = newInput(in)
	c.typed = isTerminal(in)
	prompt := c.Screen.live() && c.typed
	for ctx.Err() == nil {
		if prompt {
			c.Screen.setLine("> ")
		}
		var line line
		select {
		case <-ctx.Done():
			c.Screen.Done()
			return
		case line = <-c.input.next():
			c.input.taken()
			c.Screen.entered()
		}
		if !line.ok {
			if line.err != nil {
				c.Screen.Complain("reading commands: %v", line.err)
			}
			if c.Ended != nil {
				c.Ended()
			}
			<-ctx.Done()
			return
		}
		if c.tooLate {
			c.tooLate = false
			if strings.TrimSpace(line.text) == "q" {
				continue
			}
		}
		call := &Call{Screen: c.Screen, JSON: c.JSON, console: c}
		err := c.do(ctx, call, line.text)
		switch {
		case errors.Is(err, ErrQuit):
			return
		case err == nil:
		case ctx.Err() != nil:
			c.Screen.Say("Interrupted: %s", strings.TrimSpace(line.text))
		case call.JSON:
			call.Show(failure{c.text(err)}, "")
		default:
			c.Screen.Complain("%s", c.text(err))
		}
	}
}

// failure is the document of a command that failed.
type failure struct {
	Error string `json:"error"`
}

func (c *Console) text(err error) string { return strings.TrimPrefix(Text(err), c.Name+": ") }

// nodes are those that can be named.
func (c *Console) nodes() Nodes {
	if c.Nodes == nil {
		return nil
	}
	return c.Nodes()
}

// do carries out one line. Empty lines and those that start with # are nothing.
func (c *Console) do(ctx context.Context, call *Call, line string) error {
	name, rest := word(strings.TrimRight(line, " \t\r"))
	if name == "" || name[0] == '#' {
		return nil
	}
	cmd, err := c.find(name)
	if err != nil {
		return err
	}
	if call.Args, err = cmd.split(rest, call); err != nil {
		return err
	}
	err = cmd.Run(ctx, call)
	if usage, ok := errors.AsType[UsageError](err); ok {
		return cmd.misused(string(usage))
	}
	return err
}

// Node reads an argument that names a node, see [Nodes.Find].
func (c *Call) Node(arg int) (ringdht.ID, error) { return c.console.nodes().Find(c.Args[arg]) }

// Means says that a word stands for the command of a name.
func (c *Call) Means(word, name string) bool {
	cmd, err := c.console.find(word)
	return err == nil && cmd.Name == name
}

// With is the same call, with other arguments.
func (c *Call) With(args []string) *Call {
	with := *c
	with.Args = args
	return &with
}

// all are the commands, help among them.
func (c *Console) all() []Command {
	return append(c.Commands[:len(c.Commands):len(c.Commands)], c.help())
}

// find returns the command of a name, or of what is short for one.
func (c *Console) find(name string) (Command, error) {
	commands := c.all()
	i, err := match(name, commands)
	if err != nil {
		return Command{}, err
	}
	return commands[i], nil
}

func (c *Command) misused(how string) error {
	return fmt.Errorf("%s: %s (usage: %s)", c.Name, how, c.usage())
}
