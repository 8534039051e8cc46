package wire

import (
	"strings"
	"testing"
)

// The names of services are for people and for logs, and short.
func TestCheckService(t *testing.T) {
	for _, name := range []string{"", "a", "jobs", "a name with spaces", "straße", "日本語", strings.Repeat("n", MaxService), `"quoted"`} {
		if err := CheckService(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{" ", " a", "a ", "a\n", "a\x00b", "\x7f", "a\u0085", "a\u200bb", "a\u202eb", "\xff", "a\xc3", strings.Repeat("n", MaxService+1), strings.Repeat("ü", MaxService)} {
		if err := CheckService(name); err == nil || len(err.Error()) > 500 {
			t.Errorf("%q is a name: %v", name, err)
		}
	}
}

// An Open has a name where its port is that of a named service, and only there.
func TestOpenOfAService(t *testing.T) {
	for _, c := range []struct {
		port uint8
		n    int
		ok   bool
	}{{0, 0, true}, {0, 1, false}, {1, 0, false}, {1, 1, true}, {127, MaxService, true}, {1, MaxService + 1, false}} {
		name := strings.Repeat("n", c.n)
		body := OpenBody{7, name}.Append(nil)
		b, err := ParseOpen(c.port, body)
		if ok := err == nil; ok != c.ok || ok && b != (OpenBody{7, name}) {
			t.Errorf("%d bytes on port %d: %+v %v", c.n, c.port, b, err)
		}
		if _, err := ParseOpen(c.port, body[:7]); err == nil {
			t.Error("half an incarnation is taken")
		}
	}
}

// A cast for a named service begins with the name. The message may be empty.
func TestNamedCast(t *testing.T) {
	for _, message := range []string{"", "message"} {
		name, rest, err := ParseNamed(AppendNamed(nil, "jobs", []byte(message)))
		if string(name) != "jobs" || string(rest) != message || err != nil {
			t.Errorf("%q %q %v", name, rest, err)
		}
	}
	for _, bad := range []string{"", "\x00", "\x00a", "\x02a", "\x41" + strings.Repeat("n", 65)} {
		if _, _, err := ParseNamed([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Messages of traffic runs travel on the stream of port 0.
func TestStreamPort(t *testing.T) {
	for _, c := range [][2]uint8{{0, 0}, {1, 1}, {127, 127}, {128, 0}, {255, 0}} {
		if got := StreamPort(c[0]); got != c[1] {
			t.Errorf("port %d is of stream %d", c[0], got)
		}
	}
}
