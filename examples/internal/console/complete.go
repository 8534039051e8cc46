package console

import (
	"slices"
	"strings"
)

// maxOffered bounds the completions that Tab lists.
const maxOffered = 60

// complete completes the word before the cursor. If several words fit and have no longer
// start in common, it lists them.
func (e *editor) complete(text string, at int) (string, int, bool) {
	if at < len(text) && text[at] != ' ' {
		return text, at, true
	}
	start := strings.LastIndexByte(text[:at], ' ') + 1
	fits := e.console.completions(strings.Fields(text[:start]), text[start:at])
	if len(fits) == 0 {
		return text, at, true
	}
	whole := common(fits)
	switch {
	case len(fits) == 1 && !strings.HasPrefix(text[at:], " "):
		whole += " "
	case len(fits) > 1 && whole == text[start:at]:
		e.screen.Say("%s", offer(fits))
	}
	if len(whole) < at-start {
		return text, at, true
	}
	return text[:start] + whole + text[at:], start + len(whole), true
}

// offer lists completions in a line.
func offer(fits []string) string {
	if more := len(fits) - maxOffered; more > 0 {
		return strings.Join(fits[:maxOffered], "  ") + "  and " + Count(more, "more")
	}
	return strings.Join(fits, "  ")
}

// completions returns the words that begin with start and can follow others: a command, or
// what the arguments of the command stand for.
func (c *Console) completions(before []string, start string) (fits []string) {
	add := func(word string) {
		if strings.HasPrefix(word, start) && !slices.Contains(fits, word) {
			fits = append(fits, word)
		}
	}
	if len(before) == 0 {
		for _, cmd := range c.all() {
			add(cmd.Name)
		}
		if len(fits) == 0 {
			fits = c.abbreviated(start)
		}
		slices.Sort(fits)
		return fits
	}
	cmd, err := c.find(before[0])
	if err != nil {
		return nil
	}
	if strings.HasPrefix(start, "-") {
		add(asJSON)
		return fits
	}
	before = slices.DeleteFunc(before[1:], func(word string) bool { return word == asJSON })
	args := strings.Fields(cmd.Args)
	if len(before) >= len(args) {
		return nil
	}
	switch args[len(before)] {
	case "node", "a", "b": // examples of help use {a} and {b} for nodes, too
		c.nodeNames(start, add)
	case "[command]":
		return c.completions(nil, start)
	}
	return fits
}

// abbreviated returns the short names that begin with start. If there are none, it returns
// the names that start abbreviates part by part.
func (c *Console) abbreviated(start string) (fits []string) {
	for _, cmd := range c.all() {
		for _, short := range cmd.shorts() {
			if strings.HasPrefix(short, start) {
				fits = append(fits, short)
			}
		}
	}
	if len(fits) > 0 {
		return fits
	}
	for _, cmd := range c.all() {
		if shortens(start, cmd.Name) {
			fits = append(fits, cmd.Name)
		}
	}
	return fits
}

// nodeNames adds IDs and names, and addresses if start begins one.
func (c *Console) nodeNames(start string, add func(string)) {
	nodes := c.nodes()
	for _, p := range nodes {
		add(p.ID.String())
	}
	if c.Known != nil {
		for _, name := range c.Known() {
			add(name)
		}
	}
	if start == "" {
		return
	}
	names := nodes.Names()
	for _, p := range nodes {
		if p.Addr != "" {
			add(names.Addr(p))
			add(p.Addr)
		}
	}
}

// common returns the longest start that all words share.
func common(words []string) string {
	start := words[0]
	for _, w := range words[1:] {
		for !strings.HasPrefix(w, start) {
			start = start[:len(start)-1]
		}
	}
	return start
}

// helpFor returns the help for a question mark after text: the list of commands after
// nothing, and the explanation of a command after its name. It returns false if the question
// mark belongs to an argument.
func (c *Console) helpFor(text string) (help string, ok bool) {
	words := strings.Fields(text)
	switch len(words) {
	case 0:
		return c.list(c.editor.columnsNow()), true
	case 1:
		cmd, err := c.find(words[0])
		if err != nil {
			return c.text(err), true
		}
		return c.explain(cmd, c.editor.columnsNow()), true
	}
	return "", false
}
