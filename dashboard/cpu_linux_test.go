package dashboard

import (
	"runtime"
	"syscall"
	"time"
)

// cpuTime returns the CPU time of the process so far, in user and kernel mode.
func cpuTime() time.Duration { return used(syscall.RUSAGE_SELF) }

// threadTime returns the CPU time of the calling thread.
func threadTime() time.Duration { return used(syscall.RUSAGE_THREAD) }

func used(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// onThread runs f on a thread of its own.
func onThread(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f()
}
