package console

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/x/ringdht/examples/internal/table"
)

// Command is one that can be typed.
type Command struct {
	Name  string
	Short string // another name for it, if not empty
	Args  string // its arguments, as help shows them
	Help  string // what it does, in some words
	More  string // and in more, for those who ask
	// Examples are lines to type. {a} and {b} stand for the IDs of two nodes, which
	// help puts in, so that what it shows can be typed as it stands.
	Examples []string

	// Min and Max are how many arguments it takes. The last of Max is the rest of
	// the line as it was typed, if Text is set.
	Min, Max int
	Text     bool

	// Run carries it out. It returns soon after ctx has ended. Its error is
	// printed and does not end the console, unless it is ErrQuit.
	Run func(ctx context.Context, call *Call) error
}

// Call is a command as it was typed.
type Call struct {
	Args    []string
	JSON    bool    // the result is to be JSON
	Screen  *Screen // whose stdout is for the result alone, if JSON
	console *Console
}

// Show prints a result: as one line of JSON, or as text.
func (c *Call) Show(document any, text string) {
	if c.JSON {
		text = Document(document)
	}
	c.Screen.Print(text)
}

// Document is a document as a line of JSON. What a terminal may take for a command is
// escaped, of which JSON itself does a part only.
func Document(document any) string {
	b, err := json.Marshal(document)
	if err != nil {
		panic(err) // no document holds what JSON cannot
	}
	text := string(b)
	for _, r := range text {
		if s := string(r); r >= 0x7f && table.Plain(s) != s { // of a string, since all else is ASCII
			text = strings.ReplaceAll(text, s, fmt.Sprintf(`\u%04x`, r))
		}
	}
	return text
}

func (c *Command) usage() string { return strings.TrimSpace(c.Name + " " + c.Args) }

// asJSON is the flag of every command. It stands behind the name or at the end; in a
// line whose end is free text, behind the name only.
const asJSON = "-json"

// split cuts the rest of a line into arguments, and tells the call if JSON is among them.
func (c *Command) split(rest string, call *Call) ([]string, error) {
	if first, more := word(rest); first == asJSON {
		rest, call.JSON = more, true
	}
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
	if n := len(args); !c.Text && n > 0 && args[n-1] == asJSON {
		args, call.JSON = args[:n-1], true
	}
	if call.JSON {
		call.Screen = call.Screen.Quiet()
	}
	switch {
	case len(args) >= c.Min && len(args) <= c.Max:
		return args, nil
	case c.Max == 0:
		return nil, c.misused("expected no arguments")
	}
	return nil, c.misused("expected " + c.Args)
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
