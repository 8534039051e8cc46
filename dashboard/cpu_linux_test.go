package dashboard

import (
	"runtime"
	"syscall"
	"time"
)

// cpuTime is what the process has computed so far, also for the kernel.
func cpuTime() time.Duration { return used(syscall.RUSAGE_SELF) }

// threadTime is the same of the thread that asks.
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
