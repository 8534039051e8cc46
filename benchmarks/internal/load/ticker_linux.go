package load

import (
	"os"

	"golang.org/x/sys/unix"
)

// ticker ticks on the grid by a kernel timer, for which the runtime waits as for connections.
// time.Sleep and time.Ticker round up to a millisecond in an idle process, ten times a tick.
// A sleeping system call keeps the runtime's monitor awake, which costs a third of a
// processor.
type ticker struct{ f *os.File }

func newTicker() (ticker, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return ticker{}, os.NewSyscallError("timerfd_create", err)
	}
	t := ticker{os.NewFile(uintptr(fd), "timer")}
	every := unix.NsecToTimespec(int64(tick))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		t.stop()
		return ticker{}, os.NewSyscallError("timerfd_settime", err)
	}
	return t, nil
}

// wait waits for the next tick, unless one has passed since the last call.
func (t ticker) wait() error {
	var expirations [8]byte
	_, err := t.f.Read(expirations[:])
	return err
}

func (t ticker) stop() { t.f.Close() }
