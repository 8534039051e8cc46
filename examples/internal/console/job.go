package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// maxWaiting bounds the commands that wait for the end of the one in the background.
const maxWaiting = 64

// job is a command that was typed.
type job struct {
	call   *Call
	cmd    Command
	line   string
	number int // of the line

	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{} // closed after err is set
	err    error
}

// parse finds the command of a line and its arguments. The job is nil if the line is empty or
// a comment. It is not nil with an error: its call says how to print the error.
func (c *Console) parse(text string) (*job, error) {
	text = strings.TrimSpace(text)
	j := &job{line: text, number: c.number, call: &Call{Screen: c.Screen, JSON: c.JSON, console: c}}
	name, rest := word(text)
	switch {
	case name == "" || name[0] == '#':
		return nil, nil
	case name == "?":
		name = "help"
	}
	cmd, err := c.find(name)
	if err != nil {
		return j, err
	}
	j.cmd = cmd
	if before, ok := strings.CutSuffix(" "+rest, " &"); ok && !cmd.Text {
		if !cmd.Background {
			return j, cmd.misused("it does not run in the background, so it takes no &")
		}
		rest, j.call.Background = strings.TrimSpace(before), true
	}
	if cmd.Background && c.typed {
		j.call.Background = true
	}
	if j.call.Background {
		j.call.Screen = c.Screen.behind()
	}
	if rest == "?" && !cmd.Text {
		j.cmd, j.call.Background, j.call.Screen = c.help(), false, c.Screen
		rest = cmd.Name
	}
	j.call.Args, err = j.cmd.split(rest, j.call)
	return j, err
}

// enter executes a line, in the background or not, or lets it wait.
func (c *Console) enter(ctx context.Context, l line) error {
	c.number++
	if l.err != nil {
		return c.failed(&job{line: "too long", number: c.number, call: &Call{Screen: c.Screen, JSON: c.JSON, console: c}}, l.err)
	}
	j, err := c.parse(l.text)
	switch {
	case j == nil:
		return nil
	case err != nil:
		return c.failed(j, err)
	case c.back == nil || j.cmd.Beside:
		return c.start(ctx, j)
	case len(c.waiting) == maxWaiting:
		return c.failed(j, fmt.Errorf("%s: %d commands wait for the end of %s: no more can", j.cmd.Name, maxWaiting, c.back.cmd.Name))
	}
	if c.typed {
		c.Screen.Say("%s waits: %s is under way; %s ends it.", j.cmd.Name, c.back.cmd.Name, c.stopper())
	}
	c.waiting = append(c.waiting, j)
	return nil
}

// stopper names what ends the command in the background.
func (c *Console) stopper() string {
	for _, cmd := range c.Commands {
		if cmd.Name == "stop" && cmd.Beside {
			return "stop"
		}
	}
	return "Ctrl-C"
}

// start runs a job: to its end, or in the background.
func (c *Console) start(ctx context.Context, j *job) error {
	j.ctx, j.cancel = context.WithCancel(ctx)
	j.ended = make(chan struct{})
	if !j.call.Background {
		defer j.cancel()
		c.setFront(j)
		defer c.setFront(nil)
		return c.run(j)
	}
	c.setBack(j)
	go func() {
		defer close(j.ended)
		defer c.restoreAtPanic()
		j.err = c.run(j)
		j.call.Screen.Done()
		j.cancel()
	}()
	return nil
}

// run executes a job and prints its error. It returns an error if the console is to end.
func (c *Console) run(j *job) error {
	err := j.cmd.Run(j.ctx, j.call)
	if usage, ok := errors.AsType[UsageError](err); ok {
		err = j.cmd.misused(string(usage))
	}
	_, printed := errors.AsType[Verdict](err)
	switch {
	case err == nil || errors.Is(err, ErrQuit):
		return err
	case j.ctx.Err() != nil && !printed:
		j.call.Screen.Done()
		if j.call.JSON {
			j.call.Show(failure{"interrupted"}, "")
		} else {
			c.Screen.Say("Interrupted: %s", j.line)
		}
		return c.strict(j)
	}
	return c.failed(j, err)
}

// failed prints why a job failed. It returns an error if the console is to end.
func (c *Console) failed(j *job, err error) error {
	_, printed := errors.AsType[Verdict](err)
	switch {
	case printed:
	case j.call.JSON:
		j.call.Show(failure{c.text(err)}, "")
	default:
		c.Screen.Complain("%s", c.text(err))
	}
	return c.strict(j)
}

// strict returns an error if the console ends at the first command that fails.
func (c *Console) strict(j *job) error {
	if !c.Strict {
		return nil
	}
	return fmt.Errorf("line %d failed, so -strict ends the program: %s", j.number, j.line)
}

// failure is the document of a command that failed.
type failure struct {
	Error string `json:"error"`
}

func (c *Console) setFront(j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.front = j
}

func (c *Console) setBack(j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.back = j
}

// Stop ends the command in the background, as an interrupt does, and waits until it has
// ended or ctx ends. It returns the line that was typed for it, or false if there is none.
func (c *Call) Stop(ctx context.Context) (line string, ok bool) {
	c.console.mu.Lock()
	j := c.console.back
	c.console.mu.Unlock()
	if j == nil {
		return "", false
	}
	j.cancel()
	select {
	case <-j.ended:
	case <-ctx.Done():
	}
	return j.line, true
}
