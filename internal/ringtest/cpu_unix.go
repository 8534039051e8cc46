//go:build unix

package ringtest

import (
	"syscall"
	"time"
)

// CPUTime returns the processor time of the process so far, in user mode and in the kernel.
func CPUTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
