package console

import (
	"fmt"
	"strings"
	"testing"
)

// sizes are those of the terminals in these tests.
var sizes = []struct{ columns, rows int }{{80, 24}, {40, 10}}

// onTerminals runs a test on terminals of several sizes.
func onTerminals(t *testing.T, test func(t *testing.T, columns, rows int)) {
	for _, s := range sizes {
		t.Run(fmt.Sprintf("%dx%d", s.columns, s.rows), func(t *testing.T) { test(t, s.columns, s.rows) })
	}
}

// A line that is half typed survives text that arrives, also if it has several rows, and with
// the cursor anywhere in it.
func TestHalfLineSurvives(t *testing.T) {
	onTerminals(t, func(t *testing.T, columns, rows int) {
		d := sit(t, columns, rows)
		d.Type("echo half")
		d.Shows(`^> echo half▁$`)
		d.screen.Say("a message")
		d.screen.Complain("a warning")
		d.Shows(`^a message\na warning\n> echo half▁$`)
		d.Type("\x1b[D\x1b[D") // the cursor is on the l
		d.screen.Print("results\nin two lines")
		d.Type("A")
		d.Shows(`^results\nin two lines\n> echo haAlf$`)
		d.Type("\r")
		d.Shows(`^> echo haAlf\necho haAlf\n> ▁$`)

		long := strings.Repeat("y", columns)
		d.Type("echo " + long)
		d.Shows(`^> echo y+\ny{7}▁$`)
		d.screen.Say("another message")
		d.Shows(`^another message\n> echo y+\ny{7}▁$`)
		d.Type("\x01") // Ctrl-A: the cursor is in the first row
		d.screen.Say("one more")
		d.Shows(`^another message\none more\n> echo y+\ny{7}$`)
		d.Type("\x1b[C\x1b[C\x1b[C\x1b[C\x1b[C!\r")
		d.Shows(`^another message\none more\n> echo !y+\ny{8}\necho !y+\ny{6}\n> ▁$`)
		d.Type("日本 ")
		d.screen.Say("and one")
		d.Shows(`^and one\n> 日本`)
		d.Type("\x15quit\r")
		if err := d.end(); err != nil {
			t.Error(err)
		}
	})
}

// Arrow keys get lines back, and move in them.
func TestHistory(t *testing.T) {
	onTerminals(t, func(t *testing.T, columns, rows int) {
		d := sit(t, columns, rows)
		d.Type("echo a\r\recho b\recho b\r")
		d.Shows(`^> echo b\necho b\n> ▁$`)
		d.Type("\x1b[A")
		d.Shows(`^> echo b▁$`)
		d.Type("\x1bOA") // as some terminals send it
		d.Shows(`^> echo a▁$`)
		d.Type("\x1b[H\x1b[3~\x1b[3~\x1b[3~\x1b[3~say\x1b[F!")
		d.Shows(`^> say a!▁$`)
		d.Type("\x1b[B\x1b[B")
		d.Shows(`^> ▁$`)
		d.Type("one two\x1bb\x1b[1;5D3\x17") // words; an incomplete and an unknown sequence
		d.Shows(`^> one two$`)
		d.Type("\x05\x15\x1b[1;1\x1b[99~\x1b[2~echo c\r")
		d.Shows(`echo c\n> ▁$`)
	})
}

// Tab completes commands and nodes.
func TestTab(t *testing.T) {
	onTerminals(t, func(t *testing.T, columns, rows int) {
		d := sit(t, columns, rows)
		for _, c := range []struct{ typed, want string }{
			{"ech\t", `^> echo ▁$`},
			{"list\t", `^> list-▁$`},
			{"list-\t", `^list-nodes  list-runs\n> list-▁$`},
			{"list-r\t", `^> list-runs ▁$`},
			{"node\t", `^> nodes ▁$`},
			{"l-r\t", `^> list-runs ▁$`},
			{"\t", `(?s)^echo .*watch\n> ▁$`},
			{"trace 4\t", `^> trace 42▁$`},
			{"trace 42\t", `^4211  4242\n> trace 42▁$`},
			{"trace 7\t424\t", `^> trace 7 4242 ▁$`},
			{"trace -j\t424\t", `^> trace -json 4242 ▁$`},
			{"send :8\t", `^:81  :82  :83\n> send :8▁$`},
			{"send :83\thello\tyou", `^> send :83 helloyou▁$`},
			{"help ech\t", `^> help echo ▁$`},
			{"xyz\t 4\t", `^> xyz 4▁$`},
			{"echo\x01\x1b[C\x1b[C\x1b[C\t", `^> echo$`}, // in the middle of the word
		} {
			d.Type(c.typed)
			d.Shows(c.want)
			d.Type("\x05\x15") // Ctrl-E, Ctrl-U
			d.Shows(`^> ▁$`)
		}
	})
}

// A question mark on an empty line lists the commands, and after a command it explains it. In
// an argument it is a question mark.
func TestQuestionMark(t *testing.T) {
	d := sit(t, 80, 24)
	d.Type("?")
	d.Shows(`(?s)^command +short  what it does\n.*\n> ▁$`)
	d.Type("nod?")
	d.Shows(`(?s)^usage: list-nodes\n.*\n> nod▁$`)
	d.Type("\x15nodes ?")
	d.Shows(`(?s)^usage: list-nodes\nshort: nodes\n.*\n> nodes ▁$`)
	d.Type("\x15send 7 why?\r")
	d.Shows(`^echo 7,why\?\n> ▁$`)
	d.Type("sned?")
	d.Shows(`^unknown command "sned": did you mean send\? .*\n> sned▁$`)
}

// Pasted lines run one after the other, and what is pasted is not completed.
func TestPaste(t *testing.T) {
	onTerminals(t, func(t *testing.T, columns, rows int) {
		d := sit(t, columns, rows)
		d.Type("\x1b[200~echo a\tb\r\n?\x00\x1b[A\x01\recho c\x1b[201~")
		d.Shows(`(?s)Names can be .*> echo c▁$`)
		if all := d.Scrolled() + "\n" + d.Screen(); !strings.Contains(all, "> echo a b\necho a,b\n> ?\ncommand") {
			t.Errorf("it shows\n%s", all)
		}
		d.Type("\r")
		d.Shows(`echo c\n> ▁$`)
		d.Type("\x1b[200~" + strings.Repeat("echo 1\recho 2\r", 100) + "echo last\r\x1b[201~")
		d.Shows(`echo 1\n> echo 2\necho 2\n> echo last\necho last\n> ▁$`)
		if n := strings.Count(d.Scrolled(), "\necho 1\n> echo 2\necho 2"); n < 90 {
			t.Errorf("only %d pairs ran", n)
		}
	})
}

// A line that the editor cannot hold is one error, and nothing of it runs. The next line is
// read.
func TestLongTypedLine(t *testing.T) {
	d := sit(t, 80, 24)
	go d.Type("echo " + strings.Repeat("x", 1<<18) + "\recho next\r")
	d.Shows(`^the line is too long and was not executed: a line has at most 4096 characters\n> echo next\necho next\n> ▁$`)
	if n := strings.Count(d.Text(), "too long"); n != 1 {
		t.Errorf("%d errors", n)
	}
	go d.Type("\x1b[200~echo " + strings.Repeat("x", 5000) + "\recho pasted\r\x1b[201~")
	d.Shows(`^the line is too long .*\n> echo pasted\necho pasted\n> ▁$`)
	d.Type("\x1b[A\x1b[A") // it is not in the history
	d.Shows(`^> echo next▁$`)
	d.Type("\x15" + strings.Repeat("x", 4100) + "\x15echo " + strings.Repeat("z", 100) + "\r") // a line that was cleared is short again
	d.Shows(`^echo z{75}\nz{25}\n> ▁$`)
}

// Bytes that are no text do no harm.
func TestBytesThatAreNoText(t *testing.T) {
	d := sit(t, 80, 24)
	d.Type("echo a\x00b\xffc\u009b\u202e\ufffd\ue000\r")
	d.Shows(`^> echo ab\?c\?\?\?\?\necho ab\?c\?\?\?\?\n> ▁$`)
	d.Type("echo \xe6\x97") // half a character
	d.Type("\xa5\r")
	d.Shows(`^echo 日\n> ▁$`)
}

// Ctrl-D at an empty line ends the input. In a line it erases.
func TestCtrlD(t *testing.T) {
	told := make(chan bool, 1)
	d := sit(t, 80, 24, func(d *desk) { d.console.Ended = func() { d.screen.Say("end of input"); told <- true } })
	d.Type("echo ab\x01\x04\x04\x04\x04echo \x05\r")
	d.Shows(`^echo ab$`)
	d.Type("\x04")
	<-told
	d.Shows(`^echo ab\nend of input\n▁$`)
	if d.in.interrupt() {
		t.Error("an interrupt after the end of the input does not end the program")
	}
}

// The line follows the size of the terminal.
func TestResize(t *testing.T) {
	d := sit(t, 80, 24)
	d.Type("start 1\r")
	d.Shows(`^1 is at work\n> ▁$`)
	d.Type("echo " + strings.Repeat("ab", 20))
	d.Shows(`^1 is at work\n> echo (ab){20}▁$`)
	resize := func(columns, rows int) {
		d.Resize(columns, rows)
		d.screen.resized() // this process gets no signal for it
	}
	resize(40, 10)
	d.Shows(`1 is at work\n> echo (ab){16}a\nb(ab){3}▁$`)
	d.screen.Say("a message")
	d.Shows(`a message\n1 is at work\n> echo (ab){16}a\nb(ab){3}▁$`)
	resize(80, 24)
	d.Shows(`1 is at work\n> echo (ab){20}▁$`)
	d.release <- nil
	d.Shows(`result of 1\n> echo (ab){20}▁$`)
	d.Type("\r")
	d.Shows(`> echo (ab){20}\necho (ab){20}\n> ▁$`)
}
