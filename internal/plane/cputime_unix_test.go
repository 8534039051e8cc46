//go:build unix

package plane

import (
	"syscall"
	"time"
)

// processorTime is the processor time that this process has used. Other load on the machine
// changes it less than the time by the clock.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
