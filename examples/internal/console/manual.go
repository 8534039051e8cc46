package console

import (
	"flag"
	"io"
	"strings"

	"github.com/x/ringdht/examples/internal/table"
)

// manualWidth is the width of a manual that does not go to a terminal.
const manualWidth = 80

// manualText returns a program's manual with its flags, for where it is printed: all its lines
// fit a terminal, or 80 columns.
func manualText(to io.Writer, flags *flag.FlagSet, manual string) string {
	width := manualWidth
	if isTerminal(to) {
		width = sizeOf(to).Columns
	}
	usage, text, _ := strings.Cut(strings.Trim(manual, "\n"), "\n\n")
	var b strings.Builder
	b.WriteString(usage + "\n\n" + paragraph(text, width) + "\nFlags:\n")
	var defaults strings.Builder
	flags.SetOutput(&defaults)
	flags.PrintDefaults()
	for line := range strings.Lines(defaults.String()) {
		if help, ok := strings.CutPrefix(line, "    \t"); ok {
			const indent = "        "
			line = indent + strings.ReplaceAll(table.Wrap(strings.TrimSuffix(help, "\n"), width-len(indent)), "\n", "\n"+indent) + "\n"
		}
		b.WriteString(line)
	}
	b.WriteString("\n" + paragraph(envManual(flags, manual), width))
	return b.String()
}

// paragraph returns lines as one paragraph of a width.
func paragraph(text string, width int) string {
	return table.Wrap(strings.Join(strings.Fields(text), " "), width) + "\n"
}
