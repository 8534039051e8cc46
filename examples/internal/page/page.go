// Package page serves the live page of a ring for the programs that have a registry.
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
)

// Flags are those of the page.
type Flags struct {
	addr    *string
	control *bool
}

// AddFlags adds -http and -control.
func AddFlags(flags *flag.FlagSet) *Flags {
	return &Flags{
		addr:    flags.String("http", "", "serve a live page of the ring at `host:port`; without a host, to everybody who reaches this machine"),
		control: flags.Bool("control", false, "let the page set the ring up and start runs"),
	}
}

// On says that there is a page to serve.
func (f *Flags) On() bool { return *f.addr != "" }

// Serve serves the page of a registry until stop is called, which closes all that are open, and
// returns the address to give to a browser.
func (f *Flags) Serve(ctx context.Context, r *ringdht.Registry) (url string, stop func(), err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *f.addr)
	if err != nil {
		return "", nil, err
	}
	host, _, _ := net.SplitHostPort(*f.addr)
	at := l.Addr().(*net.TCPAddr)
	name := host
	if host == "" || at.IP.IsUnspecified() {
		name = "localhost"
	}
	names := []string{name}
	if self, err := os.Hostname(); err == nil { // as others on the network call it
		names = append(names, self)
	}
	opts := []dashboard.Option{dashboard.WithHosts(names...)}
	if *f.control {
		opts = append(opts, dashboard.WithControl())
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	server := &http.Server{
		Handler: dashboard.Handler(r, opts...), BaseContext: func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	var wg sync.WaitGroup
	wg.Go(func() { server.Serve(l) })
	_, port, _ := net.SplitHostPort(at.String())
	return "http://" + net.JoinHostPort(name, port) + "/", func() {
		cancel()
		server.Close()
		wg.Wait()
	}, nil
}
