package console

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEntrances(t *testing.T) {
	const line = "rdht1:ring.example:12345/pin-secret"
	file := filepath.Join(t.TempDir(), "join")
	if err := os.WriteFile(file, []byte(line+"\nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, input, want, shown, rest string }{
		{"12345", "", "localhost:12345", "localhost:12345", ""},
		{"[::1]:12345", "", "[::1]:12345", "[::1]:12345", ""},
		{line, "", line, "ring.example:12345", ""},
		{"RDHT1:[::1]:1/x", "", "RDHT1:[::1]:1/x", "[::1]:1", ""},
		{"@" + file, "", line, "ring.example:12345", ""},
		{"-", line + "\r\nsend 1 hello\n", line, "ring.example:12345", "send 1 hello\n"},
		{"-", line, line, "ring.example:12345", ""},
		{"'" + line + "'", "", line, "ring.example:12345", ""},
		{"-", "Join with: ./messenger " + line + "\n", line, "ring.example:12345", ""},
		{"rdht1:12345", "", "rdht1:12345", "rdht1:12345", ""}, // a machine may have that name
	} {
		input := strings.NewReader(c.input)
		e, err := ParseEntrance(c.text, input)
		rest, _ := io.ReadAll(input)
		if err != nil || e.For() != c.want || e.String() != c.shown || string(rest) != c.rest || e.Secure() != strings.Contains(c.want, "/") {
			t.Errorf("%q: %q, shown as %q, %q left, %v", c.text, e.For(), e, rest, err)
		}
	}
	for _, wrong := range []string{"", "@" + file + "x", "-", "host", "@" + os.DevNull, "rdht1:host"} {
		if e, err := ParseEntrance(wrong, strings.NewReader("")); err == nil {
			t.Errorf("%q is %q", wrong, e)
		}
	}
	for _, cut := range []string{"rdht1:ring.example:12345", "rdht1:ring.example:12345-secret", "rdht1:ring", "-"} {
		_, err := ParseEntrance(cut, strings.NewReader("Join: rdht1:ring.example 12345-secret\n"))
		if err == nil || !strings.Contains(err.Error(), "copy it again, whole") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q, cut short: %v", cut, err)
		}
	}
	if _, err := ParseEntrance("-", strings.NewReader("\n")); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty line: %v", err)
	}
	if _, err := ParseEntrance("-", strings.NewReader(strings.Repeat("x", 1<<20))); err == nil || !strings.Contains(err.Error(), "longer") {
		t.Errorf("a line without an end: %v", err)
	}
}

// A join line without its beginning may have its whole secret, so no error shows it.
func TestEntranceWithoutItsBeginning(t *testing.T) {
	const secret = "j5rxysjh5vlj5s5pbx3ufjoiyikui"
	const behind = "192.0.2.2:23491/mogztncb7k33ke3ctvnbgit6wy-" + secret
	for _, wrong := range []string{"dht1:" + behind, behind, "rdht1 :" + behind, behind[len("192.0.2.2:23491/"):]} {
		if e, err := ParseEntrance(wrong, strings.NewReader("")); err == nil || strings.Contains(err.Error(), secret[:8]) || !strings.Contains(err.Error(), "join line") {
			t.Errorf("%q: %v, %v", wrong, e, err)
		}
	}
}
