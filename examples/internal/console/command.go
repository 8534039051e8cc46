package console

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/x/ringdht/examples/internal/table"
)

// Command is a command of a console.
type Command struct {
	Name  string
	Short string   // a second name, or empty
	Also  []string // more names, which help about this command shows
	Args  string   // its arguments, as help shows them
	Help  string   // a phrase that says what it does
	More  string   // more sentences, for help about this command
	// Examples are lines to type. Help replaces {a} and {b} by the IDs of two nodes, so that
	// each line can be typed as shown.
	Examples []string

	// Min and Max bound the number of arguments. With Text, the last of Max is the rest of
	// the line as typed.
	Min, Max int
	Text     bool

	// Ends says that the command ends the program. One letter does not abbreviate it.
	Ends bool
	// Background says that the command can run in the background: always if it is typed on a
	// terminal, else if its line ends in " &".
	Background bool
	// Beside says that the command may run while another is in the background. All other
	// commands wait for the end of that one.
	Beside bool

	// Run executes the command. It returns soon after ctx has ended. Its error is printed and
	// does not end the console, unless it is ErrQuit or the console is strict.
	Run func(ctx context.Context, call *Call) error
}

// Call is one call of a command.
type Call struct {
	Args    []string
	JSON    bool    // print the result as JSON
	Screen  *Screen // with JSON, its stdout is for the result only
	console *Console
	// Background says that the command runs in the background.
	Background bool
}

// Verdict is the error of a command that has printed its result and yet counts as failed,
// such as a run that lost messages. The console prints nothing more; if it is strict, it ends.
type Verdict string

func (v Verdict) Error() string { return string(v) }

// Verdictf returns a [Verdict].
func Verdictf(format string, args ...any) error { return Verdict(fmt.Sprintf(format, args...)) }

// Tell is Show for sentences: on a terminal they wrap by words.
func (c *Call) Tell(document any, text string) {
	if c.JSON {
		c.Show(document, "")
	} else {
		c.Screen.Tell(text)
	}
}

// Show prints a result: as one line of JSON, or as text.
func (c *Call) Show(document any, text string) {
	if c.JSON {
		text = Document(document)
	}
	c.Screen.Print(text)
}

// Document encodes a document as a line of JSON. It escapes all characters that a terminal
// could take for a command; encoding/json escapes only a part of them.
func Document(document any) string {
	b, err := json.Marshal(document)
	if err != nil {
		panic(err) // all documents can be encoded
	}
	text := string(b)
	for _, r := range text {
		if s := string(r); r >= 0x7f && table.Plain(s) != s { // it is in a string, since all else is ASCII
			text = strings.ReplaceAll(text, s, fmt.Sprintf(`\u%04x`, r))
		}
	}
	return text
}

func (c *Command) usage() string { return strings.TrimSpace(c.Name + " " + c.Args) }

// asJSON is the flag of every command. It comes after the name or at the end of the line. If
// the line ends in free text, it comes after the name only.
const asJSON = "-json"

// split splits the rest of a line into arguments. It sets call.JSON if -json is among them.
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

// word splits off the first word of a line, and the space around it.
func word(line string) (first, rest string) {
	line = strings.TrimLeft(line, " \t")
	at := strings.IndexAny(line, " \t")
	if at < 0 {
		return line, ""
	}
	return line[:at], strings.TrimLeft(line[at:], " \t")
}
