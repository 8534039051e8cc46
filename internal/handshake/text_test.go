package handshake

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Text that can be printed stays as it is; the rest is escaped, and what is long is cut.
func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "",
		"connection refused":              "connection refused",
		`C:\ring "a" 'b'`:                 `C:\ring "a" 'b'`,
		"Zürich, 東京, é":                   "Zürich, 東京, é",
		"\x1b[2J\x1b]0;owned\x07":         `\x1b[2J\x1b]0;owned\a`,
		"a\nlevel=ERROR msg=\"x\"\r\n\tb": `a\nlevel=ERROR msg="x"\r\n\tb`,
		"\xff\xfe":                        `\xff\xfe`,
		"\u202egnp.exe\u2028\u0085":       `\u202egnp.exe\u2028\u0085`,
		"\u009b31m":                       `\u009b31m`,
		strings.Repeat("x", 500):          strings.Repeat("x", 500),
		strings.Repeat("x", 501):          strings.Repeat("x", 500) + " …",
		strings.Repeat("x", 499) + "é":    strings.Repeat("x", 499) + " …",
		strings.Repeat("\n", 300):         strings.Repeat(`\n`, 250) + " …",
	} {
		if got := Quote(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("\x1b[31m")
	f.Add(strings.Repeat("\xf0\x9f\x98\x80", 200))
	f.Fuzz(func(t *testing.T, text string) {
		q := Quote(text)
		if !utf8.ValidString(q) || strings.ContainsFunc(q, func(r rune) bool { return !unicode.IsPrint(r) }) || len(q) > maxText+len(" …") {
			t.Fatalf("%q becomes %q", text, q)
		}
		if len(text) <= maxText && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) && utf8.ValidString(text) && q != text {
			t.Fatalf("%q becomes %q", text, q)
		}
	})
}

// An error with a text that is fit to show is itself. Another one matches what it matched.
func TestQuoted(t *testing.T) {
	if err := Quoted(io.EOF); err != io.EOF {
		t.Error(err)
	}
	if Quoted(nil) != nil {
		t.Error("an error of nothing")
	}
	err := Quoted(fmt.Errorf("%w\n\x1b", io.EOF))
	if !errors.Is(err, io.EOF) || err.Error() != `EOF\n\x1b` {
		t.Errorf("%q", err)
	}
}
