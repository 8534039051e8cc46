//go:build darwin || dragonfly || freebsd || linux || netbsd

package console

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// handleSignals lets the program live in the background of a shell. A read from the terminal
// is refused there, and a write is done, in the place of signals that stop the program.
func handleSignals() { signal.Ignore(syscall.SIGTTIN, syscall.SIGTTOU) }

// attend handles the signals of a terminal until stop is called: a new size, and those that
// would stop or end the process while the terminal is not as the shell expects it.
func (c *Console) attend(ctx context.Context) (stop func()) {
	s := c.Screen
	if c.editor == nil && !s.out.terminal {
		return func() {}
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGCONT)
	for _, sig := range []os.Signal{syscall.SIGTSTP, syscall.SIGQUIT, syscall.SIGHUP} {
		if !signal.Ignored(sig) { // nohup ignores SIGHUP
			signal.Notify(signals, sig)
		}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ending := ctx.Done()
		for {
			var away <-chan time.Time
			if s.isAway() {
				away = time.After(awayPoll)
			}
			select {
			case <-done:
				return
			case <-ending: // a second signal ends the process at once
				ending = nil
				if c.editor != nil {
					c.editor.release()
				}
			case <-away:
				s.comeBack()
			case sig := <-signals:
				switch sig {
				case syscall.SIGWINCH:
					s.resized()
				case syscall.SIGCONT:
					s.continued()
				default:
					s.suspend(sig.(syscall.Signal), signals)
				}
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
		<-ended
	}
}

// resized adjusts the prompt and the view to the size of the terminal.
func (s *Screen) resized() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live.editor != nil && !s.view {
		s.live.editor.resize()
	}
	s.redrawView()
}

// suspend leaves the terminal as the shell expects it, and lets a signal have its default
// effect. It returns when a process that was stopped goes on.
func (s *Screen) suspend(sig syscall.Signal, signals chan os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	away := func() {
		if s.live.editor != nil {
			s.live.editor.release()
		}
		raise(sig, signals)
		s.resume()
	}
	switch e := s.live.editor; {
	case s.away:
		away()
	case s.view:
		io.WriteString(s.out, leaveView)
		away()
		if !s.away {
			io.WriteString(s.out, enterView)
		}
		s.redrawView()
	case e != nil && e.reading:
		e.around(away)
	default:
		s.erase()
		away()
		s.refresh()
	}
	if e := s.live.editor; e != nil && !s.away && !s.view {
		e.resize() // its signal may have been among those that raise took
	}
}

// raise is replaced in tests.
var raise = raiseSignal

// raiseSignal lets a signal have its default effect.
func raiseSignal(sig syscall.Signal, signals chan os.Signal) {
	if sig == syscall.SIGTSTP {
		sig = syscall.SIGSTOP // the default effect of SIGTSTP, without a handler to remove first
	} else {
		signal.Reset(sig)
	}
	syscall.Kill(syscall.Getpid(), sig)
	// The signal arrives within a moment. What is typed after a stop arrives after SIGCONT.
	for late := time.After(time.Second); ; {
		select {
		case got := <-signals:
			if got == syscall.SIGCONT {
				return
			}
		case <-late:
			return
		}
	}
}

// resume takes the terminal again, or notes that the shell has it. The caller holds mu.
func (s *Screen) resume() {
	e := s.live.editor
	if e == nil {
		return
	}
	if e.tty.foreground() {
		e.grab()
		return
	}
	if !s.away {
		s.away = true
		e.hide(true)
		s.put(s.notices, isAway)
	}
}

// continued is called after a stop that the program did not expect.
func (s *Screen) continued() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return
	}
	if s.resume(); !s.away && !s.view {
		s.refresh()
	}
	s.redrawView()
}

// comeBack takes the terminal if the program is in the foreground again.
func (s *Screen) comeBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.live.editor
	if e == nil || !e.tty.foreground() {
		return
	}
	s.away = false
	e.grab()
	e.resize()
	if s.view {
		io.WriteString(s.out, enterView)
		s.redrawView()
		return
	}
	e.show()
	s.refresh()
}
