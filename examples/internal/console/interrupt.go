package console

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// interrupts decides what an interrupt ends: the view or the command in the foreground, the
// command in the background, or the program.
type interrupts struct {
	end context.CancelFunc // ends the program

	mu    sync.Mutex
	takes []*func() bool // the latest is asked first; each reports whether it took the interrupt
}

type interruptsKey struct{}

// Context returns a context that ends with SIGTERM, and with an interrupt (Ctrl-C) that
// neither a view nor a console takes. A second signal ends the process at once.
//
// From here on the program lives in the background of a shell: neither reading from the
// terminal nor writing to it stops the program.
func Context() context.Context {
	handleSignals()
	ctx, in := newContext(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for s := range signals {
			if s != os.Interrupt || !in.interrupt() {
				in.end()
			}
		}
	}()
	context.AfterFunc(ctx, func() { signal.Stop(signals) })
	return ctx
}

// newContext returns a context whose interrupts can be taken.
func newContext(parent context.Context) (context.Context, *interrupts) {
	in := &interrupts{}
	ctx, cancel := context.WithCancel(context.WithValue(parent, interruptsKey{}, in))
	in.end = cancel
	return ctx, in
}

// interrupt offers an interrupt. It returns false if it is not taken.
func (in *interrupts) interrupt() bool {
	in.mu.Lock()
	takes := append([]*func() bool{}, in.takes...)
	in.mu.Unlock()
	for i := len(takes) - 1; i >= 0; i-- {
		if (*takes[i])() {
			return true
		}
	}
	return false
}

// take offers interrupts to a function until done is called.
func (in *interrupts) take(f func() bool) (done func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.takes = append(in.takes, &f)
	return func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		for i, t := range in.takes {
			if t == &f {
				in.takes = append(in.takes[:i:i], in.takes[i+1:]...)
				return
			}
		}
	}
}

// interruptsOf returns the interrupts of a context from [Context], or some that never come.
func interruptsOf(ctx context.Context) *interrupts {
	if in, ok := ctx.Value(interruptsKey{}).(*interrupts); ok {
		return in
	}
	return &interrupts{end: func() {}}
}

// foreground returns a context that an interrupt ends in place of all else, until done is
// called.
func foreground(ctx context.Context) (front context.Context, done func()) {
	front, cancel := context.WithCancel(ctx)
	leave := interruptsOf(ctx).take(func() bool {
		taken := front.Err() == nil
		cancel()
		return taken
	})
	return front, func() {
		leave()
		cancel()
	}
}
