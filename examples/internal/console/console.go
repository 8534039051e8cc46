// Package console is shared by the example programs. It reads commands, a line each, whose
// names can be abbreviated. It prints results as text or JSON, from several goroutines
// without mixing their lines. It shows full-screen views, and restores the terminal. It also
// has short names of nodes, common flags, and one-line error texts.
//
// # The line editor
//
// On a terminal that can move the cursor, a person edits the line: arrow keys, history, Tab
// for commands and nodes, ? for help. A half line survives text that arrives, which appears
// above it. The editor is golang.org/x/term's Terminal, which is maintained, redraws the line
// after concurrent output, and calls back for completion. Its one file is copied, see package
// third_party: the module's go.mod is to have two direct requirements. A nested module would
// need a go.work for go run ./examples/registry, which breaks GOFLAGS=-mod=mod and go install
// at a version, and takes the examples out of go test ./....
//
// This package adds what that editor leaves to its user: the mode of the terminal, in which
// Ctrl-C, Ctrl-Z and Ctrl-\ stay signals, keys that the editor would misread, marks of
// pastes, an error for a line that is too long, and a progress line above the prompt.
// Elsewhere, on a dumb terminal, and on systems without these calls, the system edits lines.
//
// # Interrupts
//
// At a terminal, an interrupt (Ctrl-C) ends the view, else the command in the foreground, else
// the one in the background, else it clears a half line. At an empty line it ends the
// program, after a warning if something is lost. Without a terminal, and after the end of the
// input, it ends the program at once. SIGTERM always does.
//
// # The background of a shell
//
// There a program neither reads commands nor changes the mode of the terminal, and its output
// does not stop it. After fg it reads commands again.
package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
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
	// Elsewhere names the commands of the other program.
	Elsewhere Elsewhere
	// Nodes returns the nodes that arguments can name now.
	Nodes func() Nodes
	// Named returns the node that has a name, and Known the names to complete. They may be nil.
	Named func(name string) (ringdht.ID, bool)
	Known func() []string
	// Ended is called at the end of the input, when no command runs any more. Run waits on
	// after that.
	Ended func()
	// Strict ends the console at the first command that fails, or that returns a [Verdict].
	Strict bool
	// Losing returns what ends with the program, as a notice for the first Ctrl-C at the
	// prompt, which then does not end it: "5 nodes are connected; Ctrl-C again, or quit, ends
	// the registry." It is empty if nothing is lost. It may be nil.
	Losing func() string

	lines  lines
	editor *editor       // if a line editor reads the lines
	typed  bool          // the input is a terminal
	period time.Duration // between two refreshes of a view; 0 for a second

	// Owned by Run.
	number  int    // of the latest line
	waiting []*job // for the end of back
	told    bool   // Ended was called

	// tooLate says that a view has just ended by itself. A q typed to end it must not run as
	// a command.
	tooLate bool

	end func() // ends the program, after an interrupt

	mu     sync.Mutex // guards the fields below; only Run changes the first three
	front  *job       // in the foreground,
	back   *job       // and in the background
	ended  bool       // there are no more lines
	warned bool       // Losing was said since the last command
}

// Run executes commands until one returns ErrQuit or ctx ends. A command ends before the next
// is read, unless it runs in the background; all that can run beside it do then, and the
// others wait. Run does not return at the end of the input.
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
	c.typed = isTerminal(in)
	stop := c.attach(ctx, in)
	defer stop()
	err := c.loop(ctx)
	if c.back != nil {
		c.back.cancel()
		<-c.back.ended
		c.setBack(nil)
	}
	if errors.Is(err, ErrQuit) || ctx.Err() != nil {
		return nil
	}
	return err
}

// loop executes lines. It returns nil if ctx has ended.
func (c *Console) loop(ctx context.Context) error {
	for ctx.Err() == nil {
		if c.back == nil && len(c.waiting) > 0 {
			j := c.waiting[0]
			c.waiting = c.waiting[1:]
			if err := c.start(ctx, j); err != nil {
				return err
			}
			continue
		}
		if c.ended && c.back == nil && !c.told {
			c.told = true
			if c.Ended != nil {
				c.Ended()
			}
		}
		var backEnded chan struct{}
		if c.back != nil {
			backEnded = c.back.ended
		}
		select {
		case <-ctx.Done():
		case <-backEnded:
			err := c.back.err
			c.setBack(nil)
			if err != nil {
				return err
			}
		case l := <-c.next():
			if err := c.take(ctx, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// next returns a channel for the next line. It is nil if no line is wanted: in a script, a
// line waits for those before it. A person can still type stop.
func (c *Console) next() <-chan line {
	if c.ended || len(c.waiting) > 0 && !c.typed {
		return nil
	}
	if c.typed && c.editor == nil && c.Screen.notices.terminal {
		c.Screen.setPrompt(prompt)
	}
	return c.lines.next()
}

// take executes a line that was read.
func (c *Console) take(ctx context.Context, l line) error {
	c.lines.taken()
	if c.editor == nil {
		c.Screen.entered()
	}
	if !l.ok {
		if l.err != nil {
			c.Screen.Complain("cannot read more commands: %v", l.err)
		}
		c.mu.Lock()
		c.ended = true
		c.mu.Unlock()
		return nil
	}
	late := c.tooLate
	c.tooLate = false
	if late && strings.TrimSpace(l.text) == "q" {
		return nil
	}
	c.mu.Lock()
	c.warned = false
	c.mu.Unlock()
	return c.enter(ctx, l)
}

func (c *Console) text(err error) string { return strings.TrimPrefix(Text(err), c.Name+": ") }

// nodes returns the nodes that arguments can name.
func (c *Console) nodes() Nodes {
	if c.Nodes == nil {
		return nil
	}
	return c.Nodes()
}

// Node returns the ID that an argument stands for: digits are an ID, and else the name of a node counts
// first. For the rest see [Nodes.Find].
func (c *Call) Node(arg int) (ringdht.ID, error) {
	text := c.Args[arg]
	if _, err := strconv.ParseUint(text, 10, 64); err != nil && c.console.Named != nil {
		if id, ok := c.console.Named(text); ok {
			return id, nil
		}
	}
	return c.console.nodes().Find(text)
}

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
	if _, unknown := errors.AsType[unknownError](err); unknown {
		err = cmp.Or(c.Elsewhere.find(name), err)
	}
	if err != nil {
		return Command{}, err
	}
	return commands[i], nil
}

func (c *Command) misused(how string) error {
	return fmt.Errorf("%s: %s (usage: %s)", c.Name, how, c.usage())
}
