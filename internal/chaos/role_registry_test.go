//go:build linux

package chaos

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/x/ringdht"
)

// sampling is the interval at which a process checks what to report.
const sampling = 50 * time.Millisecond

// runRegistry is the main function of a registry process.
func runRegistry(t terms) {
	m := &eventWriter{out: os.Stdout}
	ctx, end := context.Background(), terminated()
	opts := []ringdht.RegistryOption{ringdht.WithLease(t.Lease), ringdht.WithLogger(logger())}
	if t.Itself {
		opts = append(opts, ringdht.WithSelfSetup(0))
	}
	if t.State != "" {
		opts = append(opts, ringdht.WithState(t.State))
	}
	if t.Secure {
		opts = append(opts, ringdht.WithSecurity(0))
	}
	r, err := ringdht.NewRegistry(opts...)
	if err != nil {
		m.say(event{What: "failed", Error: err.Error()})
		os.Exit(1)
	}
	addr, err := r.Listen(ctx, t.Listen)
	if err != nil {
		m.say(event{What: "failed", Error: err.Error()})
		os.Exit(1)
	}
	line := ""
	if t.Secure {
		if line, err = r.JoinLine(addr.String()); err != nil {
			m.say(event{What: "failed", Error: err.Error()})
			os.Exit(1)
		}
	}
	m.say(event{What: "listening", Addr: addr.String(), Line: line})
	go watch(r, m)
	go func() {
		<-end
		r.Close()
		os.Exit(0)
	}()
	readCommands(os.Stdin, func(c command) {
		switch c.Do {
		case "setup", "settle":
			go func() {
				ctx, cancel := context.WithTimeout(ctx, c.Timeout)
				defer cancel()
				var err error
				if c.Do == "setup" {
					_, err = r.Setup(ctx, c.Entries)
				} else {
					err = r.WaitSettled(ctx)
				}
				m.say(answer(c, err))
			}()
		case "quit":
			r.Close()
			m.say(answer(c, nil))
			os.Exit(0)
		}
	})
}

// watch reports the members, and the pairs that cannot reach each other, when they change.
func watch(r *ringdht.Registry, m *eventWriter) {
	var members []uint64
	var pairs [][2]uint64
	for range time.Tick(sampling) {
		now := []uint64{}
		for _, p := range r.Members() {
			now = append(now, uint64(p.ID))
		}
		if members == nil || !slices.Equal(members, now) {
			m.say(event{What: "members", Members: now})
		}
		members = now
		unreachable := [][2]uint64{}
		for _, d := range r.Degraded() {
			unreachable = append(unreachable, [2]uint64{uint64(d.From.ID), uint64(d.To.ID)})
		}
		if !slices.Equal(pairs, unreachable) {
			m.say(event{What: "degraded", Pairs: unreachable})
			pairs = unreachable
		}
	}
}

// terminated has a value when an operator has asked the process to end.
func terminated() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	return c
}

func answer(c command, err error) event {
	e := event{What: "answer", Ask: c.Ask}
	if err != nil {
		e.Error = err.Error()
	}
	return e
}

// logger logs to stderr, which the test keeps in a file.
func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
}
