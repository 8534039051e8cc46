// Package console is what the example programs share: commands read from a line
// each, a screen that keeps apart what several goroutines print, flags, and errors
// made fit for one line.
package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/x/ringdht/examples/internal/table"
)

// maxLine is the longest line that is read; a message of the greatest length that
// a ring allows by default fits in.
const maxLine = 1 << 20

// ErrQuit is returned by a command that ends the console.
var ErrQuit = errors.New("quit")

// Command is one that can be typed.
type Command struct {
	Name  string
	Short string // another name for it, if not empty
	Args  string // its arguments, as help shows them
	Help  string // what it does, in some words

	// Min and Max are how many arguments it takes. The last of Max is the rest of
	// the line as it was typed, if Text is set.
	Min, Max int
	Text     bool

	// Run carries it out. It returns soon after ctx has ended. Its error is
	// printed and does not end the console, unless it is ErrQuit.
	Run func(ctx context.Context, args []string) error
}

// Console reads commands and carries out one after the other.
type Console struct {
	Screen   *Screen
	Commands []Command
	// Notes end what help prints.
	Notes string
	// Failed prints the error of a command, instead of a line among the errors.
	Failed func(err error)
	// Ended is called at the end of the input, after which Run goes on waiting.
	Ended func()
}

// Run reads commands until one says ErrQuit or ctx ends. A command finishes before
// the next is read. The end of the input does not end it.
//
// It may leave a goroutine behind that waits for one more line of in.
func (c *Console) Run(ctx context.Context, in io.Reader) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	prompt := c.Screen.live && isTerminal(in)
	for ctx.Err() == nil {
		if prompt {
			c.Screen.setLine("> ")
		}
		got := make(chan bool, 1)
		go func() { got <- lines.Scan() }()
		select {
		case <-ctx.Done():
			c.Screen.Done()
			return
		case ok := <-got:
			c.Screen.entered()
			if !ok {
				if err := lines.Err(); err != nil {
					c.Screen.Complain("reading commands: %v", err)
				}
				if c.Ended != nil {
					c.Ended()
				}
				<-ctx.Done()
				return
			}
		}
		err := c.do(ctx, lines.Text())
		switch {
		case errors.Is(err, ErrQuit):
			return
		case err == nil:
		case ctx.Err() != nil:
			c.Screen.Say("Interrupted: %s", strings.TrimSpace(lines.Text()))
		case c.Failed != nil:
			c.Failed(err)
		default:
			c.Screen.Complain("%s", Text(err))
		}
	}
}

// do carries out one line. Empty lines and those that start with # are nothing.
func (c *Console) do(ctx context.Context, line string) error {
	name, rest := word(strings.TrimRight(line, " \t\r"))
	if name == "" || name[0] == '#' {
		return nil
	}
	cmd, err := c.find(name)
	if err != nil {
		return err
	}
	args, err := cmd.split(rest)
	if err != nil {
		return err
	}
	err = cmd.Run(ctx, args)
	if usage, ok := errors.AsType[UsageError](err); ok {
		return fmt.Errorf("%s: %s (usage: %s)", cmd.Name, string(usage), cmd.usage())
	}
	return err
}

// find returns the command of a name. It is the one place that knows how names
// are matched.
func (c *Console) find(name string) (Command, error) {
	for _, cmd := range append(c.Commands, c.help()) {
		if name == cmd.Name || name == cmd.Short {
			return cmd, nil
		}
	}
	return Command{}, fmt.Errorf("unknown command %q: type help for the list", name)
}

func (c *Command) usage() string { return strings.TrimSpace(c.Name + " " + c.Args) }

// split cuts the rest of a line into arguments.
func (c *Command) split(rest string) ([]string, error) {
	var args []string
	for n := 0; rest != ""; n++ {
		if c.Text && n == c.Max-1 {
			args = append(args, rest)
			break
		}
		var arg string
		arg, rest = word(rest)
		args = append(args, arg)
	}
	if len(args) >= c.Min && len(args) <= c.Max {
		return args, nil
	}
	if c.Max == 0 {
		return nil, fmt.Errorf("%s: expected no arguments (usage: %s)", c.Name, c.usage())
	}
	return nil, fmt.Errorf("%s: expected %s (usage: %s)", c.Name, c.Args, c.usage())
}

// word cuts the first word off a line, and the space around it.
func word(line string) (first, rest string) {
	line = strings.TrimLeft(line, " \t")
	at := strings.IndexAny(line, " \t")
	if at < 0 {
		return line, ""
	}
	return line[:at], strings.TrimLeft(line[at:], " \t")
}

// help is the command that lists them all.
func (c *Console) help() Command {
	help := Command{Name: "help", Help: "prints this list"}
	help.Run = func(context.Context, []string) error {
		t := table.New(table.Left("command"), table.Left("short"), table.Left("what it does"))
		for _, cmd := range append(c.Commands, help) {
			t.Row(cmd.usage(), cmd.Short, cmd.Help)
		}
		text := t.String()
		if c.Notes != "" {
			text += "\n" + c.Notes
		}
		c.Screen.Say("%s", text)
		return nil
	}
	return help
}
