package table

import (
	"testing"
	"time"
)

func TestUnits(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Bytes(0), "0 B"}, {Bytes(9), "9 B"}, {Bytes(999), "999 B"}, {Bytes(1000), "1.0 kB"}, {Bytes(9960), "10 kB"},
		{Bytes(999_499), "999 kB"}, {Bytes(999_500), "1.0 MB"}, {Bytes(8 << 20), "8.4 MB"}, {Bytes(1 << 62), "4612 PB"},
		{Rate(0), "0/s"}, {Rate(0.25), "0.2/s"}, {Rate(12.3), "12/s"}, {Rate(4_871_674), "4.9M/s"}, {Rate(32_000), "32k/s"},
		{Span(-1), "0.0 s"}, {Span(1234 * time.Millisecond), "1.2 s"}, {Span(90 * time.Second), "90 s"},
		{Span(5 * time.Minute), "5 min"}, {Span(30 * time.Hour), "30 h"}, {Span(100 * time.Hour), "4 days"},
		{Short(0), "0 µs"}, {Short(32 * time.Microsecond), "32 µs"}, {Short(16384 * time.Microsecond), "16 ms"}, {Short(2 * time.Second), "2.0 s"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// Text from another machine cannot move the cursor.
func TestPlain(t *testing.T) {
	tb := New(Left("why"))
	tb.Row("gone\x1b[2J\n\tü")
	if got := tb.String(); got != "why\ngone\ufffd[2J\ufffd\ufffdü\n" {
		t.Errorf("%q", got)
	}
	// C1 as a rune and as a byte, a byte that is not UTF-8, and characters that reverse the
	// order.
	if got := Plain("a\u009b1mb\x9b1m\u202ec\u2028d"); got != "a\ufffd1mb\ufffd1m\ufffdc\ufffdd" {
		t.Errorf("%q", got)
	}
	if got := PlainLines("a\nb\r\tc\n"); got != "a\nb\ufffd\ufffdc\n" {
		t.Errorf("%q", got)
	}
}
