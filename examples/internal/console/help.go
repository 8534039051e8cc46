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
		Name: "help", Args: "[command]", Max: 1, Beside: true,
		Help: "lists the commands, or explains one and shows examples",
		More: "A name can be abbreviated, part by part, if only one command matches: " +
			"h h is help help. Scripts should use full names, since new commands may be added. " +
			"On a terminal the arrow keys get lines back, Tab completes commands and nodes, and ? is help. " +
			"Any command takes -json, after its name or at the end of the line, and prints its result as a line of JSON.",
		Examples: []string{"help", "help help", "help -json"},
		Run: func(_ context.Context, call *Call) error {
			if len(call.Args) == 0 {
				call.Show(c.documents(), c.list(call.Screen.Columns()))
				return nil
			}
			cmd, err := c.find(call.Args[0])
			if err != nil {
				return err
			}
			call.Show(c.document(cmd), c.explain(cmd, call.Screen.Columns()))
			return nil
		},
	}
}

// explained is the document of help.
type explained struct {
	Name     string   `json:"name"`
	Short    string   `json:"short,omitempty"`
	Also     []string `json:"also,omitempty"`
	Args     string   `json:"args"`
	Help     string   `json:"help"`
	More     string   `json:"more"`
	Examples []string `json:"examples"`
}

func (c *Console) document(cmd Command) explained {
	return explained{cmd.Name, cmd.Short, cmd.Also, cmd.Args, cmd.Help, cmd.More, c.examples(cmd)}
}

func (c *Console) documents() (all []explained) {
	for _, cmd := range c.all() {
		all = append(all, c.document(cmd))
	}
	return all
}

// list lists the commands, for a terminal with a number of columns, or without a limit if
// that is 0.
func (c *Console) list(columns int) string {
	t := table.New(table.Left("command"), table.Left("short").Rank(1), table.Text("what it does"))
	for _, cmd := range c.all() {
		t.Row(cmd.usage(), cmd.Short, cmd.Help)
	}
	text, _ := t.Fit(columns)
	text += table.Wrap("\nNames can be abbreviated, see help help. For examples of a command, type help and its name.\n"+c.Notes, columns)
	return text
}

// explain explains a command, for a terminal with a number of columns, or for 80 if that is
// 0.
func (c *Console) explain(cmd Command, columns int) string {
	var b strings.Builder
	b.WriteString(table.Wrap("usage: "+cmd.usage()+"\n", columns))
	if names := cmd.shorts(); len(names) > 0 {
		fmt.Fprintf(&b, "short: %s\n", strings.Join(names, ", "))
	}
	help := cmd.Help
	if help != "" {
		help = strings.ToUpper(help[:1]) + help[1:] + "."
	}
	if columns == 0 {
		columns = 80
	}
	if text := strings.Join(strings.Fields(help+" "+cmd.More), " "); text != "" {
		fmt.Fprintf(&b, "\n%s\n", table.Wrap(text, columns))
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
