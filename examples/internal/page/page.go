// Package page serves the live page of a ring, for programs that have a registry.
package page

import (
	"context"
	"flag"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/dashboard"
	"github.com/x/ringdht/examples/internal/console"
)

// Flags holds the flags of the page.
type Flags struct {
	addr    string
	control bool
}

// AddFlags adds -http and -control.
func AddFlags(flags *flag.FlagSet) *Flags {
	f := &Flags{}
	flags.Func("http", "serve a live page of the ring at `host:port`, or at a port of localhost; with :port, anyone who can reach this machine can see it", func(text string) (err error) {
		f.addr, err = console.Address(text, "localhost")
		return err
	})
	flags.BoolVar(&f.control, "control", false, "let the page set the ring up and start runs; there is no authentication")
	return f
}

// Check returns an error if the flags contradict each other.
func (f *Flags) Check() error {
	if f.control && !f.On() {
		return console.Usagef("-control needs -http: without it there is no page to control")
	}
	return nil
}

// On reports whether there is a page to serve.
func (f *Flags) On() bool { return f.addr != "" }

// maxConns bounds the open connections: more than all pages may need, and few enough to leave
// the registry file descriptors for its nodes.
const maxConns = 256

// Serve serves the page of a registry, and returns its URL. The function stop ends it and
// closes all pages.
func (f *Flags) Serve(ctx context.Context, r *ringdht.Registry) (url string, stop func(), err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", f.addr)
	if err != nil {
		return "", nil, err
	}
	host, _, _ := net.SplitHostPort(f.addr)
	at := l.Addr().(*net.TCPAddr)
	name := host
	if host == "" || at.IP.IsUnspecified() {
		name = "localhost"
	}
	names := []string{name}
	if self, err := os.Hostname(); err == nil { // the name by which others on the network may know this machine
		names = append(names, self)
	}
	opts := []dashboard.Option{dashboard.WithHosts(names...)}
	if f.control {
		opts = append(opts, dashboard.WithControl())
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	server := &http.Server{
		Handler: dashboard.Handler(r, opts...), BaseContext: func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	var wg sync.WaitGroup
	wg.Go(func() { server.Serve(limit(l, maxConns)) })
	_, port, _ := net.SplitHostPort(at.String())
	return "http://" + net.JoinHostPort(name, port) + "/", func() {
		cancel()
		server.Close()
		wg.Wait()
	}, nil
}
