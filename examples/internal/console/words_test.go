package console

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/x/ringdht"
)

// Errors and logs use the words of the programs' flags and commands.
func TestWords(t *testing.T) {
	var logged stringWriter
	log := NewScreen(io.Discard, &logged, false).Errors()
	for _, c := range []struct{ said, want string }{
		{"ringdht: node 5: check WithListen and WithAdvertise", "node 5: check -listen and -advertise"},
		{"start the registry with more bits (WithBits, or -bits)", "start the registry with more bits (-bits)"},
		{"a run needs two nodes that take part (WithTraffic), and this ring has 1: start more", "a run needs two nodes that take part, and this ring has 1: start more"},
		{"WithLease: 1ms is not between", "-lease: 1ms is not between"},
		{"run Setup (setup-overlay) at the registry", "run setup-overlay at the registry"},
	} {
		if text := Text(errors.New(c.said)); text != c.want {
			t.Errorf("an error is %q, want %q", text, c.want)
		}
		logged = ""
		fmt.Fprintln(log, c.said)
		if string(logged) != c.want+"\n" {
			t.Errorf("the log is %q, want %q", logged, c.want)
		}
	}
	_, err := ringdht.NewRegistry(ringdht.WithBits(65))
	if text := Text(err); text != "-bits: an ID has 1 to 64 bits, not 65" {
		t.Errorf("a wrong flag is %q", text)
	}
}

type stringWriter string

func (w *stringWriter) Write(p []byte) (int, error) {
	*w += stringWriter(p)
	return len(p), nil
}

func TestAddress(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"12345", "localhost:12345"}, {":8080", ":8080"}, {"h:0", "h:0"}, {"[::1]:080", "[::1]:80"},
		{"h:+80", ""}, {"-1", ""}, {"65536", ""}, {"h:http", ""}, {"h", ""},
	} {
		if got, err := Address(c.text, "localhost"); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q is %q, %v, want %q", c.text, got, err, c.want)
		}
	}
}
