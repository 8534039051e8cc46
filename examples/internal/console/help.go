package console

import (
	"context"
	"fmt"
	"strings"

	"github.com/x/ringdht/examples/internal/table"
)

// help is the command that lists all commands, or explains one.
func (c *Console) help() Command {
	return Command{
		Name: "help", Args: "[command]", Max: 1,
		Help: "lists the commands, or explains one and shows examples",
		More: "A name can be abbreviated, part by part, if only one command matches: " +
			"h h is help help. Scripts should use full names, since new commands may be added. " +
			"Any command takes -json, after its name or at the end of the line, and prints its result as a line of JSON.",
		Examples: []string{"help", "help help", "help -json"},
		Run: func(_ context.Context, call *Call) error {
			if len(call.Args) == 0 {
				call.Show(c.documents(), c.list())
				return nil
			}
			cmd, err := c.find(call.Args[0])
			if err != nil {
				return err
			}
			call.Show(c.document(cmd), c.explain(cmd))
			return nil
		},
	}
}

// explained is the document of help.
type explained struct {
	Name     string   `json:"name"`
	Short    string   `json:"short,omitempty"`
	Args     string   `json:"args"`
	Help     string   `json:"help"`
	More     string   `json:"more"`
	Examples []string `json:"examples"`
}

func (c *Console) document(cmd Command) explained {
	return explained{cmd.Name, cmd.Short, cmd.Args, cmd.Help, cmd.More, c.examples(cmd)}
}

func (c *Console) documents() (all []explained) {
	for _, cmd := range c.all() {
		all = append(all, c.document(cmd))
	}
	return all
}

func (c *Console) list() string {
	t := table.New(table.Left("command"), table.Left("short"), table.Left("what it does"))
	for _, cmd := range c.all() {
		t.Row(cmd.usage(), cmd.Short, cmd.Help)
	}
	text := t.String() + "\nNames can be abbreviated, see help help. For examples of a command, type help and its name.\n"
	if c.Notes != "" {
		text += c.Notes
	}
	return text
}

func (c *Console) explain(cmd Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: %s\n", cmd.usage())
	if cmd.Short != "" {
		fmt.Fprintf(&b, "short: %s\n", cmd.Short)
	}
	help := cmd.Help
	if help != "" {
		help = strings.ToUpper(help[:1]) + help[1:] + "."
	}
	if text := fold(strings.TrimSpace(help+" "+cmd.More), 80); text != "" {
		fmt.Fprintf(&b, "\n%s", text)
	}
	for i, e := range c.examples(cmd) {
		if i == 0 {
			b.WriteString("\nFor example:\n")
		}
		fmt.Fprintf(&b, "  %s\n", e)
	}
	return b.String()
}

// examples returns a command's examples with IDs of known nodes, or else made-up IDs.
func (c *Console) examples(cmd Command) []string {
	known := c.nodes()
	id := func(i int) string {
		if i < len(known) {
			return known[i].ID.String()
		}
		return []string{"7613", "36653"}[i]
	}
	put := strings.NewReplacer("{a}", id(0), "{b}", id(1))
	lines := []string{}
	for _, e := range cmd.Examples {
		lines = append(lines, put.Replace(e))
	}
	return lines
}

// fold breaks text into lines of at most width, or of one longer word.
func fold(text string, width int) string {
	var b strings.Builder
	used := 0
	for w := range strings.FieldsSeq(text) {
		switch n := len([]rune(w)); {
		case used > 0 && used+1+n > width:
			b.WriteByte('\n')
			used = n
		case used > 0:
			b.WriteByte(' ')
			used += 1 + n
		default:
			used = n
		}
		b.WriteString(w)
	}
	if used > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}
