package drive

import (
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/x/ringdht/examples/internal/table"
)

// Terminal is a pseudo-terminal. The program has one end; the test types and reads at the
// other.
type Terminal struct {
	t      testing.TB
	master *os.File
	// Program is the program's end.
	Program *os.File

	out   stream
	ended chan struct{}
	once  sync.Once

	mu      sync.Mutex // guards the fields below
	picture *picture
	changed chan struct{} // closed when the picture changes
}

// OpenTerminal opens a terminal with a size in characters.
func OpenTerminal(t testing.TB, columns, rows int) *Terminal {
	t.Helper()
	// System calls and not os.OpenFile, so that reads can be waited for.
	fd, err := syscall.Open("/dev/ptmx", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatalf("/dev/ptmx: %v", err)
	}
	unlocked := int32(0)
	ioctl(t, fd, syscall.TIOCSPTLCK, uintptr(unsafe.Pointer(&unlocked)))
	// Opened through the first end: there may be no /dev/pts to find it in.
	const tiocgptpeer = 0x5441
	peer := ioctl(t, fd, tiocgptpeer, syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC)
	x := &Terminal{t: t, master: os.NewFile(uintptr(fd), "terminal"), Program: os.NewFile(peer, "program"), ended: make(chan struct{}),
		picture: newPicture(columns, rows), changed: make(chan struct{})}
	x.out.init()
	x.Resize(columns, rows)
	go func() {
		defer close(x.ended)
		b := make([]byte, 4096)
		for {
			n, err := x.master.Read(b)
			x.out.Write(b[:n]) // first: what the screen shows is in the text
			x.draw(func() { x.picture.write(b[:n]) })
			if err != nil { // the last program has closed its end
				return
			}
		}
	}()
	t.Cleanup(x.Close)
	return x
}

func ioctl(t testing.TB, fd int, what, value uintptr) uintptr {
	t.Helper()
	r, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), what, value)
	if errno != 0 {
		t.Fatalf("ioctl %#x: %v", what, errno)
	}
	return r
}

// draw changes the picture.
func (x *Terminal) draw(change func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	change()
	close(x.changed)
	x.changed = make(chan struct{})
}

// Resize changes the size, and notifies the program.
func (x *Terminal) Resize(columns, rows int) {
	x.t.Helper()
	x.draw(func() { x.picture.resize(columns, rows) })
	size := [4]uint16{uint16(rows), uint16(columns)}
	raw, err := x.master.SyscallConn()
	if err != nil {
		x.t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { ioctl(x.t, int(fd), syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size))) })
}

// Type types text unchanged: "\x03" is Ctrl-C.
func (x *Terminal) Type(text string) {
	x.t.Helper()
	if _, err := x.master.WriteString(text); err != nil {
		x.t.Fatal(err)
	}
}

// Expect waits until the output since the last match matches a regular expression. It returns
// the match and its groups.
func (x *Terminal) Expect(pattern string) []string {
	x.t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	ended := x.ended
	for {
		match, changed := x.out.match(re)
		if match != nil {
			return match
		}
		if ended == nil {
			x.t.Fatalf("the end without %q on the terminal:\n%q", pattern, x.tail())
		}
		select {
		case <-changed:
		case <-ended:
			ended = nil
		case <-timeout:
			x.t.Fatalf("no %q on the terminal:\n%q", pattern, x.tail())
		}
	}
}

// tail returns the end of the output.
func (x *Terminal) tail() string {
	text := x.out.String()
	return text[max(0, len(text)-4000):]
}

// Shows waits until the screen matches a regular expression, in which (?m) is set: its lines
// without spaces at their ends, a line end after each but the last, and ▁ for the cursor if
// it is after the last character of its line.
func (x *Terminal) Shows(pattern string) []string {
	x.t.Helper()
	re := regexp.MustCompile("(?m)" + pattern)
	timeout := time.After(patience)
	for {
		picture, changed := x.screen()
		if match := re.FindStringSubmatch(picture); match != nil {
			return match
		}
		select {
		case <-changed:
		case <-timeout:
			x.t.Fatalf("the screen does not show %q:\n%s\nafter %q", pattern, picture, x.tail())
		}
	}
}

// Screen returns what the screen shows now, as Shows matches it.
func (x *Terminal) Screen() string {
	text, _ := x.screen()
	return text
}

// Scrolled returns the lines that were scrolled out at the top.
func (x *Terminal) Scrolled() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return strings.Join(x.picture.gone, "\n")
}

func (x *Terminal) screen() (string, <-chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.picture
	if len(p.unknown) > 0 {
		x.t.Errorf("the emulator does not know %q", p.unknown)
		p.unknown = nil
	}
	lines := p.lines()
	if at := line(p.cells[p.row]); table.Cells(at) <= p.column || p.wrapping {
		lines[p.row] += strings.Repeat(" ", p.column-min(p.column, table.Cells(at))) + "▁"
	}
	return strings.Join(lines, "\n"), x.changed
}

// Text returns the whole output so far.
func (x *Terminal) Text() string { return x.out.String() }

// Drain closes the program's end, and waits for what programs that have ended have written.
func (x *Terminal) Drain() {
	x.Program.Close()
	<-x.ended
}

// Close ends the terminal, as if it were unplugged.
func (x *Terminal) Close() {
	x.once.Do(func() {
		x.Program.Close()
		x.master.Close()
		<-x.ended
	})
}

// Cooked reports whether the terminal edits lines itself and shows what is typed, as a shell
// expects it.
func (x *Terminal) Cooked() bool {
	x.t.Helper()
	var mode syscall.Termios
	const tcgets = 0x5401
	ioctl(x.t, int(x.Program.Fd()), tcgets, uintptr(unsafe.Pointer(&mode)))
	return mode.Lflag&syscall.ICANON != 0 && mode.Lflag&syscall.ECHO != 0
}
