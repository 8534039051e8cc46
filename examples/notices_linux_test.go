package examples_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// Manuals, errors that end a program, logs, and the lines of watch on a dumb terminal wrap by
// words.
func TestNoticesFitTheTerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	bin := build(t)
	for _, size := range []struct{ columns, rows int }{{80, 24}, {40, 10}} {
		t.Run(fmt.Sprintf("%d by %d", size.columns, size.rows), func(t *testing.T) {
			ends := func(says, program string, args ...string) {
				x := onTerminalOf(t, size.columns, size.rows, filepath.Join(bin, program), args...)
				x.Expect(spaced(says))
				x.Drain()
				fits(t, size.columns, program+" "+strings.Join(args, " "), x.Text())
			}
			for program, flag := range map[string]string{"registry": "MAX_PAYLOAD", "messenger": "ADVERTISE", "ring": "[A-Z]+", "study": "[A-Z]+"} {
				ends("from RINGDHT_"+flag+", and so on", program, "-h")
				ends("prints the manual", program, "-no-such-flag-is-there-on-this-program")
			}
			x := onTerminalOf(t, size.columns, size.rows, filepath.Join(bin, "registry"), "127.0.0.1:0")
			addr := x.Expect(`listening on[ \r\n]+(127\.0\.0\.1:\d+)`)[1]
			ends("another program listens there.* choose another", "registry", addr)
			ends("another program listens there.* choose another", "registry", "-http", addr, "127.0.0.1:0")
			ends("another program listens there.* choose another", "messenger", "-listen", addr, addr)

			x.Shows(`^> ▁$`)
			before := len(x.Text())
			dumb := onTerminalNamed(t, "dumb", size.columns, size.rows, filepath.Join(bin, "messenger"), addr)
			dumb.Expect(`This is node`)
			dumb.Shows(`^> ▁$`) // typed before the prompt, the echo would stand before it
			dumb.Type("watch 1\n")
			dumb.Expect(`queued`)
			fits(t, size.columns, "watch", dumb.Text())

			m := start(t, "messenger", filepath.Join(bin, "messenger"), addr)
			m.expect("^This is node")
			m.cmd.Process.Kill()
			x.Expect(spaced(`time=\d\d:\d\d:\d\d level=WARN msg=dead .*at its address`))
			x.Shows(`^> ▁$`)
			text := x.Text()[before:]
			fits(t, size.columns, "log", text)
			if strings.Contains(text, "incarnation") {
				t.Errorf("the log is not for people:\n%s", text)
			}
		})
	}
}

// spaced returns a pattern that matches text that is wrapped anywhere.
func spaced(pattern string) string {
	return "(?s)" + strings.ReplaceAll(pattern, " ", `\s+`)
}
