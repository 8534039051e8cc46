package drive

import (
	"os"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// Terminal is a pseudo-terminal: a program has the one end, and the test types and reads
// at the other.
type Terminal struct {
	t      testing.TB
	master *os.File
	// Program is the end for the program.
	Program *os.File

	out   stream
	ended chan struct{}
	once  sync.Once
}

// OpenTerminal opens a terminal of a size in characters.
func OpenTerminal(t testing.TB, columns, rows int) *Terminal {
	t.Helper()
	// Opened by system calls, so that reads can be waited for.
	fd, err := syscall.Open("/dev/ptmx", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatalf("/dev/ptmx: %v", err)
	}
	unlocked := int32(0)
	ioctl(t, fd, syscall.TIOCSPTLCK, uintptr(unsafe.Pointer(&unlocked)))
	// The other end by way of this one: there may be no /dev/pts to find it in.
	const tiocgptpeer = 0x5441
	peer := ioctl(t, fd, tiocgptpeer, syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC)
	x := &Terminal{t: t, master: os.NewFile(uintptr(fd), "terminal"), Program: os.NewFile(peer, "program"), ended: make(chan struct{})}
	x.out.init()
	x.Resize(columns, rows)
	go func() {
		defer close(x.ended)
		b := make([]byte, 4096)
		for {
			n, err := x.master.Read(b)
			x.out.Write(b[:n])
			if err != nil { // the last program has let go of it
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

// Resize gives it another size, and tells the program.
func (x *Terminal) Resize(columns, rows int) {
	x.t.Helper()
	size := [4]uint16{uint16(rows), uint16(columns)}
	raw, err := x.master.SyscallConn()
	if err != nil {
		x.t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { ioctl(x.t, int(fd), syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size))) })
}

// Type types text as it is: "\x03" is Ctrl-C.
func (x *Terminal) Type(text string) {
	x.t.Helper()
	if _, err := x.master.WriteString(text); err != nil {
		x.t.Fatal(err)
	}
}

// Expect waits until what was printed since the last match has a match of a regular
// expression, and returns it and its groups.
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
			x.t.Fatalf("the end without %q on the terminal:\n%q", pattern, x.out.String())
		}
		select {
		case <-changed:
		case <-ended:
			ended = nil
		case <-timeout:
			x.t.Fatalf("no %q on the terminal:\n%q", pattern, x.out.String())
		}
	}
}

// Text is all that was printed so far.
func (x *Terminal) Text() string { return x.out.String() }

// Close ends it, as if it were unplugged.
func (x *Terminal) Close() {
	x.once.Do(func() {
		x.Program.Close()
		x.master.Close()
		<-x.ended
	})
}
