//go:build !windows && !plan9

package main

import (
	"os"
	"syscall"
)

// suspend stops a process until resume, and reports whether it could.
func suspend(p *os.Process) bool { return p.Signal(syscall.SIGSTOP) == nil }

func resume(p *os.Process) { p.Signal(syscall.SIGCONT) }
