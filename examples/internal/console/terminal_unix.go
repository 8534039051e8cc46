//go:build darwin || dragonfly || freebsd || linux || netbsd

package console

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// ioctl controls a stream that is a file.
func ioctl(stream any, what uintptr, value unsafe.Pointer) error {
	f, ok := stream.(*os.File)
	if !ok {
		return os.ErrInvalid
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	if err := raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, what, uintptr(value))
	}); err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// windowSize returns the size of a terminal, zeros if it is unknown. It returns false if the
// stream is no terminal.
func windowSize(stream any) (Size, bool) {
	var size struct{ rows, columns, x, y uint16 }
	err := ioctl(stream, syscall.TIOCGWINSZ, unsafe.Pointer(&size))
	return Size{int(size.columns), int(size.rows)}, err == nil
}

func terminal(f *os.File) bool {
	_, ok := windowSize(f)
	return ok
}

// refused reports whether a terminal refused to be read: the program is in the background of
// its shell, or the terminal is gone.
func refused(err error) bool { return errors.Is(err, syscall.EIO) }

// tty is a terminal whose keys are read one by one. Ctrl-C, Ctrl-Z and Ctrl-\ stay signals,
// and a line end in the output stays one.
type tty struct {
	file *os.File

	mu    sync.Mutex
	was   syscall.Termios // the mode to restore
	isRaw bool
}

// newTTY returns the terminal that a stream is, or nil.
func newTTY(stream any) *tty {
	f, ok := stream.(*os.File)
	if !ok {
		return nil
	}
	var mode syscall.Termios
	if ioctl(f, getMode, unsafe.Pointer(&mode)) != nil {
		return nil
	}
	return &tty{file: f}
}

// foreground reports whether the program has the terminal. If not, its shell has it, and the
// program must neither read from it nor change its mode. A terminal that is not the shell's
// is free.
func (t *tty) foreground() bool {
	var group int32
	err := ioctl(t.file, syscall.TIOCGPGRP, unsafe.Pointer(&group))
	return err != nil || int(group) == syscall.Getpgrp()
}

// raw makes the terminal deliver each key at once, without showing it. It returns false if
// the program does not have the terminal.
func (t *tty) raw() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	var mode syscall.Termios
	if !t.foreground() || ioctl(t.file, getMode, unsafe.Pointer(&mode)) != nil {
		return false
	}
	if !t.isRaw {
		t.was = mode
	}
	mode.Iflag &^= syscall.ICRNL | syscall.INLCR | syscall.IGNCR | syscall.ISTRIP
	mode.Lflag &^= syscall.ICANON | syscall.ECHO | syscall.ECHONL | syscall.IEXTEN
	mode.Cc[syscall.VMIN], mode.Cc[syscall.VTIME] = 1, 0
	t.isRaw = ioctl(t.file, setMode, unsafe.Pointer(&mode)) == nil
	return t.isRaw
}

// restore restores the mode from before raw. It returns false if there is nothing to do, or
// if the shell has the terminal, and has restored it.
func (t *tty) restore() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.isRaw
	t.isRaw = false
	return was && t.foreground() && ioctl(t.file, setMode, unsafe.Pointer(&t.was)) == nil
}
