package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The place of a ring is an argument, a flag, a variable, a file or the input; what is typed counts
// before the variable.
func TestWhereToJoin(t *testing.T) {
	const line = "rdht1:ring.example:1/a-b"
	file := filepath.Join(t.TempDir(), "join")
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, env, input, want string }{
		{"localhost:5", "", "", "localhost:5"},
		{line, "", "", line},
		{"-join " + line, "", "", line},
		{"-join @" + file, "", "", line},
		{"-join -", "", line + "\nexit\n", line},
		{"-", "", line + "\nexit\n", line},
		{"", line, "", line},
		{"", "@" + file, "", line},
		{"localhost:5", line, "", "localhost:5"},
		{"-join " + line, "rdht1:other:1/a-b", "", line},
	} {
		t.Setenv("RINGDHT_JOIN", c.env)
		var s settings
		if err := s.parse(strings.Fields(c.args), strings.NewReader(c.input), io.Discard); err != nil || s.registry.For() != c.want {
			t.Errorf("%+v: %v, %v", c, s.registry.For(), err)
		}
	}
	t.Setenv("RINGDHT_JOIN", "")
	for _, wrong := range []string{"", "-join x localhost:5", "a:1 b:1", "-join " + line + " localhost:5"} {
		var s settings
		if err := s.parse(strings.Fields(wrong), strings.NewReader(""), io.Discard); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
