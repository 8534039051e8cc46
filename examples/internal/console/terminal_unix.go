//go:build darwin || dragonfly || freebsd || linux || netbsd

package console

import (
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"
)

// windowSize is what a terminal says of its size, zeros if it does not know. It is
// false if the stream is no terminal.
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

// viewSignals are those that a view has to do something about: another size, and what
// would stop or end the process with the terminal as it is.
func viewSignals() (<-chan os.Signal, func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGTSTP, syscall.SIGQUIT, syscall.SIGHUP)
	return signals, func() { signal.Stop(signals) }
}

// suspends says that a signal stops or ends the process.
func suspends(sig os.Signal) bool { return sig != syscall.SIGWINCH }

// raise lets a signal do what it does when nobody catches it. It returns when a
// process that was stopped goes on.
func raise(sig os.Signal) {
	s := sig.(syscall.Signal)
	if s == syscall.SIGTSTP {
		s = syscall.SIGSTOP // which needs nobody to let go of it first
	} else {
		signal.Reset(s)
	}
	syscall.Kill(syscall.Getpid(), s)
	if s != syscall.SIGSTOP {
		time.Sleep(time.Second) // the end is a moment away
	}
}
