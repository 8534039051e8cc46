package handshake

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/x/ringdht/internal/dial"
)

// ReasonOf returns an error's text without what differs each time, such as ports. Two errors with
// the same reason are of the same kind.
func ReasonOf(err error) string {
	if err == nil {
		return ""
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return Quote(op.Op + ": " + op.Err.Error())
	}
	return Quote(err.Error())
}

// maxText bounds a text of another process, in bytes: a registry may have to keep thousands.
const maxText = 500

// Quote returns a text of another process as it may be stored, logged and shown: in one line,
// without characters that a terminal acts on, and of at most 500 bytes and a mark that it was cut.
// What can be printed stays as it is. The rest is escaped as in Go. It is used where a text comes
// in, so that no raw one is kept.
func Quote(text string) string {
	cut := ""
	if len(text) > maxText {
		text, cut = text[:maxText], " …"
		for range utf8.UTFMax - 1 { // do not cut a character in two
			if r, n := utf8.DecodeLastRuneInString(text); r != utf8.RuneError || n != 1 {
				break
			}
			text = text[:len(text)-1]
		}
	}
	if dial.Printable(text) {
		return text + cut
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		one := text[:n]
		if r == utf8.RuneError && n == 1 || !unicode.IsPrint(r) {
			one = strings.Trim(strconv.Quote(one), `"`)
		}
		if b.Len()+len(one) > maxText { // escapes are longer than what they stand for
			cut = " …"
			break
		}
		b.WriteString(one)
		text = text[n:]
	}
	return b.String() + cut
}

// Quoted returns err with its text quoted, see [Quote]. It matches what err matches.
func Quoted(err error) error {
	if err == nil {
		return nil
	}
	if text := err.Error(); Quote(text) != text {
		return &quotedError{err, Quote(text)}
	}
	return err
}

type quotedError struct {
	err  error
	text string
}

func (e *quotedError) Error() string { return e.text }
func (e *quotedError) Unwrap() error { return e.err }

// JoinFew joins the first three of a list, and says how many more there are.
func JoinFew(all []string) string {
	const few = 3
	if len(all) <= few {
		return strings.Join(all, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(all[:few], "; "), len(all)-few)
}
