package main

import (
	"fmt"
	"regexp"
	"strings"
)

// prose counts what was written.
type prose struct {
	total     int // words of a document, tables and code included
	words     int // in sentences
	sentences int
	vague     int // see vagueWords
}

func (p prose) String() string {
	if p.total > 0 {
		return fmt.Sprintf("%d words in all, %.1f a sentence, %d vague", p.total, float64(p.words)/float64(max(p.sentences, 1)), p.vague)
	}
	return fmt.Sprintf("%d words, %.1f a sentence, %d vague", p.words, float64(p.words)/float64(max(p.sentences, 1)), p.vague)
}

// vagueWords stand where the field has a noun: a node, a source, a caller.
var vagueWords = regexp.MustCompile(`(?i)\b(whoever|whatever|somebody|someone|everybody|everyone|nobody|anybody|anyone|who)\b`)

var (
	code     = regexp.MustCompile("`[^`]*`")
	stop     = regexp.MustCompile(`[.!?]["')\]]*(\s|$)`)
	word     = regexp.MustCompile(`[\pL\pN][\pL\pN'’_.-]*`)
	notASpot = strings.NewReplacer("e.g.", "eg", "i.e.", "ie", "et al.", "et al", "vs.", "vs")
)

// add counts sentences.
func (p *prose) add(all []string) {
	for _, s := range all {
		n := len(word.FindAllString(s, -1))
		if n < 3 { // a label, a directive
			continue
		}
		p.words += n
		p.sentences++
		p.vague += len(vagueWords.FindAllString(s, -1))
	}
}

// sentences cuts a comment into sentences: at full stops, blank lines and items of lists.
// What is indented, as code is, does not count.
func sentences(text string) (all []string) {
	var paragraph []string
	end := func() {
		joined := notASpot.Replace(code.ReplaceAllString(strings.Join(paragraph, " "), "code"))
		for _, s := range stop.Split(joined, -1) {
			if s = strings.TrimSpace(s); s != "" {
				all = append(all, s)
			}
		}
		paragraph = nil
	}
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		item := strings.HasPrefix(trimmed, "- ") || strings.HasPrefix(trimmed, "* ") || len(trimmed) > 2 && trimmed[0] >= '0' && trimmed[0] <= '9' && trimmed[1] == '.'
		switch {
		case trimmed == "" || strings.HasPrefix(line, "\t") && !item:
			end()
			continue
		case item:
			end()
		}
		paragraph = append(paragraph, trimmed)
	}
	end()
	return all
}

// markdown counts a document without its code blocks and tables.
func markdown(text string) (p prose) {
	var kept strings.Builder
	fenced := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			fenced = !fenced
		case fenced:
		case strings.HasPrefix(line, "|"), strings.HasPrefix(line, "#"):
			kept.WriteString("\n")
		default:
			kept.WriteString(strings.TrimLeft(line, " \t"))
		}
	}
	p.total = len(strings.Fields(text))
	p.add(sentences(kept.String()))
	return p
}
