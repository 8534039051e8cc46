// Package console is shared by the example programs. It reads commands, a line each, whose
// names can be abbreviated. It prints results as text or JSON, from several goroutines
// without mixing their lines. It shows full-screen views, and restores the terminal. It also
// has short names of nodes, common flags, and one-line error texts.
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

// Console reads commands and executes one after the other.
type Console struct {
	Screen   *Screen
	Commands []Command
	// JSON makes all results JSON. Otherwise a result is JSON if its command has -json.
	JSON bool
	// Notes is appended to the list of help.
	Notes string
	// Name is the prefix of the library's errors, without the colon. It is removed from error
	// texts.
	Name string
	// Nodes returns the nodes that arguments can name now.
	Nodes func() Nodes
	// Ended is called at the end of the input, when no command runs any more. Run waits on
	// after that.
	Ended func()
	// Strict ends the console at the first command that fails, or that returns a [Verdict].
	Strict bool
	// Losing returns what ends with the program, as a notice for the first Ctrl-C at the
	// prompt, which then does not end it: "5 nodes are connected; Ctrl-C again, or quit, ends
	// the registry." It is empty if nothing is lost. It may be nil.
	Losing func() string

	input  *input
	typed  bool          // the input is a terminal
	period time.Duration // between two refreshes of a view; 0 for a second
	// tooLate says that a view has just ended by itself. A q typed to end it must not run as
	// a command.
	tooLate bool
}

// Run executes commands until one returns ErrQuit or ctx ends. A command ends before the next
// is read. Run does not return at the end of the input.
//
// If results cannot be printed, it reports that once and goes on: other nodes may need the
// program, and the disk may have room later. [Screen.Ended] returns the error.
//
// It may leave a goroutine behind that waits for one more line of in.
//
// A strict console returns an error that names the first command that failed. Otherwise the
// error is nil.
func (c *Console) Run(ctx context.Context, in io.Reader) error {
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
			return nil
		case line = <-c.input.next():
			c.input.taken()
			c.Screen.entered()
		}
		if !line.ok {
			if line.err != nil {
				c.Screen.Complain("cannot read more commands: %v", line.err)
			}
			if c.Ended != nil {
				c.Ended()
			}
			<-ctx.Done()
			return nil
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
			return nil
		case err == nil:
		case ctx.Err() != nil:
			c.Screen.Say("Interrupted: %s", strings.TrimSpace(line.text))
		case call.JSON:
			call.Show(failure{c.text(err)}, "")
		default:
			c.Screen.Complain("%s", c.text(err))
		}
	}
	return nil
}

// failure is the document of a command that failed.
type failure struct {
	Error string `json:"error"`
}

func (c *Console) text(err error) string { return strings.TrimPrefix(Text(err), c.Name+": ") }

// nodes returns the nodes that arguments can name.
func (c *Console) nodes() Nodes {
	if c.Nodes == nil {
		return nil
	}
	return c.Nodes()
}

// do executes one line. It ignores empty lines and lines that start with #.
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

// Node returns the ID that an argument names, see [Nodes.Find].
func (c *Call) Node(arg int) (ringdht.ID, error) { return c.console.nodes().Find(c.Args[arg]) }

// Means reports whether a word is the name of a command, or short for it.
func (c *Call) Means(word, name string) bool {
	cmd, err := c.console.find(word)
	return err == nil && cmd.Name == name
}

// With returns a copy of the call with other arguments.
func (c *Call) With(args []string) *Call {
	with := *c
	with.Args = args
	return &with
}

// all returns all commands, with help.
func (c *Console) all() []Command {
	return append(c.Commands[:len(c.Commands):len(c.Commands)], c.help())
}

// find returns the command with this name or abbreviation.
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
