//go:build darwin || dragonfly || freebsd || netbsd

package console

import "syscall"

// ioctls to get and set the mode.
var getMode, setMode uintptr = syscall.TIOCGETA, syscall.TIOCSETA
