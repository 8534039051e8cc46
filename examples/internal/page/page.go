// Package page serves the live page of a ring, for programs that have a registry.
package page

import (
	"context"
	"flag"
	"net"
	"net/http"
	"os"

	"github.com/x/ringdht"
	"github.com/x/ringdht/dashboard"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/serve"
)

// Flags holds the flags of the page.
type Flags struct {
	addr    *string
	control bool
	join    string // see Invite
}

// AddFlags adds -http and -control.
func AddFlags(flags *flag.FlagSet) *Flags {
	f := &Flags{addr: serve.Flag(flags, "a live page of the ring, /healthz and /readyz")}
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
func (f *Flags) On() bool { return *f.addr != "" }

// Serve serves the page of a registry, and /healthz and /readyz beside it. It returns the page's
// URL. The function stop ends it and closes all pages.
func (f *Flags) Serve(ctx context.Context, r *ringdht.Registry) (url string, stop func(), err error) {
	host, _, _ := net.SplitHostPort(*f.addr)
	name := host
	at, stop, err := serve.Start(ctx, *f.addr, r.ReadyNow, func(at net.Addr) http.Handler {
		if host == "" || at.(*net.TCPAddr).IP.IsUnspecified() {
			name = "localhost"
		}
		names := []string{name}
		if self, err := os.Hostname(); err == nil { // the name by which others on the network may know this machine
			names = append(names, self)
		}
		opts := []dashboard.Option{dashboard.WithHosts(names...), dashboard.WithJoin(f.join)}
		if f.control {
			opts = append(opts, dashboard.WithControl())
		}
		return dashboard.Handler(r, opts...)
	})
	if err != nil {
		return "", nil, err
	}
	_, port, _ := net.SplitHostPort(at.String())
	return "http://" + net.JoinHostPort(name, port) + "/", stop, nil
}
