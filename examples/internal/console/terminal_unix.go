//go:build darwin || dragonfly || freebsd || linux || netbsd

package console

import (
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"
)

// windowSize returns the size of a terminal, zeros if it is unknown. It returns false if the
// stream is no terminal.
func windowSize(stream any) (Size, bool) {
	f, ok := stream.(*os.File)
	if !ok {
		return Size{}, false
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return Size{}, false
	}
	var size struct{ rows, columns, x, y uint16 }
	ok = false
	err = raw.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
		ok = errno == 0
	})
	return Size{int(size.columns), int(size.rows)}, ok && err == nil
}

func terminal(f *os.File) bool {
	_, ok := windowSize(f)
	return ok
}

// viewSignals returns the signals that a view handles: a new window size, and signals that
// would stop or end the process while the view has the terminal.
func viewSignals() (<-chan os.Signal, func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGTSTP, syscall.SIGQUIT, syscall.SIGHUP)
	return signals, func() { signal.Stop(signals) }
}

// suspends reports whether a signal stops or ends the process.
func suspends(sig os.Signal) bool { return sig != syscall.SIGWINCH }

// raise lets a signal have its default effect. It returns when a process that was stopped
// goes on.
func raise(sig os.Signal) {
	s := sig.(syscall.Signal)
	if s == syscall.SIGTSTP {
		s = syscall.SIGSTOP // the default effect of SIGTSTP, without a handler to remove first
	} else {
		signal.Reset(s)
	}
	syscall.Kill(syscall.Getpid(), s)
	if s != syscall.SIGSTOP {
		time.Sleep(time.Second) // the signal ends the process within a moment
	}
}
