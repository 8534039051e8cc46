package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/x/ringdht/internal/leaks"
)

func TestMain(m *testing.M) { leaks.Main(m) }

func TestJoinCommand(t *testing.T) {
	anywhere, one := &net.TCPAddr{IP: net.IPv6unspecified, Port: 12345}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 7}
	for _, c := range []struct {
		args []string
		at   net.Addr
		want string
	}{
		{nil, anywhere, "node -registry {host}:12345"},
		{nil, one, "node -registry 10.0.0.7:7"},
		{nil, &net.TCPAddr{IP: net.IPv6loopback, Port: 7}, "node -registry [::1]:7"},
		{[]string{"-ring", "shop", "-codec", "json"}, anywhere, "node -registry {host}:12345 -ring shop -codec json"},
		{[]string{"-ring", "it's a ring"}, anywhere, `node -registry {host}:12345 -ring 'it'\''s a ring'`},
	} {
		settings, err := parse(c.args, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if got := settings.join("node", c.at); got != c.want {
			t.Errorf("%q at %v: %q, want %q", c.args, c.at, got, c.want)
		}
	}
}

func TestNodeProgram(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ringdht-node"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for self, want := range map[string]string{
		filepath.Join(dir, "ringdht-registry"):  filepath.Join(dir, "ringdht-node"),
		filepath.Join(dir, "registry"):          "node", // as in the image
		"ringdht-registry":                      "ringdht-node",
		"/tmp/go-build123/b001/exe/registry":    "go run ./node",
		"/root/.cache/go-build/ab/abc/registry": "go run ./node",
	} {
		if got := nodeProgram(self); got != want {
			t.Errorf("%s: %s, want %s", self, got, want)
		}
	}
}
