package console

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/x/ringdht/examples/internal/table"
)

// key is a key as the line editor understands it: a character, a control character, or one
// of xterm's sequences.
type key struct {
	text   string
	pasted bool
}

const (
	enter      = "\r"
	endOfInput = "\x04" // Ctrl-D
	wordLeft   = "\x1b[1;3D"
	wordRight  = "\x1b[1;3C"
	eraseWord  = "\x17"
	// interruptKey is put among the keys by an interrupt, so that the editor gets it in order.
	// A terminal cannot send it.
	interruptKey = '\ue000'
)

// printable reports whether the key inserts a character.
func (k key) printable() bool { return k.text[0] >= ' ' && k.text[0] != 0x7f }

// maxSequence bounds an escape sequence that is not complete. xterm's have at most 20 bytes.
const maxSequence = 32

// decoder turns the bytes of a terminal into keys. The editor gets nothing that it would
// misread: no incomplete sequence, no invalid UTF-8, and no control character of a paste.
type decoder struct {
	rest    []byte // an incomplete sequence or character
	pasting bool   // between the marks of a bracketed paste
	cr      bool   // the last key was a CR: a LF after it belongs to it
}

func (d *decoder) decode(p []byte) (keys []key) {
	b := append(d.rest, p...)
	for len(b) > 0 {
		n, text := d.one(b)
		if n == 0 {
			break // more bytes are needed
		}
		d.cr = b[0] == '\r'
		b = b[n:]
		if text != "" {
			keys = append(keys, key{text, d.pasting})
		}
	}
	d.rest = bytes.Clone(b)
	return keys
}

// one decodes the first key: its number of bytes, or 0 if it is incomplete, and its text,
// which is empty if the key means nothing here.
func (d *decoder) one(b []byte) (n int, text string) {
	switch c := b[0]; {
	case c == 0x1b:
		return d.escape(b)
	case c == '\n' && d.cr:
		return 1, ""
	case c == '\r' || c == '\n':
		return 1, enter
	case c == '\t' && d.pasting:
		return 1, " "
	case c < ' ' || c == 0x7f:
		// Ctrl-C, Ctrl-Z and Ctrl-\ are signals; an editor would take 3 for the end.
		if d.pasting || c == 0 || c == 3 || c == 0x1a || c == 0x1c {
			return 1, ""
		}
		return 1, string(rune(c))
	case c < utf8.RuneSelf:
		return 1, string(rune(c))
	case !utf8.FullRune(b):
		return 0, ""
	}
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError || r == interruptKey || table.Plain(string(r)) != string(r) {
		return n, "?"
	}
	return n, string(r)
}

// escape decodes an escape sequence: ESC [ parameters letter, ESC O letter, or ESC character.
func (d *decoder) escape(b []byte) (n int, text string) {
	switch {
	case len(b) == 1:
		return 0, ""
	case b[1] == 'O' && len(b) == 2:
		return 0, ""
	case b[1] == 'O':
		return 3, d.meaning("", b[2])
	case b[1] == '[':
		for i, c := range b[2:] {
			if c >= 0x40 && c <= 0x7e {
				return i + 3, d.meaning(string(b[2:i+2]), c)
			}
			if c < 0x20 || c > 0x3f || i >= maxSequence {
				return i + 2, ""
			}
		}
		return 0, ""
	case d.pasting:
		return 1, ""
	case b[1] == 'b':
		return 2, wordLeft
	case b[1] == 'f':
		return 2, wordRight
	case b[1] == 0x7f:
		return 2, eraseWord
	}
	return 1, ""
}

// meaning returns what a sequence means to the editor, or nothing.
func (d *decoder) meaning(parameters string, last byte) string {
	switch last {
	case '~':
		switch parameters {
		case "1", "7":
			return d.typed("\x1b[H")
		case "4", "8":
			return d.typed("\x1b[F")
		case "3":
			return d.typed("\x1b[3~")
		case "200", "201":
			d.pasting = parameters == "200"
		}
	case 'C', 'D':
		if strings.HasPrefix(parameters, "1;") { // with a modifier
			return d.typed("\x1b[1;3" + string(rune(last)))
		}
		return d.typed("\x1b[" + string(rune(last)))
	case 'A', 'B', 'H', 'F':
		return d.typed("\x1b[" + string(rune(last)))
	}
	return ""
}

// typed returns a sequence unless it is pasted.
func (d *decoder) typed(text string) string {
	if d.pasting {
		return ""
	}
	return text
}
