package wire

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// The rules whose breach ends a connection stand in PROTOCOL.md, with the same numbers and words,
// and no others.
func TestRules(t *testing.T) {
	text, err := os.ReadFile("../../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]string)
	for _, row := range regexp.MustCompile(`(?m)^\| (R\d+) \| ([^|]+) \| ends the connection`).FindAllStringSubmatch(string(text), -1) {
		listed[row[1]] = row[2]
	}
	for r, words := range rules {
		if got := listed[r.String()]; got != words {
			t.Errorf("%v is %q in the code, and %q in PROTOCOL.md", r, words, got)
		}
		delete(listed, r.String())
	}
	for number, words := range listed {
		t.Errorf("PROTOCOL.md has %s, %q, which the code does not have", number, words)
	}
}

func TestViolationOf(t *testing.T) {
	long := strings.Repeat("ü", maxViolation)
	for _, c := range []struct {
		err  error
		code uint64
		text string
	}{
		{nil, 0, ""},
		{errors.New("closed"), 0, ""},
		{fmt.Errorf("it said so: %w", Violation{Code: 21, Rule: "R21"}), 0, ""}, // never answered
		{fmt.Errorf("%w: %w", ErrBody, Violation{}), 0, ""},
		{fmt.Errorf("%w: a frame of %d bytes", ErrNotBare, 40), 21, ErrNotBare.Error() + ": a frame of 40 bytes"},
		{fmt.Errorf("%w: %s", ErrBody, long), 30, strings.ToValidUTF8((ErrBody.Error() + ": " + long)[:maxViolation], "")},
		{fmt.Errorf("%w: \xff", ErrBody), 30, ErrBody.Error() + ": \uFFFD"},
	} {
		v, ok := ViolationOf(c.err)
		if ok != (c.code != 0) || v.Code != c.code || v.Text != c.text || ok && v.Rule != fmt.Sprint("R", c.code) {
			t.Errorf("%v: %+v", c.err, v)
		}
		if !utf8.ValidString(v.Text) {
			t.Errorf("%q is no text", v.Text)
		}
	}
}

func TestViolationFrame(t *testing.T) {
	v := Violation{21, "R21", "a body"}
	f := Frame(v.Append(nil))
	wantBytes(t, f, "14 000026 0000 00 00"+strings.Repeat("00", 16)+"0000000000000015 03 523231 6120626f6479")
	if got, err := ParseViolation(f); err != nil || got != v {
		t.Errorf("%+v, %v", got, err)
	}
	for _, body := range []string{"", "\x01", "\x03R2"} {
		if v, err := ParseViolation(Append(nil, Header{Type: Violated}, []byte(body))); err == nil {
			t.Errorf("%q: %+v", body, v)
		}
	}
	// What others say is quoted and cut: it must not reach a terminal as it is.
	hostile := Violation{Code: 1, Rule: strings.Repeat("\x1b", 300), Text: strings.Repeat("\n\x1b[2J", 1000)}
	if s := hostile.Error(); strings.ContainsAny(s, "\n\x1b") || len(s) > 5*maxViolation {
		t.Errorf("%d bytes: %q", len(s), s)
	}
	if f := hostile.Append(nil); Whole(f, len(f)) == 0 {
		t.Error("the frame is not whole")
	}
}

// Types in the ranges of extensions are frames, and others that are unknown end the connection.
func TestExtensions(t *testing.T) {
	for typ := range 256 {
		f := Type(typ)
		known := typ > 0 && typ < int(nextType)
		routed, conn := 0x20 <= typ && typ < 0x30, 0x30 <= typ && typ < 0x40
		if f.Extension() != (routed || conn || 0x80 <= typ && typ <= 0xBF) {
			t.Errorf("%v is an extension: %v", f, f.Extension())
		}
		if _, _, err := Scan(Append(nil, Header{Type: f}, []byte("body")), 100); (err == nil) != (known || routed || conn) {
			t.Errorf("%v between nodes: %v", f, err)
		}
		if _, _, err := ScanControl([]byte{byte(typ), 0, 0, 0}, 100); (err == nil) != (typ >= 0x40) {
			t.Errorf("%v to a registry: %v", f, err)
		}
	}
}
