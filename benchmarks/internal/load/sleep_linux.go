package load

import (
	"runtime"
	"syscall"
	"time"
)

// newSleeper returns a function that sleeps exactly, for the calling goroutine, and
// one to call when it is needed no more. time.Sleep rounds up to a millisecond when
// the process is idle, ten times a tick.
func newSleeper() (sleep func(time.Duration), done func()) {
	const setTimerSlack = 29 // PR_SET_TIMERSLACK, of the thread; its default of 50 µs would show
	runtime.LockOSThread()
	syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, 1000, 0)
	return func(d time.Duration) {
			t := syscall.NsecToTimespec(int64(d))
			syscall.Nanosleep(&t, nil) // if a signal ends it early, the tick is early
		}, func() {
			syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, 0, 0) // the default again
			runtime.UnlockOSThread()
		}
}
