// Package serve has the HTTP server of the example programs: /healthz and /readyz, and for a
// registry the live page.
package serve

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/health"
)

// Flag defines -http and returns a pointer to its value, which is empty without the flag. what
// says what is served there.
func Flag(flags *flag.FlagSet, what string) *string {
	addr := new(string)
	flags.Func("http", "serve "+what+" at `host:port`, or at a port of localhost; with :port, anyone who can reach this machine can see it", func(text string) (err error) {
		*addr, err = console.Address(text, "localhost")
		return err
	})
	return addr
}

// Readiness is what /readyz reports. The zero value is not ready.
type Readiness struct{ now atomic.Pointer[func() error] }

// Set makes /readyz report f from now on.
func (r *Readiness) Set(f func() error) { r.now.Store(&f) }

// Now returns nil if the program is ready.
func (r *Readiness) Now() error {
	if f := r.now.Load(); f != nil {
		return (*f)()
	}
	return errors.New("it has not joined the ring yet")
}

// Probes serves /healthz and /readyz at an address, and says where. With an empty address it serves
// nothing. The function stop ends it.
func Probes(ctx context.Context, addr string, screen *console.Screen) (ready *Readiness, stop func(), err error) {
	ready = new(Readiness)
	if addr == "" {
		return ready, func() {}, nil
	}
	at, stop, err := Start(ctx, addr, ready.Now, nil)
	if err != nil {
		return nil, nil, err
	}
	screen.Say("Probes at http://%s/healthz and /readyz", at)
	return ready, stop, nil
}

// maxConns bounds the open connections: more than all pages and probes may need, and few enough
// to leave a registry file descriptors for its nodes.
const maxConns = 256

// Start serves /healthz and /readyz at an address, and with another handler all other paths. It
// returns the address. The function stop ends it and closes all connections.
func Start(ctx context.Context, addr string, ready func() error, other func(net.Addr) http.Handler) (at net.Addr, stop func(), err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	at, stop = Serve(ctx, l, ready, other)
	return at, stop, nil
}

// Serve is Start, for a listener.
func Serve(ctx context.Context, l net.Listener, ready func() error, other func(net.Addr) http.Handler) (at net.Addr, stop func()) {
	mux, probes := http.NewServeMux(), health.Handler(func() error {
		if err := ready(); err != nil {
			return errors.New(console.Text(err))
		}
		return nil
	})
	mux.Handle("/healthz", probes)
	mux.Handle("/readyz", probes)
	if other != nil {
		mux.Handle("/", other(l.Addr()))
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	server := &http.Server{
		Handler: mux, BaseContext: func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: log.New(io.Discard, "", 0), // strangers write it: each failed handshake is a line
	}
	health.Limit(server, maxConns)
	var wg sync.WaitGroup
	wg.Go(func() { server.Serve(l) })
	return l.Addr(), func() {
		cancel()
		server.Close()
		wg.Wait()
	}
}
