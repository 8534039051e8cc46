package console

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// interrupts decides who handles an interrupt: the view in the foreground, or the program.
type interrupts struct {
	mu    sync.Mutex
	front context.CancelFunc // of the view in the foreground, or nil
}

type interruptsKey struct{}

// Context returns a context that ends with an interrupt (Ctrl-C) or SIGTERM. A view in the
// foreground takes an interrupt for itself. A second signal ends the process at once.
func Context() context.Context {
	in := &interrupts{}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), interruptsKey{}, in))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for s := range signals {
			if s != os.Interrupt || !in.divert() {
				signal.Stop(signals)
				cancel()
				return
			}
		}
	}()
	return ctx
}

// divert ends the view in the foreground. It returns false if there is none.
func (in *interrupts) divert() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.front == nil {
		return false
	}
	in.front()
	in.front = nil
	return true
}

// foreground returns a context that an interrupt ends in place of ctx, until done is called.
// It does so only if ctx is from [Context].
func foreground(ctx context.Context) (front context.Context, done func()) {
	front, cancel := context.WithCancel(ctx)
	in, ok := ctx.Value(interruptsKey{}).(*interrupts)
	if !ok {
		return front, cancel
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.front = cancel
	return front, func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.front = nil
		cancel()
	}
}
