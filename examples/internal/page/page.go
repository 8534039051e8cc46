// Package page serves the live page of a ring, for programs that have a registry.
package page

import (
	"context"
	"crypto/tls"
	"flag"
	"net"
	"net/http"
	"os"

	"github.com/x/ringdht"
	"github.com/x/ringdht/dashboard"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/serve"
	"github.com/x/ringdht/health"
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
	flags.BoolVar(&f.control, "control", false, "let the page set the ring up and start runs; the page of an open ring has no login")
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

// Secure says how to protect the page of a secure ring.
type Secure struct {
	State string // where its certificate is kept; empty for nowhere
}

// Serve serves the page of a registry, and /healthz and /readyz beside it. It returns the page's
// URL. The page of a secure ring has a login, whose key is in the URL, and TLS unless it is for this
// machine only; print is the fingerprint of its certificate. The function stop ends it and closes all
// pages.
func (f *Flags) Serve(ctx context.Context, r *ringdht.Registry, secure *Secure) (url, print string, stop func(), err error) {
	host, _, _ := net.SplitHostPort(*f.addr)
	name := host
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *f.addr)
	if err != nil {
		return "", "", nil, err
	}
	scheme, key := "http", ""
	if secure != nil {
		key = dashboard.NewLoginKey()
		if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
			hosts := []string{host}
			if self, err := os.Hostname(); err == nil {
				hosts = append(hosts, self)
			}
			var config *tls.Config
			if config, print, err = dashboard.Certificate(secure.State, hosts...); err != nil {
				l.Close()
				return "", "", nil, err
			}
			scheme, l = "https", tls.NewListener(health.Listener(l), config)
		}
	}
	at, stop := serve.Serve(ctx, l, r.ReadyNow, func(at net.Addr) http.Handler {
		if host == "" || at.(*net.TCPAddr).IP.IsUnspecified() {
			name = "localhost"
		}
		names := []string{name}
		if self, err := os.Hostname(); err == nil { // the name by which others on the network may know this machine
			names = append(names, self)
		}
		opts := []dashboard.Option{dashboard.WithHosts(names...), dashboard.WithJoin(f.join)}
		if key != "" {
			opts = append(opts, dashboard.WithLogin(key))
		}
		if f.control {
			opts = append(opts, dashboard.WithControl())
		}
		return dashboard.Handler(r, opts...)
	})
	_, port, _ := net.SplitHostPort(at.String())
	url = scheme + "://" + net.JoinHostPort(name, port) + "/"
	if key != "" {
		url += "#key=" + key
	}
	return url, print, stop, nil
}
